"""Racers as processes of this machine, so many at once."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rlvr.models.checkpoint import latest_checkpoint
from rlvr.runs.folder import Run
from rlvr.stages.race.executor import Ended, Job

LOG_BYTES = 4000
"""Of a failed racer's log that are read for its last words."""


class LocalExecutor:
    """Runs jobs in processes that end with this one. `folders` has each racer's run; its log lies beside it."""

    def __init__(self, folders: Mapping[str, Path], *, at_once: int) -> None:
        self._folders = folders
        self._at_once = at_once
        self._waiting: deque[Job] = deque()
        self._running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}

    def submit(self, job: Job) -> None:
        """Starts the job, or keeps it until there is room. Raises ValueError where the racer has one."""
        if job.racer in self._running or any(known.racer == job.racer for known in self._waiting):
            raise ValueError(f"{job.racer} has a job already")
        self._waiting.append(job)
        self._fill()

    def report(self) -> Sequence[Ended]:
        """Gives the jobs that ended since the last call."""
        ended = []
        for racer, (job, process) in list(self._running.items()):
            if process.poll() is not None:
                del self._running[racer]
                _let_go(process)
                ended.append(Ended(job, self._last_words(racer) if process.returncode else ""))
        self._fill()
        return ended

    def checkpoint(self, racer: str) -> Path | None:
        """Gives the racer's last whole checkpoint."""
        stages = [run for run in Run.open(self._folders[racer]).children if run.checkpoints.is_dir()]
        found = latest_checkpoint(stages[-1].checkpoints) if stages else None
        return found[0] if found else None

    def kill(self, racer: str) -> None:
        """Ends the racer's job with all of its processes."""
        self._waiting = deque(job for job in self._waiting if job.racer != racer)
        if known := self._running.pop(racer, None):
            process = known[1]
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _let_go(process)
        self._fill()

    def close(self) -> None:
        """Ends all jobs."""
        self._waiting.clear()
        for racer in list(self._running):
            self.kill(racer)

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            job = self._waiting.popleft()
            self._running[job.racer] = job, start_racer(self._folders[job.racer], str(job.until))

    def _last_words(self, racer: str) -> str:
        text = log_of(self._folders[racer]).read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it ended without a word"


def start_racer(folder: Path, what: str) -> subprocess.Popen[bytes]:
    """Starts a racer's job; its standard input is a pipe of this process, with which it ends."""
    with log_of(folder).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rlvr.app.race.racer", str(folder), what],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def run_to_end(folder: Path, what: str) -> bool:
    """Runs a job of a racer and says whether it succeeded."""
    process = start_racer(folder, what)
    try:
        return process.wait() == 0
    finally:
        _let_go(process)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Closes the pipe, with which a racer that still runs ends, and waits for it."""
    assert process.stdin is not None, "a racer has a pipe"
    process.stdin.close()
    process.wait()


def log_of(folder: Path) -> Path:
    """The file beside a racer's run with what its processes said."""
    return folder.parent / f"{folder.name}.log"
