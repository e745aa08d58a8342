"""What an analysis has found out so far: a line for each portion of tasks, so that a kill loses one portion at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import RunError
from rlvr.runs.lines import append_line, read_lines


@dataclass(frozen=True, slots=True)
class Spent:
    """What sampling took: CPU-seconds of this process and tokens that were sampled."""

    cpu_seconds: float
    tokens: int


class Kept:
    """Findings by task under a key that says how they were made; those of another key are never given.

    Made from the file at `path`, where there is one. Raises RunError where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tasks: dict[str, dict[str, Any]] = {}
        self._spent: dict[str, Spent] = {}
        for line in read_lines(path):
            try:
                self._take(line["key"], line["tasks"], Spent(line["cpu_seconds"], line["tokens"]))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise RunError(
                    f"{path} was written by another version of rlvr: {type(error).__name__} {error}",
                    hint="remove it to have everything sampled again",
                ) from error

    def tasks(self, key: str) -> Mapping[str, Any]:
        """Gives what is known under `key`, by task id."""
        return self._tasks.get(key, {})

    def spent(self, key: str) -> Spent:
        """Gives what all portions under `key` took."""
        return self._spent.get(key, Spent(0.0, 0))

    def add(self, key: str, tasks: Mapping[str, Any], spent: Spent) -> None:
        """Keeps one portion, on the disk before it is counted."""
        line = {"key": key, "tasks": dict(tasks), "cpu_seconds": spent.cpu_seconds, "tokens": spent.tokens}
        append_line(self._path, line, fsync=True)
        self._take(key, tasks, spent)

    def _take(self, key: str, tasks: Mapping[str, Any], spent: Spent) -> None:
        self._tasks.setdefault(key, {}).update(tasks)
        before = self.spent(key)
        self._spent[key] = Spent(before.cpu_seconds + spent.cpu_seconds, before.tokens + spent.tokens)
