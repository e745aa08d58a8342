"""Problems: every number that is written down follows from the story, and the two splits share no calculation."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.data.synthetic import arithmetic, items
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.problems import HIGHEST, Event, Problem, make_problem, step
from rlvr.errors import DataError


def value(expression: str) -> int:
    """The value of a sum of products: "27+3*5" is 42."""
    total = 0
    for sign, term in re.findall(r"([+-]?)(\d+(?:[*/]\d+)*)", expression):
        numbers = [int(number) for number in re.findall(r"\d+", term)]
        product = numbers[0]
        for op, number in zip(re.findall(r"[*/]", term), numbers[1:], strict=True):
            assert op == "*" or product % number == 0, expression
            product = product * number if op == "*" else product // number
        total += -product if sign == "-" else product
    return total


def test_the_reader_of_these_tests_calculates_as_people_do() -> None:
    assert value("27+3*5") == 42  # 27 + 15
    assert value("40-12/4") == 37  # 40 - 3


@settings(max_examples=200)
@given(index=st.integers(0, 10**6), num_steps=st.integers(1, 5))
def test_a_problem_has_the_steps_asked_for_and_stays_between_one_and_the_highest_number(
    index: int, num_steps: int
) -> None:
    problem = make_problem(Dice(3, "test", index), num_steps)
    assert len(problem.steps) == num_steps
    for part in problem.steps:
        assert value(f"{part.left}{part.op}{part.right}") == part.result
        assert all(1 <= number <= HIGHEST for number in (part.left, part.right, part.result))
    assert problem.text.endswith("?")


@settings(max_examples=200)
@given(index=st.integers(0, 10**6), num_steps=st.integers(1, 5))
def test_both_sides_of_every_equation_are_equal_and_the_last_one_gives_the_answer(index: int, num_steps: int) -> None:
    problem = make_problem(Dice(4, "test", index), num_steps)
    lines = [part.equation for part in problem.steps]
    for line in lines:
        assert len({value(side) for side in line.split("=")}) == 1, line
    assert lines[-1].split("=")[-1] == str(problem.answer)


@settings(max_examples=100)
@given(index=st.integers(0, 10**6), num_steps=st.integers(1, 5))
def test_every_number_that_a_step_takes_stands_in_the_story_or_was_calculated_before(
    index: int, num_steps: int
) -> None:
    problem = make_problem(Dice(5, "test", index), num_steps)
    known = {int(number) for number in re.findall(r"\d+", problem.text)}
    for part in problem.steps:
        assert {part.left, part.right} <= known
        known.add(part.result)


def test_problems_with_the_same_numbers_have_the_same_calculation_whatever_their_words() -> None:
    events = (Event((step(12, "+", 5),)), Event((step(3, "*", 4), step(17, "-", 12))))
    one, other = Problem("Mia has 12 nuts.", events), Problem("Tom owns 12 hats.", events)
    assert one.calculation == other.calculation == "12+5 3*4 17-12"
    assert one.answer == 5  # 12 + 5 = 17, 3 * 4 = 12, 17 - 12 = 5


def test_a_comparison_and_a_sum_of_two_people_are_worked_as_told() -> None:
    first = r"(?:There are (\d+) \w+ on the table of \w+|\w+ (?:has|starts with|owns) (\d+) \w+)\. "
    second = r"\w+ (?:has|owns) (\d+) (?:\w+ )?(more|fewer) (?:\w+ )?than \w+\. "
    question = r"How many .*(together|both have)?\?"
    found = {("more", 1): 0, ("fewer", 1): 0, ("more", 2): 0, ("fewer", 2): 0}
    for index in range(3000):
        problem = make_problem(Dice(6, "test", index), 1 + index % 2)
        told = re.fullmatch(first + second + question, problem.text)
        if told is None:
            continue
        start, n = int(told[1] or told[2]), int(told[3])
        other = start + n if told[4] == "more" else start - n
        together = problem.text.endswith(("together?", "both have?"))
        assert problem.answer == (start + other if together else other), problem.text
        found[told[4], 2 if together else 1] += 1
    assert min(found.values()) >= 3, found


def test_dice_give_the_same_row_again_and_another_row_for_another_index() -> None:
    rows = [[dice.between(1, 6) for _ in range(200)] for dice in (Dice(1, "a", 7), Dice(1, "a", 7), Dice(1, "a", 8))]
    assert rows[0] == rows[1] != rows[2]
    assert set(rows[0]) == {1, 2, 3, 4, 5, 6}


def test_dice_follow_the_weights_and_take_different_things() -> None:
    dice = Dice(1, "weights", 0)
    picked = [dice.weighted(((3.0, "a"), (1.0, "b"), (0.0, "c"))) for _ in range(4000)]
    # 3 of 4: 3000 expected, standard deviation sqrt(4000 * 3/16) = 27
    assert abs(picked.count("a") - 3000) < 110
    assert "c" not in picked
    for _ in range(50):
        assert len(set(dice.some("abcde", 4))) == 4


@pytest.mark.parametrize(
    ("split", "low", "high"), [("test", 1, 5), ("train", 0, 5), ("train", 4, 3), ("evaluation", 1, 99)]
)
def test_an_unknown_split_or_number_of_steps_is_an_error_that_says_what_is_possible(
    split: str, low: int, high: int
) -> None:
    with pytest.raises(DataError, match="no arithmetic for split") as raised:
        next(items.tasks("arithmetic", split, min_rung=low, max_rung=high))
    assert "evaluation" in raised.value.hint


def test_no_evaluation_calculation_occurs_in_any_text_that_a_stage_trains_on() -> None:
    def calculations(split: str, purpose: str, seed: int, count: int) -> set[str]:
        drawn = arithmetic.exercises(split, purpose=purpose, seed=seed, min_rung=1, max_rung=12, written=False)
        return {exercise.key for _, exercise in itertools.islice(drawn, count)}

    evaluation = calculations("evaluation", "task", 0, 300)
    purposes = ("task", "demonstration", "preference", "document")
    train = {key for purpose in purposes for seed in (0, 1) for key in calculations("train", purpose, seed, 1000)}
    assert len(evaluation) > 250
    assert not evaluation & train
