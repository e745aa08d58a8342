"""Verdicts on disk, so that no question is paid for twice."""

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from rlvr.errors import UsageError

WAIT_SECONDS = 30.0


class Cache:
    """Values in [0, 1] by key, in one SQLite file that several processes and threads may share, on a local disk.

    A process that is killed leaves all verdicts that were put before. The file is opened for each use, so that it
    survives forks and needs no closing.
    """

    def __init__(self, path: str | Path) -> None:
        """Makes the file where there is none. Raises UsageError where it cannot be made or is something else."""
        self._path = Path(path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, value REAL NOT NULL, unix_seconds REAL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"{self._path} cannot be used as the judge's cache: {error}",
                hint="name a new file in a folder that can be written, as cache_path",
            ) from error

    def get(self, key: str) -> float | None:
        """Gives the value of that key, or None. Raises sqlite3.Error where the file cannot be read."""
        with self._opened() as connection:
            row = connection.execute("SELECT value FROM verdicts WHERE key = ?", (key,)).fetchone()
        usable = row is not None and isinstance(row[0], float) and math.isfinite(row[0]) and 0.0 <= row[0] <= 1.0
        return row[0] if usable else None

    def put(self, key: str, value: float) -> None:
        """Keeps a value; where another process was faster, its value stays. Raises sqlite3.Error where it cannot."""
        with self._opened() as connection:
            connection.execute("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?)", (key, value, time.time()))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as connection, connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
