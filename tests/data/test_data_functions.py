"""Functions: the working finds the number, the program keeps the examples, hidden inputs tell programs apart."""

import asyncio
import itertools
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from rlvr.data.split import split_of
from rlvr.data.synthetic import forms, functions, items
from rlvr.data.synthetic.exercise import Domain, Exercise
from rlvr.data.synthetic.functions import KINDS, exercises
from rlvr.data.synthetic.problems import HIGHEST
from rlvr.errors import DataError, VerifierError
from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers import code

DOMAIN: Domain = exercises
EXAMPLE = re.compile(r"f\((\d+)\) = (\d+)")
LIMITS = {"min", "max"}


@cache
def first_of(split: str, count: int, *, rungs: tuple[int, int] = (1, 5)) -> tuple[Exercise, ...]:
    found = DOMAIN(split, purpose="task", seed=0, min_rung=rungs[0], max_rung=rungs[1], written=False)
    return tuple(exercise for _, exercise in itertools.islice(found, count))


def lines_of(exercise: Exercise) -> list[str]:
    head, *lines, last = exercise.answer.splitlines()
    assert (head, last) == ("def f(x):", "    return x")
    return [line.removeprefix("    ") for line in lines]


def value(lines: list[str], x: int) -> int:
    """Runs lines of our own making, so that the table of operations is held against Python itself."""
    scope: dict[str, Any] = {"x": x}
    exec("\n".join(lines), {"min": min, "max": max}, scope)
    return int(scope["x"])


def passes(exercise: Exercise, lines: list[str]) -> bool:
    return all(value(lines, *call["args"]) == call["expected"] for call in exercise.reference["calls"])


def shown(exercise: Exercise) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in EXAMPLE.findall(exercise.question)]


def test_an_exercise_by_hand() -> None:
    operations = [("+", 4), ("*", 3), ("-", 5)]
    assert functions._working(operations, 1, 2) == ("2+4=6", "13+5=18", "18/6=3")
    assert functions._working(operations, 0, 2) == ("13+5=18", "18/3=6", "6-2=4")
    assert functions._working([("max", 9), ("from", 20)], 1, 2) == ("max(2, 9)=9", "9+11=20")


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_the_program_keeps_both_examples_and_all_hidden_calls(split: str) -> None:
    for exercise in first_of(split, 400):
        lines = lines_of(exercise)
        assert len(lines) == exercise.rung + 1 == len(exercise.lines)
        assert len(shown(exercise)) == 2
        assert all(value(lines, x) == y for x, y in shown(exercise))
        assert passes(exercise, lines)
        assert (exercise.frame, exercise.reference["entry"], split_of(exercise.key)) == ("fence", "f", split)


def test_each_line_of_the_working_is_true_and_the_last_one_gives_the_number_left_out() -> None:
    for exercise in first_of("train", 400):
        for line in exercise.lines:
            left, _, right = line.rpartition("=")
            assert value([f"x = {left}"], 0) == int(right), line
            assert all(1 <= int(number) <= HIGHEST for number in re.findall(r"\d+", line)), line
        numbers = [int(number) for line in lines_of(exercise) for number in re.findall(r"\d+", line)]
        said = [int(number) for number in re.findall(r"\d+", exercise.question.partition(". f(")[0])]
        (missing,) = [n for n in set(numbers) if numbers.count(n) > said.count(n)]
        assert int(exercise.lines[-1].rpartition("=")[2]) == missing


def test_hidden_inputs_are_others_than_the_shown_ones_and_lie_on_both_sides() -> None:
    for exercise in first_of("train", 400):
        hidden = [call["args"][0] for call in exercise.reference["calls"]]
        assert not set(hidden) & {x for x, _ in shown(exercise)}
        assert sum(x <= -50 for x in hidden) == sum(x >= 100 for x in hidden) == 2


def test_a_wrong_number_and_a_table_of_the_examples_fail_the_hidden_calls() -> None:
    for exercise in first_of("train", 400):
        lines = lines_of(exercise)
        for place, line in enumerate(lines):
            number = re.search(r"\d+", line)
            assert number is not None
            off = line.replace(number[0], str(int(number[0]) + 1))
            assert not passes(exercise, [*lines[:place], off, *lines[place + 1 :]]), (exercise, off)
        table = f"x = {dict(shown(exercise))}.get(x, 0)"
        assert all(value([table], x) == y for x, y in shown(exercise))
        assert not passes(exercise, [table])


def test_leaving_a_limit_out_may_keep_the_examples_and_still_fails_the_hidden_calls() -> None:
    limited = [e for e in first_of("train", 1500) if any(limit in e.answer for limit in LIMITS)]
    fits = 0
    for exercise in limited:
        lines = [line for line in lines_of(exercise) if not any(limit in line for limit in LIMITS)]
        fits += all(value(lines, x) == y for x, y in shown(exercise))
        assert not passes(exercise, lines), exercise
    assert fits > 50


def test_every_kind_of_operation_and_every_wording_occurs() -> None:
    found = first_of("train", 1500)
    for kind, row in KINDS.items():
        line = re.compile("    " + re.escape(row.line).replace(r"\{n\}", r"\d+"))
        assert sum(line.search(exercise.answer) is not None for exercise in found) > 50, kind
        for wording in row.wordings:
            told = wording.replace("{n}", r"(\d+|an? \w+ ?\w*|some number)")
            assert any(re.search(told, exercise.question) for exercise in found), wording


def test_no_program_of_the_evaluation_split_stands_line_for_line_in_the_train_split() -> None:
    train = {exercise.answer for exercise in first_of("train", 3000, rungs=(1, 2))}
    evaluation = {exercise.answer for exercise in first_of("evaluation", 500, rungs=(1, 2))}
    assert not train & evaluation
    assert len(evaluation) > 300


def test_the_forms_of_a_program_all_hold_it_in_a_block_of_its_own() -> None:
    for document in items.documents("functions", "train", limit=300):
        whole = document.prompt + document.text
        assert whole.count("```") == 2
        assert re.search(r"(^|\n|>)```python\ndef f\(x\):\n(    .+\n)+    return x\n```$", whole), whole
    exercise = first_of("train", 1)[0]
    assert forms.answer_only(exercise) == f"```python\n{exercise.answer}\n```"


def test_rungs_that_are_not_there_are_an_error() -> None:
    with pytest.raises(DataError, match="6"):
        next(items.tasks("functions", "train", limit=1, max_rung=6))


def test_the_code_verifier_takes_the_whole_answer_and_refuses_the_next_one() -> None:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)

    answers = {exercise.question: forms.completion(exercise) for exercise in first_of("evaluation", 100)}
    tasks = [t for t in items.tasks("functions", "evaluation", limit=30) if t.messages[0]["content"] in answers][:20]
    texts = [answers[task.messages[0]["content"]] for task in tasks]
    assert outcomes(tasks, texts) == [1.0] * 20
    assert outcomes(tasks, [*texts[1:], texts[0]]) == [0.0] * 20


def outcomes(tasks: list[Task], texts: list[str]) -> list[float | None]:
    async def judged() -> list[Verdict]:
        return await asyncio.gather(*(code.verify(t, said(text)) for t, text in zip(tasks, texts, strict=True)))

    return [verdict.outcome for verdict in asyncio.run(judged())]


def said(text: str) -> Completion:
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    return Completion(ids, logprobs, trainable, text, "stop", 0)


def test_a_task_asks_for_the_code_verifier() -> None:
    task: Task = next(items.tasks("functions", "train", limit=1))
    assert (task.verifier, task.domain, task.check) == ("code", "functions", "tested")
    assert code.check_reference(task.reference) is None
