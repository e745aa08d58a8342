"""Where each key of a TOML text stands."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

KeyPath = tuple[str | int, ...]
"""Keys and 0-based indices from the top of a recipe to a value: ("stage", 1, "steps")."""


def key_lines(text: str) -> dict[KeyPath, int]:
    """Gives the 1-based line of every key of a TOML text that parses as a whole.

    A key inside an inline table or a list that spans lines has the line on which the statement begins.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    lengths: dict[KeyPath, int] = {}
    for number, statement, value in _statements(text):
        if statement.startswith("["):
            table = _table_path(value, lengths, opens_item=statement.startswith("[["))
            lines.setdefault(table, number)
            for depth in range(1, len(table)):
                lines.setdefault(table[:depth], number)
        else:
            for path in _paths(value):
                lines.setdefault(table + path, number)
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Gives the line of `path`, or of the nearest table around it; None when not even its first key is there."""
    for depth in range(len(path), 0, -1):
        if path[:depth] in lines:
            return lines[path[:depth]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yields (first line, text, parsed value) of each statement: the shortest run of lines that parses alone."""
    pending: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if not pending:
            start = number
        pending.append(line)
        try:
            value = tomllib.loads("\n".join(pending))
        except tomllib.TOMLDecodeError:
            continue
        yield start, pending[0].lstrip(), value
        pending = []


def _table_path(header: Mapping[str, Any], lengths: dict[KeyPath, int], *, opens_item: bool) -> KeyPath:
    """Gives the full path of a parsed header, with the index of each list of tables on the way."""
    names: list[str] = []
    value: Any = header
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        names.append(name)
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if opens_item and position == len(names) - 1:
            lengths[path] = lengths.get(path, 0) + 1
        if path in lengths:
            path = (*path, lengths[path] - 1)
    return path


def _paths(value: Any) -> Iterator[KeyPath]:
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        yield (key,)
        for path in _paths(inner):
            yield (key, *path)
