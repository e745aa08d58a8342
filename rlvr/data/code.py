"""Programming problems of APPS, LiveCodeBench and AceCode in their published layouts, one JSON object a row.

    apps           question, input_output (JSON text), solutions (JSON text), starter_code, problem_id
    livecodebench  question_content, public_test_cases, private_test_cases, starter_code, metadata (JSON texts)
    acecode        question, test_cases (assert statements)

Splits: "train" and "evaluation" part a file by hash, "all" is both. `rlvr.data.programs` says how tests are read, and
has the sources.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rlvr.data import programs
from rlvr.data.formats import selected, solved
from rlvr.data.rows import BadRow, Row, data_files, read_rows
from rlvr.errors import DataError
from rlvr.types import Solution, Task

INSTRUCTION = "Answer with one block of Python code."
STDIN = "Read the input from standard input and print the output to standard output."


def tasks(
    name: str, split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Task | BadRow]:
    """Yields the tasks of "apps", "livecodebench" or "acecode" for the verifier "code".

    `path` is a data file or a folder of them; `evaluation_share` is what "evaluation" takes; `instruction` becomes the
    last line of each prompt ("" for none).
    """
    rows = read_rows(data_files(path))
    parse = partial(task_from_row, name=name)
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def solutions(
    name: str, split: str, *, path: str | Path, evaluation_share: float = 0.05
) -> Iterator[Solution | BadRow]:
    """Yields each task with the first published solution; rows without one are bad rows."""
    parse = partial(solved, parse=partial(task_from_row, name=name))
    return selected(read_rows(data_files(path)), parse, split=split, evaluation_share=evaluation_share)


def task_from_row(row: Row, *, name: str) -> Task:
    """Gives the task of a row. Raises: DataError where it has no question or no test that can be used."""
    question, reference, starter = _READ[name](row.values)
    parts = [question.strip()]
    if starter.strip():
        parts.append(f"Begin with this:\n\n```python\n{starter.strip()}\n```")
    if "stdin" in reference:
        parts.append(STDIN)
    key = next((row.values[k] for k in ("id", "problem_id", "question_id") if row.values.get(k) is not None), row.where)
    messages = ({"role": "user", "content": "\n\n".join(parts)},)
    return Task(f"{name}/{key}", messages, reference, "code", name, name, check="tested")


def _apps(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    tests = values.get("input_output")
    if isinstance(tests, str) and tests.strip():
        tests = programs.read_json(tests, "input_output")
    if not isinstance(tests, Mapping):
        raise DataError("no tests: input_output is empty")
    reference = programs.from_input_output(tests)
    starter = _text(values, "starter_code", optional=True)
    if "calls" in reference:
        reference["entry"] = programs.entry_of(reference["entry"], starter)
    return _text(values, "question"), reference, starter


def _livecodebench(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    cases: list[Any] = []
    for field in ("public_test_cases", "private_test_cases"):
        found = values.get(field) or []
        cases += programs.unpacked(found) if isinstance(found, str) else found
    metadata = values.get("metadata") or {}
    if isinstance(metadata, str):
        metadata = programs.read_json(metadata, "metadata")
    starter = _text(values, "starter_code", optional=True)
    name = str(metadata.get("func_name") or "") if isinstance(metadata, Mapping) else ""
    return _text(values, "question_content"), programs.from_test_cases(cases, name, starter), starter


def _acecode(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    tests = values.get("test_cases")
    if isinstance(tests, str):
        tests = programs.read_json(tests, "test_cases")
    return _text(values, "question"), programs.from_asserts(tests), ""


def _text(values: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    value = values.get(name)
    if optional and value is None:
        return ""
    if not isinstance(value, str) or not (optional or value.strip()):
        raise DataError(f"no {name}")
    return value


_READ: Mapping[str, Callable[[Mapping[str, Any]], tuple[str, dict[str, Any], str]]] = {
    "apps": _apps,
    "livecodebench": _livecodebench,
    "acecode": _acecode,
}
