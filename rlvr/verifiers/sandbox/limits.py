"""What one run may take."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rlvr.errors import UsageError

WALL_FACTOR = 3.0
MAX_SECONDS = 3600.0
MAX_BYTES = 1 << 40
RESULT_FRAMES = 16
"""All replies of one run together may hold as many bytes as this many full ones."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one run, a whole list of calls counting as one.

    `wall_seconds` 0 means 3 × `cpu_seconds`: on a busy machine the CPU limit is the one that decides. `memory_bytes`
    bounds the address space, `output_bytes` standard output and error together, `result_bytes` one reply,
    `file_bytes` one file, `threads` all threads at once.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 0.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 256 << 10
    result_bytes: int = 1 << 20
    file_bytes: int = 1 << 20
    threads: int = 32

    def __post_init__(self) -> None:
        for name, low in _LOWEST.items():
            _check(name, getattr(self, name), low)

    @property
    def deadline_seconds(self) -> float:
        """Wall seconds after which the run is ended."""
        return self.wall_seconds or WALL_FACTOR * self.cpu_seconds


_LOWEST: Mapping[str, float] = {
    "cpu_seconds": 0.1,
    "wall_seconds": 0.0,
    "memory_bytes": 32 << 20,
    "output_bytes": 1,
    "result_bytes": 64,
    "file_bytes": 0,
    "threads": 1,
}


def read_limits(given: Mapping[str, Any], *, default: Limits | None = None) -> Limits:
    """Gives the limits that a row names; what it does not name is that of `default`.

    Raises UsageError for an unknown name, and for a value that is no number or out of range.
    """
    known = [field.name for field in fields(Limits)]
    start = {name: getattr(default or Limits(), name) for name in known}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"{name!r} is no limit of a run; known are {', '.join(known)}")
        whole = isinstance(start[name], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UsageError(f"the limit {name} is {value!r}; expected a {'whole ' if whole else ''}number")
        _check(name, value, _LOWEST[name])
        start[name] = value if whole else float(value)
    return Limits(**start)


def _check(name: str, value: float, low: float) -> None:
    high = MAX_SECONDS if name.endswith("_seconds") else MAX_BYTES
    if not low <= value <= high:  # so NaN is refused, and an integer that no float holds
        raise UsageError(f"the limit {name} is {value}; expected {low:g} to {high:g}")
