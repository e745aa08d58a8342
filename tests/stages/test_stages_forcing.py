"""Forced completions: cut where a smaller limit would cut, thinking ended after a budget, or made to go on."""

from pathlib import Path

import numpy as np
import pytest
from tiny import make_parts, task

from rlvr.data.chat import encode_prompt, stop_token_ids
from rlvr.engines.base import Request, Sampling
from rlvr.stages import forcing
from rlvr.stages.forcing import Begun, cut, ended_at, go_on, judge, made_to_go_on, thinking_tokens
from rlvr.stages.parts import Parts
from rlvr.types import Completion, IntArray, read_only

MODEL = Path(__file__).resolve().parents[2] / "models" / "laptop-base"
QUESTION = "Amir has 23 cards. Tara has 8 fewer than Amir. How many cards does Tara have?"
WORKING = "<think>23-8=15\n15+0=15"
LIMITS = (4, 12, 40)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return make_parts(MODEL, {})


@pytest.fixture(scope="module")
def prompt(parts: Parts) -> IntArray:
    return encode_prompt(parts.tokenizer, [{"role": "user", "content": QUESTION}])


def written(parts: Parts, text: str, *, stopped: bool = True) -> Completion:
    """The completion with that text."""
    ids = parts.tokenizer(text, add_special_tokens=False)["input_ids"] + [parts.tokenizer.eos_token_id] * stopped
    return Completion(
        read_only(ids, np.int64),
        read_only([-1.0] * len(ids), np.float32),
        read_only([True] * len(ids), np.bool_),
        text,
        "stop" if stopped else "length",
        0,
    )


def sampled(parts: Parts, prompt: IntArray, limit: int) -> list[Completion]:
    engine = parts.make_engine(len(prompt) + LIMITS[-1])
    engine.submit([Request(0, 5, prompt, 6, Sampling(1.0, limit, stop_token_ids(parts.tokenizer), 3, "evaluate"))])
    found = {}
    while engine.has_work:
        found.update({one.sample_index: one.completion for one in engine.step()})
    return [found[i] for i in range(6)]


def test_a_cut_completion_is_what_the_smaller_limit_gives(parts: Parts, prompt: IntArray) -> None:
    opened = read_only([*prompt, *parts.tokenizer("<think>", add_special_tokens=False)["input_ids"]], np.int64)
    longest = sampled(parts, opened, LIMITS[-1])
    assert any(len(one.token_ids) > 12 for one in longest)
    for limit in LIMITS:
        for ours, theirs in zip(
            (cut(parts.tokenizer, one, limit) for one in longest), sampled(parts, opened, limit), strict=True
        ):
            assert ours.token_ids.tolist() == theirs.token_ids.tolist()
            assert ours.logprobs.tolist() == theirs.logprobs.tolist()
            assert (ours.text, ours.finish) == (theirs.text, theirs.finish)


def test_thinking_is_counted_up_to_its_end(parts: Parts, prompt: IntArray) -> None:
    tokenizer = parts.tokenizer
    working = len(tokenizer(WORKING, add_special_tokens=False)["input_ids"])
    assert thinking_tokens(tokenizer, prompt, written(parts, f"{WORKING}</think>\\boxed{{15}}")) == working
    assert thinking_tokens(tokenizer, prompt, written(parts, WORKING, stopped=False)) == working
    assert thinking_tokens(tokenizer, prompt, written(parts, "\\boxed{15}")) is None
    # a prompt that opens the thinking itself
    opened = np.concatenate([prompt, tokenizer("<think>", add_special_tokens=False)["input_ids"]])
    rest = WORKING.removeprefix("<think>")
    assert thinking_tokens(tokenizer, opened, written(parts, rest, stopped=False)) == working - 1


def test_thinking_is_ended_after_the_budget_and_not_before_its_own_end(parts: Parts, prompt: IntArray) -> None:
    tokenizer = parts.tokenizer
    whole = written(parts, f"{WORKING}</think>\\boxed{{15}}")
    thought = thinking_tokens(tokenizer, prompt, whole)
    assert thought is not None
    begun = ended_at(tokenizer, prompt, whole, budget=5, draw_index=7)
    assert begun is not None
    assert begun.kept.token_ids.tolist() == whole.token_ids[:5].tolist()
    assert tokenizer.decode(begun.inserted) == "</think>"
    assert ended_at(tokenizer, prompt, whole, budget=thought, draw_index=7) is None
    assert ended_at(tokenizer, prompt, written(parts, "\\boxed{15}"), budget=1, draw_index=7) is None
    # still thinking when the limit came: it is ended even at the limit
    open_end = written(parts, WORKING, stopped=False)
    assert ended_at(tokenizer, prompt, open_end, budget=thought, draw_index=7) is not None


def test_thinking_is_made_to_go_on_where_it_would_end(parts: Parts, prompt: IntArray) -> None:
    begun = made_to_go_on(parts.tokenizer, prompt, written(parts, f"{WORKING}</think>\\boxed{{15}}"), draw_index=7)
    assert begun is not None
    assert begun.kept.text == WORKING
    assert parts.tokenizer.decode(begun.inserted) == "\nWait"
    for text, stopped in (("\\boxed{15}", True), (WORKING, False)):
        assert made_to_go_on(parts.tokenizer, prompt, written(parts, text, stopped=stopped), draw_index=7) is None


def test_a_forced_completion_goes_on_from_what_was_written(parts: Parts, prompt: IntArray) -> None:
    whole = written(parts, f"{WORKING}</think>\\boxed{{15}}")
    begun = [
        ended_at(parts.tokenizer, prompt, whole, budget=9, draw_index=1),
        made_to_go_on(parts.tokenizer, prompt, whole, draw_index=2),
    ]
    both = [one for one in begun if one is not None]
    made = go_on(parts, both, temperature=1.0, max_tokens=20, seed=3)
    for one, completion in zip(both, made, strict=True):
        head, middle = len(one.kept.token_ids), len(one.inserted)
        ids = completion.token_ids.tolist()
        assert ids[: head + middle] == [*one.kept.token_ids.tolist(), *one.inserted.tolist()]
        assert 0 < len(ids) - head - middle <= 20
        assert completion.trainable.tolist() == [True] * head + [False] * middle + [True] * (len(ids) - head - middle)
        assert completion.text.startswith(one.kept.text + parts.tokenizer.decode(one.inserted))
    # alone it comes out the same: its draws are its own
    alone = go_on(parts, both[1:], temperature=1.0, max_tokens=20, seed=3)
    assert alone[0].token_ids.tolist() == made[1].token_ids.tolist()


def test_what_has_no_room_to_go_on_stays_as_it_was_cut(
    parts: Parts, prompt: IntArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ended_at(parts.tokenizer, prompt, written(parts, WORKING, stopped=False), budget=6, draw_index=1)
    assert begun is not None
    monkeypatch.setattr(forcing, "context_length", lambda model: len(prompt) + 7)
    assert go_on(parts, [begun], temperature=1.0, max_tokens=20, seed=3) == [begun.kept]
    monkeypatch.setattr(forcing, "context_length", lambda model: len(prompt) + 9)
    made = go_on(parts, [begun], temperature=1.0, max_tokens=20, seed=3)
    assert 8 <= len(made[0].token_ids) <= 9
    assert go_on(parts, list[Begun](), temperature=1.0, max_tokens=20, seed=3) == []


def test_completions_that_no_engine_hands_over_are_judged(parts: Parts) -> None:
    found = judge(parts, [(task(0, 7), [written(parts, "w7"), written(parts, "w8")]), (task(1, 8), [])])
    assert [[verdict.outcome for verdict in verdicts] for verdicts in found] == [[1.0, 0.0], []]
