"""Live progress on stderr: bars on a terminal, a plain line every few seconds elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

LINE_SECONDS = 5.0
FILE_COLUMNS = 160
"""How wide a table is where stderr is no terminal."""

SHOWN: tuple[tuple[str, str, str], ...] = (
    ("train/loss", "loss", ".3f"),
    ("rollout/outcome_mean", "outcome", ".1%"),
    ("rollout/informative_rate", "informative", ".0%"),
    ("train/preference_accuracy", "preferred", ".0%"),
    ("train/pairwise_accuracy", "preferred", ".0%"),
)
"""Which metrics a bar shows, under which word and in which form."""

HELD_OUT = "eval/pass_at_1/"


class StageListener:
    """Shows the steps of one stage; to be called as `listener(step, metrics)` after each step.

    `unit` is what a step is called. Rate and time left follow from the steps of this process alone: those before a
    resume do not count.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        start: int,
        show: Callable[["StageListener"], None],
        *,
        unit: str = "step",
    ) -> None:
        self.title = title
        self.unit = unit
        self.total = total
        self.done = start
        self.latest: dict[str, float] = {}
        self._start = start
        self._began = time.monotonic()
        self._show = show

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Counts step `step` (from 0) as done and shows its metrics."""
        self.done = step + 1
        self.latest.update({key: value for key, value in metrics.items() if math.isfinite(value)})
        self._show(self)

    def expect(self, total: int, start: int = 0) -> None:
        """Says how many steps the stage has and how many were done before this process."""
        self.total, self.done, self._start = total, start, start
        self._began = time.monotonic()
        self._show(self)

    @property
    def steps_per_second(self) -> float:
        """The rate since the stage began here; 0 before the first step."""
        return (self.done - self._start) / max(time.monotonic() - self._began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """The time that the remaining steps take at this rate; None while it is unknown."""
        if self.total is None or self.steps_per_second == 0:
            return None
        return max(self.total - self.done, 0) / self.steps_per_second

    def words(self) -> str:
        """Gives time left, metrics and rate in words."""
        parts = []
        if (left := self.seconds_left) is not None:
            parts.append(f"{duration_text(left)} left" if self.done != self.total else "done")
        parts += [f"{word} {self.latest[key]:{form}}" for key, word, form in SHOWN if key in self.latest]
        held_out = [value for key, value in self.latest.items() if key.startswith(HELD_OUT)]
        if held_out:
            parts.append(f"held-out {sum(held_out) / len(held_out):.1%}")
        rate = self.steps_per_second
        if rate > 0:
            parts.append(f"{rate:.1f} {self.unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{self.unit}")
        return " · ".join(parts)

    def line(self) -> str:
        """Gives the state as one plain line."""
        return f"{self.title}  {self.done}/{'?' if self.total is None else self.total}  {self.words()}".rstrip()


class Progress:
    """One bar for each stage on a terminal; plain lines where stderr goes to a file or a pipe.

    Use as a context manager: `listener = progress.stage("1-sft", total, start)`.
    """

    def __init__(self, stream: TextIO | None = None, *, line_seconds: float = LINE_SECONDS) -> None:
        out = stream or sys.stderr
        width = None if out.isatty() else FILE_COLUMNS
        self._console = Console(file=out, soft_wrap=True, highlight=False, width=width)
        self._line_seconds = line_seconds
        self._last_line = -math.inf
        self._bars: Bars | None = None
        self._tasks: dict[int, TaskID] = {}
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}", table_column=Column(min_width=8, no_wrap=True)),
                BarColumn(bar_width=12),
                MofNCompleteColumn(table_column=Column(min_width=9, no_wrap=True)),
                TextColumn("{task.fields[words]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
                console=self._console,
            )

    def __enter__(self) -> "Progress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stage(self, title: str, total: int | None = None, start: int = 0, *, unit: str = "step") -> StageListener:
        """Gives the listener of a new stage with `total` steps, None where unknown, of which `start` are done."""
        listener = StageListener(title, total, start, self._show, unit=unit)
        if self._bars:
            self._tasks[id(listener)] = self._bars.add_task(title, total=total, completed=start, words="")
        return listener

    def note(self, text: str) -> None:
        """Prints a line above the bars."""
        self._console.print(text, markup=False)

    def show(self, renderable: Any) -> None:
        """Prints a table, or anything else that rich can print, above the bars."""
        self._console.print(renderable)

    def close(self) -> None:
        """Ends the live display; what was shown stays."""
        if self._bars:
            self._bars.stop()

    def _show(self, listener: StageListener) -> None:
        if self._bars:
            task = self._tasks[id(listener)]
            self._bars.update(task, total=listener.total, completed=listener.done, words=listener.words())
            return
        now = time.monotonic()
        last = listener.total is not None and listener.done >= listener.total
        if last or now - self._last_line >= self._line_seconds:
            self._last_line = now
            self.note(listener.line())


def duration_text(seconds: float) -> str:
    """Gives a duration for people: "42 s", "3:05 min", "2:10 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
