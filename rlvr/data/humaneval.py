"""HumanEval in its published layout: JSON lines with `prompt`, `entry_point`, `canonical_solution` and `test`.

Source: Chen et al., "Evaluating Large Language Models Trained on Code", 2021, https://github.com/openai/human-eval. It
is for evaluation only: its one split is "test". What a prompt gives besides the function to write (imports, helpers)
stands before the program, and again beside the tests, where the program cannot change it.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from rlvr.data.programs import parsed as parsed_code
from rlvr.data.rows import BadRow, Row, first_match, parsed, read_rows
from rlvr.errors import DataError
from rlvr.types import Solution, Task

T = TypeVar("T")

INSTRUCTION = "Complete this Python function. Answer with the whole function in one block of code."

_FILES = ("humaneval.jsonl.gz", "humaneval.jsonl", "HumanEval.jsonl.gz", "HumanEval.jsonl", "*/test-*.parquet")


def tasks(split: str, *, path: str | Path, instruction: str = INSTRUCTION) -> Iterator[Task | BadRow]:
    """Yields the tasks for the verifier "code"; `instruction` stands before each prompt ("" for none).

    `path` is a file, or the folder with the published one. Raises: DataError for any split but "test".
    """
    return _read(split, path, lambda row: task_from_row(row, instruction))


def solutions(split: str, *, path: str | Path) -> Iterator[Solution | BadRow]:
    """Yields each task with its published solution as a whole program."""

    def parse(row: Row) -> Solution:
        return Solution(task_from_row(row), f"{row.values['prompt']}{_text(row, 'canonical_solution')}")

    return _read(split, path, parse)


def task_from_row(row: Row, instruction: str = INSTRUCTION) -> Task:
    """Gives the task of a row. Raises: DataError where a field is missing or the prompt is no Python."""
    prompt, entry = _text(row, "prompt"), _text(row, "entry_point")
    given = _given(prompt, entry)
    reference = {"asserts": _text(row, "test"), "entry": entry, "preamble": given, "given": given}
    content = f"{instruction}\n\n```python\n{prompt.strip()}\n```".lstrip()
    name = row.values.get("task_id") or row.where
    messages = ({"role": "user", "content": content},)
    return Task(f"humaneval/{name}", messages, reference, "code", "humaneval", "humaneval", check="tested")


def _read(split: str, path: str | Path, parse: Callable[[Row], T]) -> Iterator[T | BadRow]:
    if split != "test":
        raise DataError(f"HumanEval has no split {split!r}", hint="use humaneval:test; it is meant for evaluation only")
    return parsed(read_rows(first_match(path, _FILES, what="HumanEval file")), parse)


def _given(prompt: str, entry: str) -> str:
    """Gives the statements of a prompt before and after the function to write."""
    body = parsed_code(prompt, "the prompt").body
    if not any(isinstance(node, ast.FunctionDef) and node.name == entry for node in body):
        raise DataError(f"the prompt does not define {entry!r}")
    kept = [node for node in body if not (isinstance(node, ast.FunctionDef) and node.name == entry)]
    return "\n".join(ast.get_source_segment(prompt, node) or "" for node in kept)


def _text(row: Row, name: str) -> str:
    value = row.values.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"no {name}")
    return value
