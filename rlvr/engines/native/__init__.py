"""The in-process engine: drives any transformers causal language model through its own slot cache."""
