"""Racers as processes of this machine, so many at once, each on a GPU of its own where there are any."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from rlvr.app.race.racer import BROKEN, PROBLEM, checkpoint_of
from rlvr.stages.race.executor import Ended, Job

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOG_BYTES = 20_000
"""Of a failed racer's log that are read for what went wrong."""


@dataclass(frozen=True, slots=True)
class _Running:
    job: Job
    slot: int
    log_bytes: int
    process: subprocess.Popen[bytes]


class LocalExecutor:
    """Runs jobs in processes that end with this one. `folders` has each racer's run; its log lies beside it.

    With `gpus`, as CUDA_VISIBLE_DEVICES names them, the n-th job of those that run at once sees the n-th alone.
    """

    def __init__(self, folders: Mapping[str, Path], *, at_once: int, gpus: Sequence[str] = ()) -> None:
        self._folders = folders
        self._slots = list(range(at_once))
        self._gpus = gpus
        self._waiting: deque[Job] = deque()
        self._running: dict[str, _Running] = {}

    def submit(self, job: Job) -> None:
        """Starts the job, or keeps it until there is room. Raises ValueError where the racer has one."""
        if job.racer in self._running or any(known.racer == job.racer for known in self._waiting):
            raise ValueError(f"{job.racer} has a job already")
        self._waiting.append(job)
        self._fill()

    def report(self) -> Sequence[Ended]:
        """Gives the jobs that ended since the last call."""
        ended = []
        for racer, known in list(self._running.items()):
            if (code := known.process.poll()) is not None:
                self._let_go(racer)
                problem = self._problem(known, code) if code else ""
                ended.append(Ended(known.job, problem, is_final=code == BROKEN))
        self._fill()
        return ended

    def checkpoint(self, racer: str) -> Path | None:
        """Gives the racer's last whole checkpoint."""
        return checkpoint_of(self._folders[racer])

    def kill(self, racer: str) -> None:
        """Ends the racer's job with all of its processes."""
        self._waiting = deque(job for job in self._waiting if job.racer != racer)
        if racer in self._running:
            with suppress(ProcessLookupError):
                os.killpg(self._running[racer].process.pid, signal.SIGKILL)
            self._let_go(racer)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._slots:
            job, slot = self._waiting.popleft(), self._slots.pop(0)
            log = log_of(self._folders[job.racer])
            size = log.stat().st_size if log.exists() else 0
            self._running[job.racer] = _Running(job, slot, size, self._start(job, slot))

    def _start(self, job: Job, slot: int) -> "subprocess.Popen[bytes]":
        folder, words = self._folders[job.racer], [str(job.until), *(["fresh"] if job.fresh else [])]
        gpu = {VISIBLE: self._gpus[slot % len(self._gpus)]} if self._gpus else {}
        return start_racer(folder, words, gpu)

    def _let_go(self, racer: str) -> None:
        """Closes the pipe, with which a racer that still runs ends, and waits for it."""
        known = self._running.pop(racer)
        assert known.process.stdin is not None, "a racer has a pipe"
        known.process.stdin.close()
        known.process.wait()
        self._slots = sorted([*self._slots, known.slot])

    def _problem(self, known: _Running, code: int) -> str:
        """Says why a racer's process failed: what it said last, jobs before it not counted, or how it ended."""
        log = log_of(self._folders[known.job.racer]).read_bytes()
        text = log[known.log_bytes :][-LOG_BYTES:].decode("utf-8", "replace")
        said = [line.removeprefix(PROBLEM) for line in text.splitlines() if line.startswith(PROBLEM)]
        if code > 0 and said:
            return said[-1]
        return f"its process ended with code {code}" if code > 0 else f"its process was ended by signal {-code}"


def start_racer(folder: Path, words: Sequence[str], more: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts a racer's process in a session of its own, with `more` in its environment; what it says goes to its log,
    and it ends when its standard input is closed."""
    with log_of(folder).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rlvr.app.race.racer", str(folder), *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **more},
            start_new_session=True,
        )


def gpu_names(count: int, visible: str | None) -> tuple[str, ...]:
    """Gives the names of the `count` GPUs that this process can use; `visible` is its CUDA_VISIBLE_DEVICES, None where
    that is not set, and a racer may see no other."""
    named = [str(place) for place in range(count)] if visible is None else visible.split(",")
    return tuple(name.strip() for name in named[:count])


def usable_gpus() -> tuple[str, ...]:
    """Gives the names of the GPUs that this process can use now."""
    return gpu_names(torch.cuda.device_count() if torch.cuda.is_available() else 0, os.environ.get(VISIBLE))


def at_once_on(num_gpus: int, *, asked: int, counted: int) -> int:
    """Gives how many racers run at once on so many GPUs, where `asked` did on the `counted` ones of before."""
    return max(1, asked * num_gpus // counted) if counted else asked


def log_of(folder: Path) -> Path:
    """The file beside a racer's run with what its processes said."""
    return folder.parent / f"{folder.name}.log"
