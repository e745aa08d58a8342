"""The engine's log-probs are those of a full teacher-forced forward pass, for every architecture it drives."""

import numpy as np
import pytest
import torch

from rlvr.engines.native.engine import NativeEngine

CASES = {
    "llama": {},
    "llama-mha": {"num_key_value_heads": 4},
    "qwen2": {},
    "qwen2-window": {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    "qwen3": {},
    "gemma": {"num_key_value_heads": 1},
    "gemma2": {"sliding_window": 16, "query_pre_attn_scalar": 8},
    "gemma3": {
        "sliding_window": 16,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mistral": {"sliding_window": 16},
    "gpt2": {},
}


def teacher_forced(model, prompt_ids, token_ids, temperature):
    """Log-probs of token_ids by one full forward pass without a cache, [T]."""
    ids = torch.tensor(np.concatenate([prompt_ids, token_ids]))[None]
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0].double()
    logits = logits[len(prompt_ids) - 1 : -1] / (temperature or 1.0)
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(token_ids)[:, None])[:, 0].numpy()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_logprobs_equal_a_full_forward_pass(case, temperature, tokenizer, make_model, make_requests, run_all):
    shape = case.split("-")[0]
    model = make_model(shape, attention="eager" if shape == "gemma2" else "sdpa", **CASES[case])
    requests = make_requests(12, samples=3, temperature=temperature, max_new_tokens=40)
    engine = NativeEngine(model, tokenizer, num_slots=8, max_length=160)
    worst = 0.0
    for (request_id, _), finished in run_all(engine, requests).items():
        done = finished.completion
        expected = teacher_forced(model, requests[request_id].prompt_ids, done.token_ids, temperature)
        worst = max(worst, float(np.abs(done.logprobs - expected).max()))
    assert worst < 1e-5
