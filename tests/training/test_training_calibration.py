import pytest

from rlvr.errors import VerifierError
from rlvr.training.calibration import calibrate
from rlvr.types import Solution, Task
from rlvr.verifiers import code


def task(number: int, asserts: str) -> Task:
    return Task(f"made/{number}", (), {"asserts": asserts, "entry": "f"}, "code", "made", "made")


def test_tasks_whose_solution_fails_their_own_tests_are_named_with_the_reason() -> None:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
    given = [
        Solution(task(1, "assert f(1) == 2"), "def f(x): return x + 1"),
        Solution(task(2, "assert f(1) == 3"), "def f(x): return x + 1"),
        Solution(task(3, "assert f(1) == 2"), "def f(x): return 1 / 0"),
        Solution(task(4, "assert True"), "def f(x): return x"),
    ]
    assert [(one.task.id, one.reason) for one in calibrate(given)] == [
        ("made/1", ""),
        ("made/2", "ok: case 1: gave 2"),
        (
            "made/3",
            "exception: case 1: raised ZeroDivisionError: division by zero; raised ZeroDivisionError: division by zero",
        ),
        ("made/4", "bad_reference: the tests call nothing of the program"),
    ]


def test_each_task_s_own_verifier_judges_and_the_order_is_kept() -> None:
    asked = (("exact", "4"), ("numeric", {"answer": "4"}), ("exact", "4"))
    tasks = [Task(f"made/{verifier}", (), reference, verifier, "made", "made") for verifier, reference in asked]
    found = list(calibrate([Solution(task, text) for task, text in zip(tasks, ("4", r"\boxed{4}", "5"), strict=True)]))
    assert [(one.task.verifier, one.reason) for one in found] == [("exact", ""), ("numeric", ""), ("exact", "ok: ")]
