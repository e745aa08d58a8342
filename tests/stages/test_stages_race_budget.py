"""What a race may spend: how it is read, how many racers it pays for, and who is left out."""

import pytest

from rlvr.errors import RecipeError
from rlvr.stages.race.budget import Budget, Prices, check_budget, check_unit, cut, num_paid, read_budget
from rlvr.stages.race.policy import Decision


def test_a_budget_is_a_number_and_a_unit():
    assert read_budget("800steps") == Budget(800.0, "steps")
    assert read_budget("2e6tokens") == Budget(2_000_000.0, "tokens")
    assert read_budget("4000 cpu-s") == Budget(4000.0, "cpu-s")
    assert str(read_budget("2e6tokens")) == "2,000,000 sampled tokens"


@pytest.mark.parametrize("text", ["", "800", "steps", "800hours", "0steps", "-3steps", "1.2.3steps", "nansteps"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(RecipeError, match="is no budget"):
        read_budget(text)


def test_a_budget_in_steps_must_bring_one_racer_to_the_end():
    # 8 to step 10 and one from there to step 100: 80 + 90
    check_budget(Budget(170, "steps"), num_racers=8, first=10, steps=100)
    with pytest.raises(RecipeError, match="170 do"):
        check_budget(Budget(169, "steps"), num_racers=8, first=10, steps=100)
    check_budget(Budget(1, "cpu-s"), num_racers=8, first=10, steps=100)


def test_a_budget_of_gpu_seconds_needs_a_gpu():
    check_unit(read_budget("1gpu-s"), num_gpus=2, at_once=2)
    with pytest.raises(RecipeError, match="the race has no GPU") as caught:
        check_unit(read_budget("4000gpu-s"), num_gpus=0, at_once=1)
    assert caught.value.hint == "--budget 4000cpu-s"
    with pytest.raises(RecipeError, match="4 racers at once share 2 GPUs"):
        check_unit(read_budget("4000gpu-s"), num_gpus=2, at_once=4)


def test_as_many_are_paid_for_as_leave_one_its_way_to_the_end():
    # One on its way to the end: 70 steps at 2 and two measurements at 5 are 150. Each to the next rung: 20 x 2 + 5.
    prices = Prices(step=2.0, measuring=5.0)
    assert num_paid(150 + 3 * 45, prices, until_next=20, until_end=70) == 3
    assert num_paid(150 + 3 * 45 - 1, prices, until_next=20, until_end=70) == 2
    assert num_paid(100, prices, until_next=20, until_end=70) == 0
    # To the end itself: 70 x 2 and two measurements each
    assert num_paid(300, prices, until_next=70, until_end=0) == 2
    assert num_paid(299, prices, until_next=70, until_end=0) == 1


def test_the_lowest_of_those_that_go_on_are_left_out():
    found = {
        "a": Decision(True, "1 of 4", 0.5),
        "b": Decision(True, "2 of 4", 0.7),
        "c": Decision(False, "4 of 4", 0.9),
        "d": Decision(True, "3 of 4", 0.5),
    }
    left = cut(found, 2, Budget(100, "steps"))
    assert [name for name, one in left.items() if one.goes_on] == ["a", "b"]
    assert left["d"].reason == "3 of 4; the budget of 100 training steps pays for 2"
    assert left["c"] is found["c"]
    assert cut(found, 3, Budget(100, "steps")) == found
