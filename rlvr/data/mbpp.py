"""MBPP in its published layouts: all 974 problems as JSON lines, or the 427 hand-checked ones ("sanitized") as JSON.

Source: Austin et al., "Program Synthesis with Large Language Models", 2021,
https://github.com/google-research/google-research/tree/master/mbpp. Splits by the published ids: "test" is 11 to 510,
"few_shot" 1 to 10; "train" and "evaluation" part the rest by hash ("all" is both). A prompt shows the first test, so
that the function's name is known; the others stay hidden.
"""

import ast
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from rlvr.data.programs import parsed as parsed_code
from rlvr.data.rows import BadRow, Row, first_match, parsed, read_rows
from rlvr.data.split import split_of
from rlvr.errors import DataError
from rlvr.types import Demonstration, Message, Solution, Task

T = TypeVar("T")

INSTRUCTION = "Answer with one block of Python code."
FULL, SANITIZED = "mbpp", "mbpp_sanitized"

_FILES = {
    FULL: ("mbpp.jsonl", "mbpp.jsonl.gz"),
    SANITIZED: ("mbpp_sanitized.json", "sanitized-mbpp.json", "mbpp_sanitized.jsonl"),
}


def tasks(
    name: str,
    split: str,
    *,
    path: str | Path,
    evaluation_share: float = 0.05,
    shown_tests: int = 1,
    instruction: str = INSTRUCTION,
) -> Iterator[Task | BadRow]:
    """Yields the tasks of "mbpp" or "mbpp_sanitized" for the verifier "code".

    `path` is a file, or the folder with the published ones; `evaluation_share` is what "evaluation" takes of the
    problems that are free for training; `shown_tests` of the tests stand in the prompt; `instruction` becomes its last
    line ("" for none).
    """
    parse = partial(task_from_row, name=name, shown_tests=shown_tests, instruction=instruction)
    return _read(name, split, path, evaluation_share, parse)


def demonstrations(
    name: str,
    split: str,
    *,
    path: str | Path,
    evaluation_share: float = 0.05,
    shown_tests: int = 1,
    instruction: str = INSTRUCTION,
) -> Iterator[Demonstration | BadRow]:
    """Yields the published solutions as a block of code; options as `tasks`."""

    def parse(row: Row) -> Demonstration:
        task = task_from_row(row, name=name, shown_tests=shown_tests, instruction=instruction)
        turn = {"role": "assistant", "content": f"```python\n{_code(row).strip()}\n```"}
        return Demonstration(task.id, (*task.messages, turn), task.domain)

    return _read(name, split, path, evaluation_share, parse)


def solutions(name: str, split: str, *, path: str | Path) -> Iterator[Solution | BadRow]:
    """Yields each task with its published solution."""
    return _read(name, split, path, 0.0, lambda row: Solution(task_from_row(row, name=name), _code(row)))


def task_from_row(row: Row, *, name: str, shown_tests: int = 1, instruction: str = INSTRUCTION) -> Task:
    """Gives the task of a row. Raises: DataError where a field is missing or its tests call none of its functions."""
    number, tests = _number(row), row.values.get("test_list")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise DataError("no test_list")
    imports = row.values.get("test_imports") or []
    setup = row.values.get("test_setup_code") or ""
    asserts = "\n".join(part.replace("\r\n", "\n") for part in [*imports, setup, *tests] if part.strip())
    reference = {"asserts": asserts, "entry": _entry(_code(row), asserts)}
    messages = (_prompt(row, tests[:shown_tests], instruction),)
    return Task(f"{name}/{number}", messages, reference, "code", name, name, check="tested")


def _read(
    name: str,
    split: str,
    path: str | Path,
    evaluation_share: float,
    parse: Callable[[Row], T],
) -> Iterator[T | BadRow]:
    if split not in ("train", "evaluation", "all", "test", "few_shot"):
        raise DataError(f"{name} has no split {split!r}", hint="use train, evaluation, all, test or few_shot")

    def kept(row: Row) -> T | None:
        number = _number(row)
        if _split(row, number, split, evaluation_share) != split:
            return None
        return parse(row)

    rows = read_rows(first_match(path, _FILES[name], what=f"{name} file"))
    return (item for item in parsed(rows, kept) if item is not None)


def _split(row: Row, number: int, wanted: str, evaluation_share: float) -> str:
    if 11 <= number <= 510:
        return "test"
    if number <= 10:
        return "few_shot"
    return "all" if wanted == "all" else split_of(_problem(row), evaluation_share=evaluation_share)


def _number(row: Row) -> int:
    number = row.values.get("task_id")
    if not isinstance(number, int):
        raise DataError("no task_id")
    return number


def _problem(row: Row) -> str:
    text = row.values.get("text") or row.values.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise DataError("no text")
    return text.strip()


def _code(row: Row) -> str:
    code = row.values.get("code")
    if not isinstance(code, str) or not code.strip():
        raise DataError("no code")
    return code.replace("\r\n", "\n")


def _prompt(row: Row, shown: list[str], instruction: str) -> Message:
    tests = "\n".join(shown)
    parts = [_problem(row), f"It has to pass this:\n\n```python\n{tests}\n```" if shown else "", instruction]
    return {"role": "user", "content": "\n\n".join(part for part in parts if part)}


def _entry(code: str, tests: str) -> str:
    """Gives the function of the solution that the tests call, the last one where they call several."""
    defined = [node.name for node in parsed_code(code, "the solution").body if isinstance(node, ast.FunctionDef)]
    called = {
        node.func.id
        for node in ast.walk(parsed_code(tests, "a test"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    found = [name for name in defined if name in called]
    if not found:
        raise DataError("the tests call no function of the solution")
    return found[-1]
