"""Tiny networks and a tokenizer, made on the spot."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from rlvr.engines.base import Engine, Finished, Request, Sampling

VOCABULARY = 96
EOS = 1

SHAPES: dict[str, Callable[..., Any]] = {
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "gemma": GemmaConfig,
    "gemma2": Gemma2Config,
    "gemma3": Gemma3TextConfig,
    "mistral": MistralConfig,
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Words w0 … w93 and two special tokens; token i reads "wi"."""
    words = {"<pad>": 0, "<eos>": EOS} | {f"w{i}": i for i in range(2, VOCABULARY)}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<pad>")


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """Gives make_model(shape, **changes): a random network whose logits spread over several nats."""

    def make(shape: str = "llama", *, seed: int = 0, attention: str = "sdpa", **changes: Any) -> Any:
        sizes = {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 512,
            "bos_token_id": None,
            "eos_token_id": EOS,
            "pad_token_id": 0,
        }
        torch.manual_seed(seed)
        if shape == "gpt2":
            config: Any = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=512)
        else:
            config = SHAPES[shape](**{**sizes, **changes})
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim == 2:
                    weight.normal_(0, 0.3 if "lm_head" in name or "embed" in name else 0.15)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def make_requests() -> Callable[..., list[Request]]:
    """Gives make_requests(num_prompts, ...): prompts of 1 to `longest` tokens, the same for the same seed."""

    def make(
        num_prompts: int,
        *,
        samples: int = 4,
        longest: int = 60,
        temperature: float = 1.0,
        max_new_tokens: int = 24,
        stop: Sequence[int] = (EOS,),
        seed: int = 7,
    ) -> list[Request]:
        rng = np.random.default_rng(seed)
        sampling = Sampling(temperature, max_new_tokens, tuple(stop), seed, "train")
        return [
            Request(i, 100 + i, rng.integers(2, VOCABULARY, size=rng.integers(1, longest + 1)), samples, sampling)
            for i in range(num_prompts)
        ]

    return make


@pytest.fixture(scope="session")
def run_all() -> Callable[..., dict[tuple[int, int], Finished]]:
    """Gives run_all(engine, requests): (request id, sample index) -> what finished, each exactly once."""

    def run(engine: Engine, requests: Sequence[Request]) -> dict[tuple[int, int], Finished]:
        engine.submit(requests)
        done: dict[tuple[int, int], Finished] = {}
        while engine.has_work:
            for finished in engine.step():
                key = (finished.request_id, finished.sample_index)
                assert key not in done
                done[key] = finished
        assert set(done) == {(r.id, i) for r in requests for i in range(r.num_samples)}
        return done

    return run
