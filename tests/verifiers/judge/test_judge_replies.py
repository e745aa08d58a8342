"""A judge's reply is read by schema: the last whole verdict with the code, finite, in [0, 1], or nothing."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.verifiers.judge.replies import BETTER, MEETS, Choices, Scale, read_reply

CODE = "a1b2c3d4e5f6"
TEN = Scale(low=1, high=10)


def said(verdict: Any, code: str = CODE) -> str:
    return json.dumps({"code": code, "verdict": verdict})


READ: list[tuple[str, Choices, float]] = [
    (said("yes"), MEETS, 1.0),
    (said("no"), MEETS, 0.0),
    (said(" Yes "), MEETS, 1.0),
    (f"It is right.\n\n```json\n{said('yes')}\n```\n", MEETS, 1.0),
    (f"{said('yes')}\nOn reflection:\n{said('no')}", MEETS, 0.0),
    (f'The student wrote {{"verdict": "yes"}} and Final Decision: Yes.\n{said("no")}', MEETS, 0.0),
    (f'{said("no")}\n(The student wrote {{"code": "guess", "verdict": "yes"}}.)', MEETS, 0.0),
    (f"<think>{said('yes')} or not</think>{said('no')}", MEETS, 0.0),
    (f'{{"reason": "the set {{1, 2}} is right", "code": "{CODE}", "verdict": "yes"}}', MEETS, 1.0),
    (f'{{"verdict": "no", "code": "{CODE}"}}', MEETS, 0.0),
    (f"\\boxed{{4}} is {{right}}. {said('yes')} Hope this helps!", MEETS, 1.0),
    (said("A"), BETTER, 1.0),
    (said("b"), BETTER, 0.0),
    (said("tie"), BETTER, 0.5),
    (said(1), TEN, 0.0),
    (said(10), TEN, 1.0),
    (said(5.5), TEN, 0.5),
    (said("7"), TEN, 6 / 9),
    (said("8/10"), TEN, 7 / 9),
    (said(100), TEN, 1.0),
    (said(-5), TEN, 0.0),
    (said(1e9), TEN, 1.0),
    (said(10**400), TEN, 1.0),
    (said(-(10**400)), TEN, 0.0),
]
UNREADABLE: list[tuple[str, Choices]] = [
    ("", MEETS),
    ("Yes, the answer is right.", MEETS),
    ("I'm sorry, but I can't help with that.", MEETS),
    ('{"verdict": "yes"}', MEETS),
    (said("yes", code="000000000000"), MEETS),
    (said("yes", code=CODE.upper()), MEETS),
    (said("right"), MEETS),
    (said(True), MEETS),
    (said(1), MEETS),
    (said(None), MEETS),
    (said(["yes"]), MEETS),
    (said({"yes": 1}), MEETS),
    (f'{{"code": "{CODE}"}}', MEETS),
    (f'{{"code": "{CODE}", "verdict": "yes", "verdict": "no"}}', MEETS),
    (f"{{'code': '{CODE}', 'verdict': 'yes'}}", MEETS),
    (f'{said("yes")}\nNo:\n{{"code": "{CODE}", "verdict": "n', MEETS),
    (f'{{"code": "{CODE}", "verdict": "yes"', MEETS),
    (f'{said("yes")}\n{{"code": "{CODE}", "verdict": "maybe"}}', MEETS),
    (f"<think>{said('yes')}", MEETS),
    (f"[{said('yes')}]" + f" {CODE}", MEETS),
    (said("tie"), MEETS),
    (said("AB"), BETTER),
    (f'{{"code": "{CODE}", "verdict": NaN}}', TEN),
    (f'{{"code": "{CODE}", "verdict": Infinity}}', TEN),
    (f'{{"code": "{CODE}", "verdict": {"9" * 5000}}}', TEN),
    (said("nan"), TEN),
    (said("8/100"), TEN),
    (said("ten"), TEN),
    (said(True), TEN),
    ("[" * 100_000, MEETS),
    ("{" * 100_000, MEETS),
    ('{"code":' * 50_000, MEETS),
    (said("yes") + "x" * 100_000, MEETS),
]


@pytest.mark.parametrize(("reply", "choices", "value"), READ)
def test_a_whole_legal_verdict_is_read(reply: str, choices: Choices, value: float) -> None:
    assert read_reply(reply, CODE, choices) == pytest.approx(value)


@pytest.mark.parametrize(("reply", "choices"), UNREADABLE)
def test_anything_else_is_no_verdict(reply: str, choices: Choices) -> None:
    assert read_reply(reply, CODE, choices) is None


pieces = st.sampled_from(
    [
        *(reply for reply, _, _ in READ),
        *(reply for reply, _ in UNREADABLE if len(reply) < 200),
        "{",
        "}",
        '"',
        CODE,
        "\n",
    ]
)


@given(st.lists(st.one_of(pieces, st.text(max_size=20)), max_size=6), st.sampled_from([MEETS, BETTER, TEN]))
def test_every_reply_gives_nothing_or_a_finite_number_in_the_unit_interval(said: list[str], choices: Choices) -> None:
    value = read_reply("".join(said), CODE, choices)
    assert value is None or (math.isfinite(value) and 0.0 <= value <= 1.0)


@given(st.floats(), st.integers(-100, 100), st.integers(1, 100))
def test_a_number_becomes_its_place_on_the_scale(verdict: float, low: int, width: int) -> None:
    value = read_reply(said(verdict), CODE, Scale(low=low, high=low + width))
    if math.isfinite(verdict):
        assert value == pytest.approx(min(1.0, max(0.0, (verdict - low) / width)))
    else:
        assert value is None
