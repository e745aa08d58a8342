"""What became of one run, as the trusted side saw it."""

from dataclasses import dataclass
from typing import Literal

Status = Literal[
    "ok", "exception", "timeout", "memory", "output_limit", "crash", "sandbox_failure", "host_error"
]  # fmt: skip
"""sandbox_failure: the sandbox broke twice under this program, which counts against it; host_error: no sandbox could
be had, which says nothing of the program. The other words tell what the program did."""

MAX_STDERR_CHARACTERS = 4000
MAX_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: how it ended, what it printed, what it took.

    `status` is "ok" for a program that ended with exit status 0, and for calls that all got a reply. `error` is the
    exception in one line, "" where there was none. All of it but status, seconds and exit code is the program's word.
    """

    status: Status
    stdout: bytes = b""
    stderr: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    exit_code: int | None = None
    error: str = ""


def shown(text: bytes) -> str:
    """Gives standard error as it is kept: its end, with what is no UTF-8 replaced."""
    return text.decode("utf-8", errors="replace")[-MAX_STDERR_CHARACTERS:]


def one_line(text: str) -> str:
    """Gives a short text without line breaks and control characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_ERROR_CHARACTERS].strip()
