"""What a race needs of wherever its racers run: four methods, behind which there are processes, or another machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """A racer's way to a step: it trains until so many steps are done, is measured there, and stops for now.

    `fresh` measures it on the tasks that take no part in the race, instead of on those of the race.
    """

    racer: str
    until: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that ended: `problem` is empty where it reached its step and was measured, else what happened.

    `is_final` says that the racer itself is broken and fails again: its training gave no numbers any more.
    """

    job: Job
    problem: str
    is_final: bool = False


class Executor(Protocol):
    """Where racers run. Whatever it was doing, a job that is submitted again goes on where the racer's last whole
    checkpoint is, and what was measured is not measured again."""

    def submit(self, job: Job) -> None:
        """Starts the job, or keeps it until there is room. A racer has one job at a time: ValueError for another."""
        ...

    def report(self) -> Sequence[Ended]:
        """Gives the jobs that ended since the last call, and returns at once."""
        ...

    def checkpoint(self, racer: str) -> Path | None:
        """Gives the racer's last whole checkpoint; None before the first one."""
        ...

    def kill(self, racer: str) -> None:
        """Ends the racer's job, now; nothing happens where it has none. It is not reported."""
        ...
