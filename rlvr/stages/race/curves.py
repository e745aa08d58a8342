"""Recorded curves of seeds: how far a rung tells the end, how much of it is noise, and races drawn from them.

J racers, S steps at which all were measured, N tasks; where only means are known N is 1.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlvr.errors import DataError
from rlvr.stages.race.policy import Foresight
from rlvr.stages.race.simulate import Race
from rlvr.statistics.intervals import Interval
from rlvr.statistics.spread import Spread, correlation, spread_of

Numbers = npt.NDArray[np.float64]


def in_race_order(tasks: Iterable[str]) -> list[str]:
    """Gives the tasks, called DOMAIN/ID, in the order in which a race looks at them, that of a hash: the anytime bounds
    of "safe" ask for one in which the early tasks are like the late ones."""
    return sorted(tasks, key=lambda task: hashlib.blake2b(task.encode()).digest())


FEWEST = 4
"""Curves of which a correlation can be told."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One racer that ran to its end: by steps done its rate on each of `tasks`; one mean where `tasks` is empty."""

    racer: str
    tasks: tuple[str, ...]
    rates: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Records:
    """Curves of one recipe, measured at the same `steps`, the last being the end: `rates` [J, S, N].

    With several tasks one half of them, every second, decides as in a race, and the other judges.
    """

    steps: tuple[int, ...]
    rates: Numbers

    @property
    def deciding(self) -> Numbers:
        """The rates [J, S, N'] that decide."""
        return self.rates[:, :, ::2]

    @property
    def judging(self) -> Numbers:
        """The means [J] at the end on the tasks that judge; on all that there are where only means are known."""
        own = self.rates[:, -1, 1::2] if self.rates.shape[2] > 1 else self.rates[:, -1]
        return np.asarray(own.mean(axis=1), dtype=np.float64)

    def place(self, share: float) -> int:
        """Where in `steps` the rung lies that comes nearest to that share of the end."""
        return int(np.argmin([abs(step - share * self.steps[-1]) for step in self.steps[:-1]]))

    def foretold(self, place: int) -> Interval | None:
        """The correlation of the means there, on the tasks that decide, with those that judge the end."""
        return correlation(self.deciding[:, place].mean(axis=1), self.judging)

    def foresight(self, place: int) -> Foresight:
        """How far that place tells the end: the line of least squares through the racers."""
        early, late = self.deciding[:, place].mean(axis=1), self.judging
        around, degrees = early - early.mean(), len(late) - 2
        if not around.any():
            return Foresight(0.0, float(late.std(ddof=1)) * 2**0.5, degrees)
        square_sum = float((around**2).sum())
        slope = float((around * late).sum() / square_sum)
        rest = late - late.mean() - slope * around
        # Of the difference of two racers, each off by the deviation of what is left.
        return Foresight(slope, float(np.sqrt((rest**2).sum() / degrees) * 2**0.5), degrees, square_sum)

    def spread(self, place: int = -1) -> Spread | None:
        """How far the racers lie apart there beside the noise of evaluation; None where only means are known."""
        table = self.rates[:, place]
        return spread_of(table) if table.shape[1] > 1 else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """Races drawn from records, with rungs at these shares of the end: the racers are some of the curves."""

    records: Records
    shares: tuple[float, ...]

    def race(self, num_racers: int, rng: np.random.Generator) -> Race:
        """Gives a race of so many curves, none twice."""
        drawn = rng.permutation(len(self.records.rates))[:num_racers]
        deciding = self.records.deciding[drawn]
        places = [self.records.place(share) for share in self.shares]
        rungs = deciding[:, places].swapaxes(0, 1)
        return Race(self.records.judging[drawn], rungs, deciding[:, -1], curves=tuple(map(int, drawn)))

    def foresight(self, rung: int) -> Foresight:
        """What the records say of that rung."""
        return self.records.foresight(self.records.place(self.shares[rung]))


def records_of(curves: Sequence[Curve]) -> Records:
    """Gives what curves have in common: the steps at which all were measured, and the tasks that all were asked.

    Raises DataError for fewer than FEWEST curves, for ends at different steps, and where nothing is in common.
    """
    if len(curves) < FEWEST:
        raise DataError(f"{len(curves)} curves tell nothing", hint=f"at least {FEWEST}, better 24, seeds of one recipe")
    ends = {max(curve.rates, default=0) for curve in curves}
    steps = sorted(set.intersection(*(set(curve.rates) for curve in curves)))
    if len(ends) > 1 or len(steps) < 2:
        raise DataError(
            f"curves end at steps {sorted(ends)} and have steps {steps} in common; one end and a step before it needed",
            hint="curves of one recipe, with one evaluate_every",
        )
    common = in_race_order([task for task in curves[0].tasks if all(task in curve.tasks for curve in curves[1:])])
    if any(curve.tasks for curve in curves) and not common:
        raise DataError("no task was asked of all curves", hint="curves of one recipe, with one [evaluation]")
    table = []
    for curve in curves:
        at = {task: place for place, task in enumerate(curve.tasks)}
        chosen = [at[task] for task in common] if common else [0]
        table.append([[curve.rates[step][place] for place in chosen] for step in steps])
    return Records(tuple(steps), np.array(table, dtype=np.float64))
