"""Files of one's own: JSON lines (plain or gzipped), JSON or Parquet, in the columns that `rlvr.data.formats` knows.

Splits: "train" and "evaluation" part the rows by the hash of the problem, "all" takes every row, for data that comes
parted already.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rlvr.data.formats import (
    demonstration_from_row,
    document_from_row,
    preference_from_row,
    selected,
    solved,
    task_from_row,
)
from rlvr.data.rows import BadRow, data_files, read_rows
from rlvr.types import Demonstration, Document, Preference, Solution, Task


def tasks(
    split: str,
    *,
    path: str | Path,
    evaluation_share: float = 0.05,
    domain: str = "",
    verifier: str | None = None,
    instruction: str = "",
) -> Iterator[Task | BadRow]:
    """Yields the tasks of a file, or of the files of a folder.

    `domain` (the file's or folder's name where "") and `verifier` are for rows that name none; `instruction` becomes
    the last line of each prompt.
    """
    parse = partial(task_from_row, domain=domain or stem_of(path), verifier=verifier)
    rows = read_rows(data_files(path))
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def solutions(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, domain: str = "", verifier: str | None = None
) -> Iterator[Solution | BadRow]:
    """Yields each task with the row's solution, as `rlvr.data.formats.solved` finds it; options as `tasks`."""
    parse = partial(solved, parse=partial(task_from_row, domain=domain or stem_of(path), verifier=verifier))
    return selected(read_rows(data_files(path)), parse, split=split, evaluation_share=evaluation_share)


def demonstrations(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, domain: str = "", instruction: str = ""
) -> Iterator[Demonstration | BadRow]:
    """Yields the demonstrations of a file or folder; options as `tasks`."""
    parse = partial(demonstration_from_row, domain=domain or stem_of(path))
    rows = read_rows(data_files(path))
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def preferences(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, domain: str = "", instruction: str = ""
) -> Iterator[Preference | BadRow]:
    """Yields the preferences of a file or folder; options as `tasks`."""
    parse = partial(preference_from_row, domain=domain or stem_of(path))
    rows = read_rows(data_files(path))
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def documents(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, domain: str = ""
) -> Iterator[Document | BadRow]:
    """Yields the documents of a file or folder; options as `tasks`."""
    parse = partial(document_from_row, domain=domain or stem_of(path))
    return selected(read_rows(data_files(path)), parse, split=split, evaluation_share=evaluation_share)


def stem_of(path: str | Path) -> str:
    """Gives the name of a file or folder up to its first dot."""
    return Path(path).resolve().name.split(".")[0] or "data"
