"""Every answer that the math verifier ever judged wrongly, and completions that it read wrongly."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rlvr.types import Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.math import check_reference

FINDS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "math_finds.toml").read_text())["find"]


def verdicts(pairs: list[tuple[str, str]]) -> list[Verdict]:
    """Gives the verdicts of (reference, completion) pairs."""
    return list(verify_many([{"completion": text, "answer": reference} for reference, text in pairs], "math"))


def misjudged(label: str, outcome: float) -> list[tuple[str, str]]:
    pairs = [(find["reference"], answer) for find in FINDS for answer in find.get(label, ())]
    found = verdicts([(reference, rf"So it is $\boxed{{{answer}}}$.") for reference, answer in pairs])
    return [pair for pair, verdict in zip(pairs, found, strict=True) if verdict.outcome != outcome]


def test_what_was_wrongly_refused_is_accepted() -> None:
    assert misjudged("right", 1.0) == []


def test_what_was_wrongly_accepted_is_refused() -> None:
    assert misjudged("wrong", 0.0) == []


@pytest.mark.parametrize(
    "text",
    [
        r"<THINK>\boxed{4}",
        r"<think >\boxed{4}",
        r"<thinking>\boxed{4}",
        r"\boxed{\fbox{4} 5}",
    ],
)
def test_a_completion_without_one_visible_answer_is_refused(text: str) -> None:
    (found,) = verdicts([("4", text)])
    assert found.outcome == 0.0


@pytest.mark.parametrize("reference", ["7" * 5000, r"\frac{" + "7" * 5000 + "}{3}", r"0.\overline{" + "7" * 5000 + "}"])
def test_a_reference_of_thousands_of_digits_ends_nothing(reference: str) -> None:
    # Python refuses to read an integer of more than 4300 digits.
    found = verdicts([(reference, r"\boxed{4}"), ("4", rf"\boxed{{{reference[:1500]}}}")])
    assert [verdict.outcome for verdict in found] == [0.0, 0.0]


def test_a_reference_that_no_answer_can_be_as_long_as_is_refused() -> None:
    assert "10,001 characters" in (check_reference("x" * 10_001) or "")
