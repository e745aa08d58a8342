"""One process at a time in a run folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlvr.errors import RunError
from rlvr.runs.atomic import writing

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it when the process ends, however it ends.

    Raises RunError when another process holds it.
    """
    with writing(folder):
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process is working in {folder}", hint="wait for it, or stop it, then rlvr resume"
            ) from error
        yield
    finally:
        os.close(handle)
