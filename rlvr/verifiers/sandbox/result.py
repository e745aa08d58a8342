"""What became of one program under one question, whatever its form."""

from dataclasses import dataclass
from typing import Any

from rlvr.types import Status
from rlvr.verifiers.sandbox.ran import Ran

MAX_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Result:
    """How many cases passed, and what went wrong first.

    `status` is "ok" for a program that ran, right or wrong. `failed` names the first case that did not pass, `error` is
    the exception in one line, `stderr` what the program said; all three are empty where there is nothing to tell.
    """

    path: str
    passed: int
    cases: int
    status: Status = "ok"
    failed: str = ""
    error: str = ""
    stderr: str = ""
    cpu_seconds: float = 0.0
    seconds: float = 0.0


def ended(path: str, ran: Ran, *, cases: int, passed: int = 0, failed: str = "") -> Result:
    """Gives the result of a run that ended before its tests did."""
    return Result(path, passed, cases, ran.status, failed, ran.error, ran.stderr, ran.cpu_seconds, ran.wall_seconds)


def shown(value: Any) -> str:
    """Gives a value in at most `MAX_SHOWN` characters; what the codec has read has a repr that no program wrote."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer with more digits than Python prints
        text = f"a large {type(value).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
