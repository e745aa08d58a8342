"""Rows of files: JSON lines (plain or gzipped), JSON and Parquet, with the bad ones named instead of fatal."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rlvr.errors import DataError

T = TypeVar("T")

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is stored; `where` is "file:line", or "file:row" counted from 1 where there are no lines."""

    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be used, and why; a source yields it in place of the item."""

    where: str
    reason: str


def parsed(rows: Iterable[Row | BadRow], parse: Callable[[Row], T]) -> Iterator[T | BadRow]:
    """Yields what `parse` makes of each row; a DataError of `parse` makes it a BadRow with that message."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield parse(row)
        except DataError as error:
            yield BadRow(row.where, error.message)


def is_data_file(name: str) -> bool:
    """Whether `name` ends like a file that `read_rows` can read."""
    return name.endswith(SUFFIXES)


def data_files(path: str | Path) -> list[Path]:
    """Gives the file `path`, or the data files of the folder `path` in the order of their names.

    Raises: DataError where there is no such file, or none in the folder.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and is_data_file(p.name))
        if not found:
            raise DataError(f"the folder {path} holds no data file", hint=f"put a {', '.join(SUFFIXES)} file there")
        return found
    if not path.is_file():
        raise DataError(f"no data file at {path}", hint="check `path`; a relative path starts at the current folder")
    if not is_data_file(path.name):
        raise DataError(f"{path} is no known kind of data file", hint=f"rename or convert it to {', '.join(SUFFIXES)}")
    return [path]


def first_match(path: str | Path, patterns: Sequence[str], *, what: str) -> list[Path]:
    """Gives the files of the folder `path` for the first glob pattern that matches any; the file itself if it is one.

    Raises: DataError naming `what` was sought.
    """
    path = Path(path)
    if not path.is_dir():
        return data_files(path)
    for pattern in patterns:
        if found := sorted(path.glob(pattern)):
            return found
    raise DataError(f"the folder {path} holds no {what}", hint=f"expected one of {', '.join(patterns)}")


def read_rows(paths: Sequence[Path]) -> Iterator[Row | BadRow]:
    """Yields the rows of all files in order; a line that is no JSON object becomes a BadRow.

    A file is called by its name in `where`, and by "folder/name" where two files share a name.

    Raises: DataError where a whole file cannot be read.
    """
    unique = len({path.name for path in paths}) == len(paths)
    for path in paths:
        label = path.name if unique else f"{path.parent.name}/{path.name}"
        try:
            if path.name.endswith(".parquet"):
                yield from _parquet_rows(path, label)
            elif path.name.endswith((".json", ".json.gz")):
                yield from _json_rows(path, label)
            else:
                yield from _json_lines(path, label)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot read {path}: {error}", hint="fetch the file again, or check its rights") from error


def _text(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.name.endswith(".gz") else open(path, "rb") as file:
        yield from file


def _as_row(where: str, values: Any) -> Row | BadRow:
    if isinstance(values, dict):
        return Row(where, values)
    return BadRow(where, f"expected a JSON object, found {type(values).__name__}")


def _json_lines(path: Path, label: str) -> Iterator[Row | BadRow]:
    for number, line in enumerate(_text(path), start=1):
        if not line.strip():
            continue
        where = f"{label}:{number}"
        try:
            yield _as_row(where, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8")))
        except (ValueError, RecursionError) as error:
            yield BadRow(where, f"broken JSON: {error}")


def _json_rows(path: Path, label: str) -> Iterator[Row | BadRow]:
    try:
        content = json.loads(b"".join(_text(path)).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        yield BadRow(f"{label}:1", f"broken JSON: {error}")
        return
    for number, values in enumerate(content if isinstance(content, list) else [content], start=1):
        yield _as_row(f"{label}:{number}", values)


def _parquet_rows(path: Path, label: str) -> Iterator[Row | BadRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield _as_row(f"{label}:{number}", values)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is no whole Parquet file: {error}", hint="write the file again") from error
