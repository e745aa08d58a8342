"""Simulated evaluations of which the truth is known, one cell a setting, for every estimator of rlvr/statistics.

N tasks, S samples of each. Tasks' own rates come from a Beta distribution around the true rate: `own` is a + b of it,
0.5 where nearly all tasks are hopeless or sure, 4 where most lie between; infinite where all are alike.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom, binom, multinomial

from rlvr.statistics.intervals import Interval, mean_of, paired_difference_interval, proportion_interval, rate_interval
from rlvr.statistics.paired import bootstrap_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.statistics.sequential import anytime_lower_bounds
from rlvr.statistics.spread import correlation
from rlvr.statistics.votes import majority_at_k

Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Iterator[Interval]]

TRUE_RATES = (0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)
TASKS = (64, 256, 1024)
SAMPLES = (1, 4, 16)
OWN = (0.5, 4.0, math.inf)
GAIN = 0.05
"""Of the second of a pair, as far as there is room, in the share REDRAWN of the tasks whose rate is drawn anew."""
REDRAWN = 0.3
VOTES = 8
"""Completions of a task of which the majority of VOTERS is estimated, three wrong answers 5 : 3 : 2 among them."""
VOTERS = 4
WRONG = (0.5, 0.3, 0.2)


@dataclass(frozen=True, slots=True)
class Cell:
    """A setting in words, its number of tasks, the truth, and a way to draw so many intervals for it.

    Where it `is_one_sided` the high end says nothing.
    """

    said: str
    tasks: int
    truth: float
    draw: Draw
    is_one_sided: bool = False


def task_rates(rng: np.random.Generator, rate: float, own: float, shape: tuple[int, ...]) -> Numbers:
    """Gives each task's own rate, their mean being `rate`."""
    if math.isinf(own):
        return np.full(shape, rate)
    return rng.beta(own * rate, own * (1 - rate), size=shape)


def said_of(rate: float, tasks: int, samples: int, own: float) -> str:
    return f"rate {rate:g}, {tasks} tasks, {samples} samples, {'all alike' if math.isinf(own) else f'own {own:g}'}"


def is_within(truth: float) -> bool:
    """Whether a truth that follows from the rate is one of those for which anything is promised."""
    return TRUE_RATES[0] <= truth <= TRUE_RATES[-1]


def _grid() -> Iterator[tuple[float, int, int, float]]:
    yield from product(TRUE_RATES, TASKS, SAMPLES, OWN)


def proportion_cells() -> Iterator[Cell]:
    """proportion_interval: answers right or wrong, one of each task."""
    for rate, tasks in product(TRUE_RATES, TASKS):

        def draw(rng: np.random.Generator, count: int, rate: float = rate, tasks: int = tasks) -> Iterator[Interval]:
            yield from (proportion_interval(int(right), tasks) for right in rng.binomial(tasks, rate, size=count))

        yield Cell(f"rate {rate:g}, {tasks} tasks", tasks, rate, draw)


def rate_cells() -> Iterator[Cell]:
    """rate_interval: avg@n, the mean over tasks of the share of right samples."""
    for rate, tasks, samples, own in _grid():

        def draw(
            rng: np.random.Generator,
            count: int,
            rate: float = rate,
            tasks: int = tasks,
            samples: int = samples,
            own: float = own,
        ) -> Iterator[Interval]:
            rights = rng.binomial(samples, task_rates(rng, rate, own, (count, tasks)))
            yield from (rate_interval(row / samples) for row in rights)

        yield Cell(said_of(rate, tasks, samples, own), tasks, rate, draw)


def pass_cells() -> Iterator[Cell]:
    """pass@k for k of 2, 8 and 16, from 16 samples a task."""
    for rate, tasks, own, k in product(TRUE_RATES, TASKS, OWN, (2, 8, 16)):
        table = pass_at_k(16, np.arange(17), k=k)
        # E (1 - θ)^k of a Beta is the product of (b + i) / (a + b + i).
        fail = [(own * (1 - rate) + i) / (own + i) if math.isfinite(own) else 1 - rate for i in range(k)]
        truth = 1 - math.prod(fail)
        if not is_within(truth):
            continue

        def draw(
            rng: np.random.Generator,
            count: int,
            rate: float = rate,
            tasks: int = tasks,
            own: float = own,
            table: Numbers = table,
        ) -> Iterator[Interval]:
            rights = rng.binomial(16, task_rates(rng, rate, own, (count, tasks)))
            yield from (rate_interval(table[row]) for row in rights)

        yield Cell(f"pass@{k}, {said_of(rate, tasks, 16, own)}", tasks, truth, draw)


def majority_cells() -> Iterator[Cell]:
    """maj@k: the vote of VOTERS, from VOTES samples a task."""
    table = majority_table(VOTERS)
    for rate, tasks, own in product(TRUE_RATES, TASKS, OWN):
        truth = voted(table, rate, own)
        if not is_within(truth):
            continue

        def draw(
            rng: np.random.Generator, count: int, rate: float = rate, tasks: int = tasks, own: float = own
        ) -> Iterator[Interval]:
            votes = votes_drawn(rng, task_rates(rng, rate, own, (count, tasks)))
            yield from (rate_interval(row) for row in np.clip(table[votes], 0.0, 1.0))

        yield Cell(said_of(rate, tasks, VOTES, own), tasks, truth, draw)


def majority_table(voters: int) -> Numbers:
    """Gives the chance that the vote of so many is right, by how many of VOTES are right and give the first and the
    second wrong answer."""
    table = np.zeros((VOTES + 1,) * 3)
    for right, first, second in product(range(VOTES + 1), repeat=3):
        if right + first + second <= VOTES:
            wrong = (first, second, VOTES - right - first - second)
            table[right, first, second] = majority_at_k(right, wrong, k=voters)
    return table


def votes_drawn(rng: np.random.Generator, rates: Numbers) -> tuple[npt.NDArray[np.int64], ...]:
    """Gives how many of VOTES samples are right, and how many give the first and the second wrong answer."""
    right = rng.binomial(VOTES, rates)
    first = rng.binomial(VOTES - right, WRONG[0])
    return right, first, rng.binomial(VOTES - right - first, WRONG[1] / (1 - WRONG[0]))


def chances(samples: int, rate: float, own: float) -> Numbers:
    """Gives the chance that 0, 1, … of the samples of a task are right."""
    law = binom(samples, rate) if math.isinf(own) else betabinom(samples, own * rate, own * (1 - rate))
    return np.asarray(law.pmf(np.arange(samples + 1)), dtype=np.float64)


def voted(table: Numbers, rate: float, own: float) -> float:
    """Gives the true rate of a vote, from the table of `majority_table`."""
    return sum(float(chance) * _expected(table, right) for right, chance in enumerate(chances(VOTES, rate, own)))


def _expected(table: Numbers, right: int) -> float:
    """Gives the mean of the table over the wrong answers, so many being right."""
    rest = VOTES - right
    pairs = [(first, second) for first in range(rest + 1) for second in range(rest + 1 - first)]
    weights = [multinomial.pmf((f, s, rest - f - s), rest, WRONG) for f, s in pairs]
    return float(sum(w * table[right, f, s] for w, (f, s) in zip(weights, pairs, strict=True)))


def paired_cells() -> Iterator[Cell]:
    """paired_difference_interval."""
    for settings in _grid():
        yield _pairs(*settings, lambda a, b: paired_difference_interval(a, b))


def bootstrap_cells() -> Iterator[Cell]:
    """bootstrap_interval, with 1,000 draws."""
    for rate, tasks, samples, own in product(TRUE_RATES, (64, 256), (1, 16), OWN):
        yield _pairs(rate, tasks, samples, own, lambda a, b: bootstrap_interval(a, b, num_draws=1000))


def _pairs(rate: float, tasks: int, samples: int, own: float, interval: Callable[[Numbers, Numbers], Interval]) -> Cell:
    after = min(rate + GAIN, 0.99)

    def draw(rng: np.random.Generator, count: int) -> Iterator[Interval]:
        before = task_rates(rng, rate, own, (count, tasks))
        is_new = rng.random((count, tasks)) < REDRAWN
        later = np.where(is_new, task_rates(rng, after, own, (count, tasks)), before)
        a, b = rng.binomial(samples, before) / samples, rng.binomial(samples, later) / samples
        yield from (interval(x, y) for x, y in zip(a, b, strict=True))

    return Cell(said_of(rate, tasks, samples, own), tasks, REDRAWN * (after - rate), draw)


def mean_cells() -> Iterator[Cell]:
    """mean_of: the mean of rate_interval over three domains, two of them at the rate and one at half of it."""
    for rate, tasks, own in product(TRUE_RATES, TASKS, OWN):

        def draw(
            rng: np.random.Generator, count: int, rate: float = rate, tasks: int = tasks, own: float = own
        ) -> Iterator[Interval]:
            three = [rng.binomial(4, task_rates(rng, each, own, (count, tasks))) for each in (rate, rate, rate / 2)]
            yield from (mean_of([rate_interval(row / 4) for row in rows]) for rows in zip(*three, strict=True))

        yield Cell(said_of(rate, tasks, 4, own), tasks, 2.5 * rate / 3, draw)


def anytime_cells() -> Iterator[Cell]:
    """anytime_lower_bounds at every look: the highest of all bounds is the low end, 1 the high one."""
    for rate, tasks, samples, own in product(TRUE_RATES, (1024,), (1, 16), OWN):

        def draw(
            rng: np.random.Generator,
            count: int,
            rate: float = rate,
            tasks: int = tasks,
            samples: int = samples,
            own: float = own,
        ) -> Iterator[Interval]:
            rows = rng.binomial(samples, task_rates(rng, rate, own, (count, tasks))) / samples
            bounds = anytime_lower_bounds(rows, error=0.05, low=0.0)
            for row, looks in zip(rows, bounds, strict=True):
                yield Interval(float(row.mean()), float(looks.max()), 1.0)

        yield Cell(said_of(rate, tasks, samples, own), tasks, rate, draw, is_one_sided=True)


def correlation_cells() -> Iterator[Cell]:
    """correlation: of two normal measurements of 8, 24 and 100 racers, counted as tasks."""
    for truth, racers in product((0.0, 0.3, 0.5, 0.7, 0.9), (8, 24, 100)):

        def draw(
            rng: np.random.Generator, count: int, truth: float = truth, racers: int = racers
        ) -> Iterator[Interval]:
            early, other = rng.normal(size=(2, count, racers))
            late = truth * early + (1 - truth**2) ** 0.5 * other
            for x, y in zip(early, late, strict=True):
                found = correlation(x, y)
                assert found is not None, "both vary"
                yield found

        yield Cell(f"correlation {truth:g}, {racers} racers", racers, truth, draw)


ESTIMATORS: dict[str, Callable[[], Iterator[Cell]]] = {
    "proportion_interval": proportion_cells,
    "rate_interval (avg@n)": rate_cells,
    "rate_interval of pass@k": pass_cells,
    "rate_interval of maj@k": majority_cells,
    "paired_difference_interval": paired_cells,
    "bootstrap_interval": bootstrap_cells,
    "mean_of": mean_cells,
    "anytime_lower_bounds, all looks": anytime_cells,
    "correlation": correlation_cells,
}
