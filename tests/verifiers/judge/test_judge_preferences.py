"""Which of two answers a judge prefers, asked in both orders."""

from typing import Any

import pytest
from endpoint import Reply, part, says
from judging import longer, prefer

pytestmark = pytest.mark.usefixtures("short_back_off")


def test_a_preference_is_what_both_orders_say() -> None:
    assert prefer(longer, "longer", "short")[0] == 1.0
    assert prefer(longer, "short", "longer")[0] == 0.0
    assert prefer(longer, "same", "size")[0] == 0.5
    assert len(prefer(longer, "longer", "short")[2].requests) == 2


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_goes_by_the_place_gives_a_tie(place: str) -> None:
    assert prefer(says(place), "one", "two")[0] == 0.5


def test_a_preference_with_one_reply_missing_is_not_known() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return says("A")(body) if part(body, "ANSWER A") == "one" else Reply("I cannot say.")

    assert prefer(script, "one", "two")[0] is None


def test_an_answer_of_no_worth_loses_without_a_question() -> None:
    for a, b, wanted in [("4", "", 1.0), (":", "4", 0.0), ("", ".", 0.5), ("4", "4", 0.5)]:
        value, _, seen = prefer(says("A"), a, b)
        assert value == wanted
        assert seen.requests == []
