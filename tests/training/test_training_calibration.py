import pytest

from rlvr.errors import VerifierError
from rlvr.training.calibration import calibrate
from rlvr.types import Task
from rlvr.verifiers import code


def task(number: int, asserts: str) -> Task:
    return Task(f"made/{number}", (), {"asserts": asserts, "entry": "f"}, "code", "made", "made")


def test_tasks_whose_solution_fails_their_own_tests_are_named_with_the_reason() -> None:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
    pairs = [
        (task(1, "assert f(1) == 2"), "def f(x): return x + 1"),
        (task(2, "assert f(1) == 3"), "def f(x): return x + 1"),
        (task(3, "assert f(1) == 2"), "def f(x): return 1 / 0"),
        (task(4, "assert True"), "def f(x): return x"),
    ]
    assert [(one.task.id, one.reason) for one in calibrate(pairs)] == [
        ("made/1", ""),
        ("made/2", "ok: case 1: gave 2"),
        (
            "made/3",
            "exception: case 1: raised ZeroDivisionError: division by zero; raised ZeroDivisionError: division by zero",
        ),
        ("made/4", "bad_reference: the tests call nothing of the program"),
    ]


def test_the_words_of_any_verifier_will_do() -> None:
    exact = Task("made/1", (), "4", "exact", "made", "made")
    assert [one.reason for one in calibrate([(exact, "4"), (exact, "5")], "exact")] == ["", "ok: "]
