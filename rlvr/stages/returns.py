"""What training gave for what it cost: the gain at each held-out evaluation, and over each stretch between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rlvr.stages.change import RatesByDomain, mean_gain
from rlvr.stages.watch import flat_since
from rlvr.statistics.intervals import Interval

Unit = Literal["CPU", "GPU"]
COST: Mapping[Unit, str] = {"CPU": "time/cpu_seconds", "GPU": "time/step_seconds"}
"""The metric of a step with its cost: a GPU is held for as long as the step takes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A held-out evaluation: after how many steps, and seconds of compute until then, with each task's rate."""

    step: int
    seconds: float
    rates: RatesByDomain


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation after the first: the mean gain of pass@1 over the trained domains, with 95% intervals.

    `gain` is since the start, `stretch` since the evaluation before, and `per_hundred` the latter for each 100
    seconds of the stretch.
    """

    step: int
    seconds: float
    gain: Interval
    stretch: Interval
    per_hundred: Interval


@dataclass(frozen=True, slots=True)
class Returns:
    """The points in order, the domains that they are the mean of, and since which step no gain can be told from chance.

    `unit` says what the seconds are of: "CPU" or "GPU".
    `flat_since` is None where the last evaluation is shown to be better than the one before.
    """

    domains: tuple[str, ...]
    points: tuple[Point, ...]
    flat_since: int | None
    unit: Unit = "CPU"

    @property
    def flat_seconds(self) -> float:
        """What was spent since then."""
        if self.flat_since is None or not self.points:
            return 0.0
        at = next((point.seconds for point in self.points if point.step == self.flat_since), 0.0)
        return self.points[-1].seconds - at


def returns_of(seen: Sequence[Seen], domains: Sequence[str], *, unit: Unit = "CPU") -> Returns:
    """Gives what each evaluation shows against the first, which is of the weights before training, and the one before.

    Raises ValueError for fewer than two, and where two in a row were asked no task of the domains in common.
    """
    if len(seen) < 2:
        raise ValueError(f"two evaluations at least, got {len(seen)}")
    measured = tuple(name for name in domains if all(name in entry.rates for entry in seen))
    points = []
    for before, now in pairwise(seen):
        gain = mean_gain(seen[0].rates, now.rates, measured)
        stretch = mean_gain(before.rates, now.rates, measured)
        if gain is None or stretch is None:
            raise ValueError(f"the evaluations after step {before.step} and {now.step} have no trained task in common")
        per = 100 / max(now.seconds - before.seconds, 1e-9)
        each = Interval(stretch.mean * per, stretch.low * per, stretch.high * per)
        points.append(Point(now.step, now.seconds, gain, stretch, each))
    return Returns(measured, tuple(points), flat_since([(entry.step, entry.rates) for entry in seen], measured), unit)


def return_sentences(found: Returns) -> list[str]:
    """Gives in words what the training gave, and what of it was spent in vain."""
    last = found.points[-1]
    lines = [
        f"After {last.step} steps and {last.seconds:,.0f} {found.unit}-seconds the mean gain over "
        f"{', '.join(found.domains)} is {last.gain.points()}."
    ]
    if last.gain.low <= 0:
        lines.append("It cannot be told from chance.")
    each = f"for each 100 {found.unit}-seconds"
    if len(found.points) > 1:
        best = max(found.points, key=lambda point: point.per_hundred.mean)
        lines.append(
            f"The best of {len(found.points)} stretches ended at step {best.step}, with "
            f"{100 * best.per_hundred.mean:+.1f} points {each}; as the highest of several it looks better than it is. "
            f"In the last one it was {last.per_hundred.points()}."
        )
    else:
        lines.append(f"That is {last.per_hundred.points()} {each}.")
    if found.flat_since is not None:
        share = found.flat_seconds / max(last.seconds, 1e-9)
        lines.append(
            f"No gain since step {found.flat_since} can be told from chance: {found.flat_seconds:,.0f} "
            f"{found.unit}-seconds, {share:.0%} of all. More tasks in [evaluation] would tell smaller gains."
        )
    return lines
