"""MATH in its published layouts, and MATH-500.

MATH: one JSON file per problem in `train/<subject>/` and `test/<subject>/`, or JSON lines or Parquet, each with
`problem`, `level`, `type` and a `solution` whose last `\\boxed` is the answer. MATH-500 adds `answer`.
Source: Hendrycks et al., "Measuring Mathematical Problem Solving With the MATH Dataset", 2021,
https://github.com/hendrycks/math; MATH-500: Lightman et al., "Let's Verify Step by Step", 2023,
https://github.com/openai/prm800k.
Splits of MATH: "train" and "evaluation" part the published training problems by hash ("all" is both), "test" is the
published test set. MATH-500 has "test" only. Where `path` is a file, it is taken for the one that the split needs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from rlvr.data.formats import INSTRUCTION, Item, selected
from rlvr.data.rows import BadRow, Row, first_match, read_rows
from rlvr.errors import DataError
from rlvr.types import Demonstration, Message, Task

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")


def tasks(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Task | BadRow]:
    """Yields tasks for the verifier "math" whose reference is the answer as LaTeX text.

    `path` is a file, or the folder with the published files; `evaluation_share` is what "evaluation" takes of the
    training problems; `instruction` becomes the last line of each prompt ("" for none).
    """
    return _items(task_from_row, split, path, evaluation_share, instruction)


def demonstrations(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Demonstration | BadRow]:
    """Yields the published solutions, which box the answer; options as `tasks`."""
    return _items(demonstration_from_row, split, path, evaluation_share, instruction)


def math500_tasks(split: str, *, path: str | Path, instruction: str = INSTRUCTION) -> Iterator[Task | BadRow]:
    """Yields the tasks of MATH-500, whose only split is "test". Raises: DataError for any other split."""
    if split != "test":
        raise DataError(f"MATH-500 has no split {split!r}", hint="use math500:test; it is meant for evaluation only")
    patterns = [f"{stem}.{kind}" for stem in ("math500_test", "test", "math500/test") for kind in ("jsonl", "jsonl.gz")]
    rows = read_rows(first_match(path, [*patterns, "test-*.parquet", "data/test-*.parquet"], what="MATH-500 file"))
    return selected(rows, math500_task_from_row, split="all", evaluation_share=0.0, instruction=instruction)


def task_from_row(row: Row) -> Task:
    """Gives the task of a row. Raises: DataError where it has no problem or no answer."""
    return Task(f"math/{row.where}", _prompt_of(row), _answer_of(row), "math", "math", "math")


def math500_task_from_row(row: Row) -> Task:
    """Gives the task of a MATH-500 row. Raises: DataError where it has no problem or no answer."""
    name = row.values.get("unique_id") or row.where
    return Task(f"math500/{name}", _prompt_of(row), _answer_of(row), "math", "math500", "math500")


def demonstration_from_row(row: Row) -> Demonstration:
    """Gives the demonstration of a row. Raises: DataError where it has no problem or no boxed solution."""
    solution = row.values.get("solution")
    if not isinstance(solution, str) or last_boxed(solution) is None:
        raise DataError("no solution with a \\boxed answer")
    turn = {"role": "assistant", "content": solution.strip()}
    return Demonstration(f"math/{row.where}", (*_prompt_of(row), turn), "math")


def last_boxed(text: str) -> str | None:
    """Gives what the last `\\boxed{…}` or `\\fbox{…}` of a reference solution holds, None where none is whole.

    `\\boxed 5`, as a few solutions write it, holds what follows up to the end of the formula.
    """
    for match in reversed(list(_BOX.finditer(text))):
        rest = text[match.end() :]
        if rest.startswith("{"):
            end = _closing_brace(rest)
            if end is not None:
                return rest[1:end].strip()
        elif bare := re.match(r"[^$\s{}.,]+", rest):
            return bare.group()
    return None


def _closing_brace(text: str) -> int | None:
    depth = 0
    escaped = False
    for index, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return index
    return None


def _items(
    parse: Callable[[Row], Item], split: str, path: str | Path, evaluation_share: float, instruction: str
) -> Iterator[Item | BadRow]:
    part = "test" if split == "test" else "train"
    patterns = [f"{stem}.{kind}" for stem in (part, f"math_{part}") for kind in ("jsonl", "jsonl.gz", "parquet")]
    patterns += [f"math_{part}_*.jsonl.gz", f"{part}-*.parquet", f"data/{part}-*.parquet", f"{part}/*/*.json"]
    rows = read_rows(first_match(path, patterns, what=f"MATH {part} file"))
    wanted = "all" if split == "test" else split
    return selected(rows, parse, split=wanted, evaluation_share=evaluation_share, instruction=instruction)


def _prompt_of(row: Row) -> tuple[Message, ...]:
    problem = row.values.get("problem")
    if not isinstance(problem, str) or not problem.strip():
        raise DataError("no problem")
    return ({"role": "user", "content": problem.strip()},)


def _answer_of(row: Row) -> str:
    answer = row.values.get("answer")
    if answer is None and isinstance(row.values.get("solution"), str):
        answer = last_boxed(row.values["solution"])
    if not isinstance(answer, str) or not answer.strip():
        raise DataError("no answer, and no \\boxed answer in the solution")
    return answer.strip()
