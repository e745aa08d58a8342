"""What a stage elicited: pass@k of a checkpoint and of its parent on the same tasks, and where the two lines cross.

For k = 1 a checkpoint must be sure of an answer, for large k it must only be able to find it. A stage that raises the
first and not the second made the model surer of what it could do before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlvr.statistics.intervals import (
    Interval,
    mean_of,
    paired_difference_interval,
    proportion_interval,
    rate_interval,
)
from rlvr.statistics.pass_at_k import pass_at_k

Verdict = Literal["taught", "sharpened", "lost reach", "lost sureness", "no change", "higher", "lower"]
FEW_SAMPLES = 32
"""With fewer, a task that is solved now and then is easily missed: a higher pass@k is not said to be taught."""

Count = tuple[int, int]
"""Of one task: completions that have an outcome, and those of them that solve it."""
Counts = Mapping[str, Count]
"""By task id."""
Rates = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """pass@k of both, and how much the child's is higher, paired by task."""

    k: int
    parent: Interval
    child: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where the parent catches up: the smallest k from which on it is not worse, and from which on it is better.

    None where there is none. `is_told` says whether at the largest k the parent is better by more than chance.
    """

    not_worse_from: int | None
    better_from: int | None
    is_told: bool


@dataclass(frozen=True, slots=True)
class ReadOut:
    """The share right of the parent, decoded greedily and at a low temperature, and of the child, decoded greedily.

    `over_greedy` and `over_low` say by how much the child's greedy answers are better, paired by task.
    """

    parent_greedy: Interval
    parent_low: Interval
    child_greedy: Interval
    over_greedy: Interval
    over_low: Interval


@dataclass(frozen=True, slots=True)
class DomainElicitation:
    """One domain on `num_tasks` tasks; `left_out` more had a completion without an outcome.

    `only_parent` and `only_child` are the shares of tasks of which all samples of the one hold a right one and those of
    the other none; `neither` of those that no sample solves. `readout` is None where no task was read out.
    """

    num_tasks: int
    left_out: int
    points: tuple[Point, ...]
    only_parent: Interval
    only_child: Interval
    neither: Interval
    crossover: Crossover
    readout: ReadOut | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Overall:
    """The mean over `domains` of the child's lead at k = 1 and at the largest `k`.

    `trained` says that these are the domains that the stage was trained on; otherwise they are all that were asked.
    """

    domains: tuple[str, ...]
    trained: bool
    k: int
    first: Interval
    last: Interval
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SideCounts:
    """What one side did in a domain: all its samples, its greedy answers, and its samples at a low temperature."""

    samples: Counts
    greedy: Counts
    low: Counts


def ks_up_to(samples: int) -> tuple[int, ...]:
    """Gives 1, 2, 4, … and `samples` itself."""
    powers = [2**i for i in range(samples.bit_length()) if 2**i <= samples]
    return tuple(dict.fromkeys([*powers, samples]))


def domain_elicitation(parent: SideCounts, child: SideCounts, *, samples: int) -> DomainElicitation | None:
    """Gives one domain on the tasks of which every sample of both has an outcome; None where there is none.

    Both must have been sampled `samples` times a task.
    """
    common = [id_ for id_ in parent.samples if id_ in child.samples]
    full = [id_ for id_ in common if parent.samples[id_][0] == child.samples[id_][0] == samples]
    if not full:
        return None
    right = [np.array([side.samples[id_][1] for id_ in full]) for side in (parent, child)]
    points = tuple(_point(right[0], right[1], samples, k) for k in ks_up_to(samples))
    solved = [counts > 0 for counts in right]
    size = len(full)
    return DomainElicitation(
        num_tasks=size,
        left_out=len(common) - size,
        points=points,
        only_parent=proportion_interval(int(np.sum(solved[0] & ~solved[1])), size),
        only_child=proportion_interval(int(np.sum(solved[1] & ~solved[0])), size),
        neither=proportion_interval(int(np.sum(~solved[0] & ~solved[1])), size),
        crossover=crossover_of(points),
        readout=_readout(parent, child),
        verdict=verdict_of(points[0].difference, points[-1].difference, k=points[-1].k),
    )


def _point(parent: npt.NDArray[np.int64], child: npt.NDArray[np.int64], samples: int, k: int) -> Point:
    before, after = (pass_at_k(samples, counts, k=k) for counts in (parent, child))
    return Point(k, rate_interval(before), rate_interval(after), paired_difference_interval(before, after))


def crossover_of(points: Sequence[Point]) -> Crossover:
    """Gives where the parent catches up. Only the difference at the largest k is tested, so there is one test."""
    back = points[::-1]
    not_worse = [point.k for point in takewhile(lambda point: point.difference.mean <= 0, back)]
    better = [point.k for point in takewhile(lambda point: point.difference.mean < 0, back)]
    return Crossover(
        not_worse_from=not_worse[-1] if not_worse else None,
        better_from=better[-1] if better else None,
        is_told=points[-1].difference.high < 0,
    )


def verdict_of(first: Interval, last: Interval, *, k: int) -> Verdict:
    """Gives what became of a model whose pass@1 changed by `first` and whose pass@k at the largest k by `last`."""
    if last.low > 0:
        return "taught" if k >= FEW_SAMPLES else "higher"
    if last.high < 0:
        return "lost reach" if k >= FEW_SAMPLES else "lower"
    if first.low > 0:
        return "sharpened"
    return "lost sureness" if first.high < 0 else "no change"


def overall_of(found: Mapping[str, DomainElicitation], trained: Sequence[str]) -> Overall | None:
    """Gives the mean over the domains that were trained on; over all where none of those was asked. None without any.

    Domains have tasks of their own, so their errors are independent.
    """
    learned = tuple(name for name in found if name in trained)
    domains = learned or tuple(found)
    if not domains:
        return None
    first = mean_of([found[name].points[0].difference for name in domains])
    last = mean_of([found[name].points[-1].difference for name in domains])
    k = found[domains[0]].points[-1].k
    return Overall(domains, bool(learned), k, first, last, verdict_of(first, last, k=k))


def _readout(parent: SideCounts, child: SideCounts) -> ReadOut | None:
    read = (parent.greedy, parent.low, child.greedy)
    common = [id_ for id_ in parent.greedy if all(counts.get(id_, (0, 0))[0] for counts in read)]
    if not common:
        return None
    greedy, low, after = (np.array([counts[id_][1] / counts[id_][0] for id_ in common]) for counts in read)
    return ReadOut(
        parent_greedy=_share(greedy),
        parent_low=rate_interval(low),
        child_greedy=_share(after),
        over_greedy=paired_difference_interval(greedy, after),
        over_low=paired_difference_interval(low, after),
    )


def _share(right: Rates) -> Interval:
    return proportion_interval(round(float(right.sum())), len(right))
