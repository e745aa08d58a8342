"""From outcome to reward, each function by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rlvr.errors import VerifierError
from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.shaping import SHAPINGS, soft_overlong

TASK = Task("one", (), "4", "math", "tests", "sums")
RIGHT, WRONG = Verdict(1.0, "ok", parts={"steps": 0.5, "format": 1.0}), Verdict(0.0, "ok", parts={"format": 0.0})


def completion(*ids: int) -> Completion:
    none = read_only([], np.float32), read_only([], np.bool_)
    return Completion(read_only(list(ids), np.int64), *none, "x", "stop", 0)


def shaped(name: str, reward: float, verdict: Verdict = RIGHT, tokens: int = 1, **options: Any) -> float:
    return SHAPINGS[name](TASK, completion(*range(tokens)), verdict, reward, **options)


def test_each_function_by_hand() -> None:
    found = {
        "scale": shaped("scale", 0.5, factor=4.0),
        "domain_scale": shaped("domain_scale", 0.5, factors={"sums": 3.0}),
        "clip": shaped("clip", 7.0, low=-1.0, high=1.0),
        "weighted_sum": shaped("weighted_sum", 1.0, weights={"steps": 0.2, "format": -0.1}),  # 1 + .1 - .1
        "product": shaped("product", 0.8, parts=["steps", "format"]),
        "minimum": shaped("minimum", 0.8, parts=["steps", "format"]),
        "maximum": shaped("maximum", 0.8, parts=["steps", "format"]),
        "gate": shaped("gate", 1.2, part="format", at_least=1.0, otherwise=-1.0),
        "step_credit": shaped("step_credit", 1.0, part="steps", weight=0.4),  # .6·1 + .4·.5
        "format_bonus": shaped("format_bonus", 0.0, weight=0.1),
        "linear_length": shaped("linear_length", 1.0, tokens=5, weight=0.2, limit_tokens=10),  # 1 - .2·.5
        "cosine_length": shaped("cosine_length", 1.0, tokens=5, limit_tokens=10),  # half way: (2 + 1)/2
        "soft_overlong": shaped("soft_overlong", 1.0, tokens=7, limit_tokens=10, buffer_tokens=4),
        "missing_end": shaped("missing_end", 1.0, penalty=10.0),
    }
    wanted = {
        "scale": 2.0, "domain_scale": 1.5, "clip": 1.0, "weighted_sum": 1.0, "product": 0.4, "minimum": 0.5,
        "maximum": 1.0, "gate": 1.2, "step_credit": 0.8, "format_bonus": 0.1, "linear_length": 0.9,
        "cosine_length": 1.5, "soft_overlong": 0.75, "missing_end": 1.0,
    }  # fmt: skip
    assert found == pytest.approx(wanted)
    assert set(SHAPINGS) == {*wanted, "repetition"}


def test_what_does_not_apply_changes_nothing() -> None:
    assert shaped("domain_scale", 0.5, factors={"words": 3.0}) == 0.5
    assert shaped("gate", 0.7, WRONG, part="format", at_least=1.0, otherwise=-1.0) == -1.0
    assert shaped("gate", 0.7, WRONG, part="outcome", at_least=1.0, otherwise=0.0) == 0.0
    assert shaped("linear_length", 0.0, WRONG, tokens=9, weight=0.2, limit_tokens=10) == 0.0
    for status in ("no_answer", "hedged", "wrong_format"):
        assert shaped("format_bonus", 0.0, Verdict(0.0, status), weight=0.1) == 0.0  # type: ignore[arg-type]


def test_a_task_with_a_lower_threshold_is_solved_by_less_than_1() -> None:
    task, most = replace(TASK, threshold=0.8), Verdict(0.9, "ok")
    assert SHAPINGS["linear_length"](task, completion(1), most, 0.9, weight=0.5, limit_tokens=1) == pytest.approx(0.4)
    assert SHAPINGS["cosine_length"](task, completion(1), most, 0.9, limit_tokens=2) == pytest.approx(1.5)
    assert SHAPINGS["linear_length"](TASK, completion(1), most, 0.9, weight=0.5, limit_tokens=1) == 0.9


def test_cosine_lengths_ends_are_those_of_the_paper() -> None:
    right = [shaped("cosine_length", 1.0, tokens=n, limit_tokens=10) for n in (0, 9, 10)]
    wrong = [shaped("cosine_length", 0.0, WRONG, tokens=n, limit_tokens=10) for n in (0, 9, 10)]
    # At 9 of 10: (1 + cos(.9π))/2 = .02447; right 1 + .02447, wrong -10·.02447.
    last = (1 + math.cos(0.9 * math.pi)) / 2
    assert right == pytest.approx([2.0, 1 + last, -10.0])
    assert wrong == pytest.approx([-10.0, -10 * last, -10.0])


@pytest.mark.parametrize(("ids", "reward"), [((1, 2, 3, 4), 1.0), ((1, 2, 1, 2, 1), 0.5), ((1,), 1.0), ((), 1.0)])
def test_repetition_counts_the_ngrams_that_came_before(ids: tuple[int, ...], reward: float) -> None:
    # 1 2 1 2 1 has the pairs 12 21 12 21: two of four came before.
    assert SHAPINGS["repetition"](TASK, completion(*ids), RIGHT, 1.0, weight=1.0, ngram=2) == reward


def test_a_part_that_the_verdict_does_not_have_is_an_error_and_no_zero() -> None:
    with pytest.raises(VerifierError, match=r"no part 'step'; it has outcome, steps, format"):
        shaped("step_credit", 1.0, part="step", weight=0.5)


def test_a_completion_that_was_cut_pays_for_its_missing_end() -> None:
    cut = replace(completion(1, 2), finish="length")
    assert SHAPINGS["missing_end"](TASK, cut, RIGHT, 10.0, penalty=10.0) == 0.0
    assert SHAPINGS["missing_end"](TASK, completion(1, 2), RIGHT, 10.0, penalty=10.0) == 10.0


def test_soft_overlong_falls_by_equation_13_of_dapo() -> None:
    # limit 10, buffer 4: free up to 6; at 7 tokens (6-7)/4 = -0.25, at 10 (6-10)/4 = -1, beyond it -1.
    found = [shaped("soft_overlong", 1.0, tokens=n, limit_tokens=10, buffer_tokens=4) for n in (1, 6, 7, 9, 10, 11)]
    assert found == [1.0, 1.0, 0.75, 0.25, 0.0, 0.0]
    hard = [soft_overlong(TASK, completion(*range(n)), RIGHT, 1.0, limit_tokens=10, buffer_tokens=0) for n in (10, 11)]
    assert hard == [1.0, 0.0]
