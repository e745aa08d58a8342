"""A completion does not depend on its neighbours: same token ids and bit-equal log-probs, however it is scheduled."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlvr.engines.native.engine import NativeEngine


def same(a, b):
    one, two = a.completion, b.completion
    return (
        one.token_ids.tobytes() == two.token_ids.tobytes()
        and one.logprobs.tobytes() == two.logprobs.tobytes()
        and (one.text, one.finish) == (two.text, two.finish)
    )


def different(some, others):
    """Names of the runs in `others` that hold a completion unlike the same one in `some`."""
    return {name: bad for name, other in others.items() if (bad := [k for k in other if not same(other[k], some[k])])}


@pytest.mark.parametrize("shape", [{"num_key_value_heads": 4}, {"num_key_value_heads": 2}, {"head_dim": 16}])
def test_completions_are_bit_equal_alone_in_a_crowd_reversed_and_with_other_slots(
    shape, tokenizer, make_model, make_requests, run_all
):
    model = make_model("llama", **shape)
    requests = make_requests(16, samples=4, longest=100, max_new_tokens=32, stop=(1, 5, 6))

    def run(some, num_slots):
        return run_all(NativeEngine(model, tokenizer, num_slots=num_slots, max_length=256), some)

    crowd = run(requests, 64)
    lengths = {len(f.completion.token_ids) for f in crowd.values()}
    assert len(lengths) > 5  # or refilling and compaction would not be seen
    others = {
        "reversed": run(requests[::-1], 64),
        "reversed, 13 slots": run(requests[::-1], 13),
        "256 slots": run(requests, 256),
        "one at a time": run(requests[:2], 1),
        "request 5 alone": run([requests[5]], 64),
    }
    assert not different(crowd, others)


@pytest.mark.slow  # on busy cores only: two threads wait for each other
def test_completions_are_bit_equal_in_a_crowd_of_64_and_alone_with_two_threads(
    tokenizer, make_model, make_requests, run_all
):
    model = make_model("llama", num_key_value_heads=4)
    requests = make_requests(16, samples=4, longest=40, max_new_tokens=10, stop=(1, 5, 6))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        crowd, reversed_, first, last = (
            run_all(NativeEngine(model, tokenizer, num_slots=64, max_length=64), some)
            for some in (requests, requests[::-1], requests[:1], requests[-1:])
        )
    finally:
        torch.set_num_threads(before)
    assert not different(crowd, {"reversed": reversed_, "first alone": first, "last alone": last})


def test_two_kinds_of_sampling_in_flight_do_not_disturb_each_other(tokenizer, make_model, make_requests, run_all):
    model = make_model("llama")
    hot = make_requests(6, temperature=1.3)
    cold = make_requests(12, temperature=0.0, seed=8)[6:]
    engine = NativeEngine(model, tokenizer, num_slots=16, max_length=128)
    apart = run_all(engine, hot) | run_all(engine, cold)
    together = run_all(engine, [*cold, *hot])
    assert all(same(together[key], apart[key]) for key in apart)


def test_another_seed_purpose_draw_or_sample_gives_other_tokens(tokenizer, make_model, make_requests, run_all):
    engine = NativeEngine(make_model("llama"), tokenizer, num_slots=16, max_length=128)
    (request,) = make_requests(1, samples=2, stop=())
    base = run_all(engine, [request])
    first = base[0, 0].completion.token_ids
    assert not np.array_equal(first, base[0, 1].completion.token_ids)
    for other in (
        replace(request, sampling=replace(request.sampling, seed=8)),
        replace(request, sampling=replace(request.sampling, purpose="evaluate")),
        replace(request, draw_index=99),
    ):
        assert not np.array_equal(first, run_all(engine, [other])[0, 0].completion.token_ids)
