"""Prints how far the printed memory estimate is from the measured growth of one forward and backward pass.

python benchmarks/memory_estimate.py            all shapes, each in a process of its own
"""

import resource
import subprocess
import sys

SHAPES = (
    (256, 1024, 6, 8, 8, 512, 16, 512, 0),
    (256, 1024, 6, 8, 2, 512, 16, 512, 0),
    (512, 1408, 4, 8, 8, 16000, 8, 512, 0),
    (160, 448, 4, 5, 5, 512, 64, 256, 0),
    (256, 1024, 6, 8, 8, 512, 16, 512, 1),
)
"""Hidden, intermediate, layers, heads, key-value heads, vocabulary, sequences, tokens of each, checkpointing."""


def peak_bytes() -> int:
    """Gives the largest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def measure(shape: tuple[int, ...]) -> None:
    """Prints one line: measured and estimated megabytes of activations, logits and gradients."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rlvr.app.memory import Work, estimate, size_from_numbers
    from rlvr.models.logprobs import token_logprobs

    hidden, intermediate, layers, heads, key_value_heads, vocabulary, rows, tokens, checkpointing = shape
    numbers = {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
    }
    size = size_from_numbers(numbers)
    model = LlamaForCausalLM(LlamaConfig(**numbers, attn_implementation="sdpa")).train()
    assert size is not None
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    if checkpointing:
        model.gradient_checkpointing_enable()

    def step(count: int, length: int) -> None:
        ids = torch.randint(0, vocabulary, (count, length))
        trainable = torch.ones(count, length, dtype=torch.bool)
        trainable[:, 0] = False
        found = token_logprobs(model, ids, torch.arange(length).expand(count, length), trainable)
        (-found.logprobs.sum() / trainable.sum()).backward()

    step(2, 32)
    model.zero_grad(set_to_none=True)
    before = peak_bytes()
    step(rows, tokens)
    parts = estimate(
        size,
        Work(rows * tokens, rows * tokens, "adamw", False, 0, 0),
        bfloat16=False,
        gradient_checkpointing=bool(checkpointing),
        workers=0,
    )
    guess = parts["activations"] + parts["logits"] + parts["gradients"]
    print(f"{shape}: measured {(peak_bytes() - before) / 1e6:.0f} MB, estimated {guess / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(tuple(int(word) for word in sys.argv[1:]))
    else:
        for shape in SHAPES:
            subprocess.run([sys.executable, __file__, *map(str, shape)], check=True)
