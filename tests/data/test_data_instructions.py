"""Instructions: every line keeps what is asked, the ladder grows, and no order is on both sides of the split."""

import itertools
import json
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from rlvr.data.split import split_of
from rlvr.data.synthetic import instructions
from rlvr.data.synthetic.exercise import Domain, Exercise
from rlvr.data.synthetic.instructions import ORDERS, PHRASES, exercises
from rlvr.errors import DataError
from rlvr.types import Completion, Task, read_only
from rlvr.verifiers.table import VERIFIERS

DOMAIN: Domain = exercises


@cache
def first_of(
    split: str, count: int, *, seed: int = 0, rungs: tuple[int, int] = (1, 6), written: bool = False
) -> tuple[Exercise, ...]:
    found = DOMAIN(split, purpose="task", seed=seed, min_rung=rungs[0], max_rung=rungs[1], written=written)
    return tuple(exercise for _, exercise in itertools.islice(found, count))


def outcome(exercise: Exercise, text: str) -> float | None:
    messages = ({"role": "user", "content": exercise.question},)
    task = Task("t", messages, exercise.reference, exercise.verifier, "instructions", "instructions")
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    verdict = VERIFIERS[exercise.verifier](task, Completion(ids, logprobs, trainable, text, "stop", 0))
    return verdict.outcome


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_every_line_keeps_its_constraints(split: str) -> None:
    for exercise in first_of(split, 500):
        assert outcome(exercise, exercise.answer) == 1.0, exercise
        assert (exercise.frame, split_of(exercise.key)) == ("line", split)


def test_the_working_is_the_line_with_each_word_counted() -> None:
    for exercise in first_of("train", 500):
        (draft,) = exercise.lines
        counted = [re.fullmatch(r"([A-Za-z]+)(\d+)(,?)", word) for word in draft.split()]
        assert all(counted), draft
        assert [int(word[2]) for word in counted if word] == [*range(1, len(exercise.answer.split()) + 1)]
        assert " ".join(word[1] + word[3] for word in counted if word) == exercise.answer
    draft = next(e.lines[0] for e in first_of("train", 500) if e.answer.count(",") == 1)
    assert re.search(r"[a-z]\d+, [a-z]", draft), "the comma stands behind the number, and one blank after it"


def test_a_line_that_is_filled_with_a_word_twice_in_a_row_is_wrong_unless_that_was_asked() -> None:
    exercise = next(one for one in first_of("train", 3000) if "of at least 4 words" in one.question)
    assert outcome(exercise, exercise.answer) == 1.0
    words = exercise.answer.split()
    assert outcome(exercise, " ".join([*words[:1], *words])) == 0.0
    asked = [one for one in first_of("train", 3000) if one.reference["constraints"][-1]["kwargs"]["but"]]
    assert all("twice" in one.question or "3 times" in one.question for one in asked)
    assert 10 < len(asked) < 1000


def test_the_line_of_another_exercise_is_seldom_right() -> None:
    found = [exercise for exercise in first_of("train", 3000) if exercise.rung > 2][:500]
    others = [outcome(exercise, other.answer) for exercise, other in itertools.pairwise(found)]
    # Exact counts match by chance about once in eight, and one or two more constraints have to hold besides.
    assert 0 < sum(map(bool, others)) < 0.1 * len(others)


def test_no_order_and_no_question_is_on_both_sides() -> None:
    train, evaluation = first_of("train", 3000), first_of("evaluation", 500)
    assert {exercise.key for exercise in train}.isdisjoint(exercise.key for exercise in evaluation)
    assert {exercise.question for exercise in train}.isdisjoint(exercise.question for exercise in evaluation)


def test_the_key_is_the_constraints_whatever_the_wording() -> None:
    found = first_of("train", 1500, rungs=(1, 1))
    for exercise in found:
        assert json.loads(exercise.key) == exercise.reference["constraints"][:-1]
    wordings: dict[str, set[str]] = {}
    for exercise in found:
        wordings.setdefault(exercise.key, set()).add(exercise.question)
    assert max(map(len, wordings.values())) >= 5


def test_the_lines_have_2_to_16_words_and_longer_ones_on_higher_rungs() -> None:
    found = first_of("train", 3000)
    lengths = Counter(len(exercise.answer.split()) for exercise in found)
    assert set(lengths) == set(range(2, 17))
    for exercise in found:
        # Rung r draws r + 1 to 2r + 4 words: 2 to 6 on rung 1, 7 to 16 on rung 6.
        assert exercise.rung + 1 <= len(exercise.answer.split()) <= 2 * exercise.rung + 4


@pytest.mark.parametrize(("rung", "asked"), [(1, 2), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4)])
def test_a_rung_asks_for_so_many_things(rung: int, asked: int) -> None:
    found = first_of("train", 100, rungs=(rung, rung))
    assert {len(exercise.reference["constraints"][:-1]) for exercise in found} == {asked}
    assert {exercise.rung for exercise in found} == {rung}


def test_every_kind_of_constraint_is_asked_in_every_wording() -> None:
    questions = " ".join(exercise.question for exercise in first_of("train", 3000))
    for templates in (*ORDERS.values(), *PHRASES.values()):
        for template in templates:
            pattern = re.sub(r"\\{\w+\\}", r"\\w+(?: times)?", re.escape(template))
            assert re.search(pattern, questions), template


def test_written_text_asks_for_little_more_often_than_for_much() -> None:
    counts = Counter(exercise.rung for exercise in first_of("train", 3000, written=True))
    # Weights 0.6**r over rungs 1 to 6 sum to 1.43: rung 1 has 0.6 / 1.43 = 0.42 of them, rung 6 0.047 / 1.43 = 0.03.
    assert counts[1] / 3000 == pytest.approx(0.42, abs=0.04)
    assert counts[6] / 3000 == pytest.approx(0.033, abs=0.015)
    even = Counter(exercise.rung for exercise in first_of("train", 3000))
    assert all(count / 3000 == pytest.approx(1 / 6, abs=0.03) for count in even.values())


def test_questions_are_short_and_lines_not_in_lower_case_start_with_a_capital() -> None:
    for exercise in first_of("train", 3000):
        assert 5 <= len(exercise.question.split()) <= 30
        lower = any(row["id"] == "change_case:english_lowercase" for row in exercise.reference["constraints"])
        assert exercise.answer[0].isupper() != lower
        assert re.fullmatch(r"[A-Za-z]+(,? [A-Za-z]+)*", exercise.answer)


def test_no_word_to_use_stands_inside_another_word_of_the_lines() -> None:
    words = {word.lower() for exercise in first_of("train", 3000) for word in re.findall(r"\w+", exercise.answer)}
    rows = [row for exercise in first_of("train", 3000) for row in exercise.reference["constraints"]]
    targets = {word for row in rows for word in row["kwargs"].get("keywords", ())}
    assert len(targets) > 50
    assert [(word, other) for word in targets for other in words if word in other and word != other] == []


@pytest.mark.parametrize("rung", [1, 3, 6])
def test_no_order_fills_a_rung_of_the_evaluation_split(rung: int) -> None:
    counts = Counter(exercise.key for exercise in first_of("evaluation", 100, rungs=(rung, rung)))
    assert max(counts.values()) <= 20


def test_orders_are_many() -> None:
    # 1,000 draws of 1,000,000 equally likely orders hold 1000**2 / 2 / 1,000,000 = 0.5 pairs that are the same.
    found = [exercise.key for exercise in first_of("train", 3000) if exercise.rung >= 5][:900]
    assert len(found) == 900
    assert len(set(found)) > 890


def test_an_exercise_is_the_same_whoever_asks() -> None:
    assert first_of("train", 20, seed=4) == first_of.__wrapped__("train", 20, seed=4)
    assert first_of("train", 20, seed=4) != first_of("train", 20, seed=5)


@pytest.mark.parametrize(("split", "low", "high"), [("test", 1, 6), ("train", 0, 6), ("train", 1, 7), ("train", 3, 2)])
def test_what_cannot_be_made_is_named(split: str, low: int, high: int) -> None:
    with pytest.raises(DataError, match=f"'{split}' with rungs {low} to {high}"):
        first_of(split, 1, rungs=(low, high))
    assert instructions.HIGHEST_RUNG == 6
