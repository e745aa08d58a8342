"""Instructions with a reference output to be compared with, as AlpacaEval publishes them.

A row has `instruction` (or `prompt`), `output` (or `completion`) and, as needed, `input` and `dataset`. The file is a
JSON list, JSON lines or Parquet.
Source: Dubois et al., "AlpacaFarm", arXiv:2305.14387; Li et al., AlpacaEval, https://github.com/tatsu-lab/alpaca_eval.
"""

from collections.abc import Iterator
from pathlib import Path

from rlvr.data.rows import BadRow, Row, first_match, parsed, read_rows
from rlvr.errors import DataError
from rlvr.types import Solution, Task

DOMAIN = "alpaca-eval"
RUBRIC = (
    "The answer does what the question asks: it is correct, complete and honest, addresses what the asker needs and "
    "nothing else, and keeps to any form that is asked for. Of two answers that do so equally, neither is better."
)
"""What a judge compares by, unless the source is given another."""

_FILES = ("alpaca_eval.json", "alpaca_eval*.json", "*.json", "*.jsonl", "*.jsonl.gz", "*.parquet")


def solutions(split: str, *, path: str | Path, rubric: str = RUBRIC) -> Iterator[Solution | BadRow]:
    """Yields each instruction as a task for a judge, with the reference output. The one split is "test"."""
    if split != "test":
        raise DataError(f"pairs have no split {split!r}", hint="use test; they are meant for evaluation only")
    rows = read_rows(first_match(path, _FILES, what="file of pairs"))
    return parsed(rows, lambda row: solution_from_row(row, rubric))


def solution_from_row(row: Row, rubric: str = RUBRIC) -> Solution:
    """Gives a row's task and reference output. Raises: DataError where one of them is missing."""
    instruction, output = _text(row, "instruction", "prompt"), _text(row, "output", "completion")
    given = row.values.get("input")
    content = f"{instruction}\n\n{given}" if isinstance(given, str) and given.strip() else instruction
    messages = ({"role": "user", "content": content},)
    task = Task(f"{DOMAIN}/{row.where}", messages, {"rubric": rubric}, "judge", DOMAIN, DOMAIN, check="judged")
    return Solution(task, output)


def _text(row: Row, *names: str) -> str:
    for name in names:
        value = row.values.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(f"no {' and no '.join(names)}")
