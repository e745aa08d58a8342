"""More cells for interval_coverage: figures of suites, gates, races and analyses, which are made of several numbers.

As in coverage_cells: tasks' own rates come from a Beta distribution, `own` is a + b of it.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product

import numpy as np
from coverage_cells import (
    GAIN,
    OWN,
    REDRAWN,
    TASKS,
    TRUE_RATES,
    VOTES,
    Cell,
    Numbers,
    chances,
    is_within,
    majority_table,
    said_of,
    task_rates,
    voted,
    votes_drawn,
)

from rlvr.stages.thinking import MAJORITY, ONE, ThinkingPoint, price_of
from rlvr.statistics.best_of import best_of_k
from rlvr.statistics.intervals import (
    Interval,
    mean_of,
    paired_difference_interval,
    rate_interval,
    ratio_interval,
    share_interval,
    unpaired_difference_interval,
)
from rlvr.statistics.wins import matched_win_rate

SIZES, SIZE_SHARES, HARDER = np.array([1, 2, 3]), np.array([0.55, 0.3, 0.15]), np.array([0.75, 1.0, 1.5])
"""Instructions of a task, how often there are so many, and the power of the rate at which each of them is kept."""
FEW_TASKS = (64, 256)
SCORED, CHOSEN, LIKED = 8, 4, 4.0
"""Completions of a task with a score, of which so many compete; the odds of a right one to be liked above a wrong."""
RACERS = 4
VOTING = (2, 4, 8)


def share_cells() -> Iterator[Cell]:
    """share_interval: instructions kept of tasks with one to three, each kept more seldom where there are more."""
    for rate, tasks, own in product(TRUE_RATES, TASKS, OWN):
        means = rate**HARDER
        truth = float((SIZE_SHARES * SIZES * means).sum() / (SIZE_SHARES * SIZES).sum())
        if not is_within(truth):
            continue

        def draw(
            rng: np.random.Generator, count: int, tasks: int = tasks, own: float = own, means: Numbers = means
        ) -> Iterator[Interval]:
            place = rng.choice(3, p=SIZE_SHARES, size=(count, tasks))
            rates = means[place]
            rates = rates if math.isinf(own) else rng.beta(own * rates, own * (1 - rates))
            kept = rng.binomial(SIZES[place], rates)
            yield from (share_interval(a, b) for a, b in zip(kept, SIZES[place], strict=True))

        yield Cell(said_of(rate, tasks, 1, own), tasks, truth, draw)


def ratio_cells() -> Iterator[Cell]:
    """ratio_interval: change of nats per token, which is even, and KL, which is skewed, over documents of about 100
    tokens whose logarithm deviates by `uneven`."""
    for kind, documents, uneven in product(("change", "KL"), TASKS, (0.3, 0.6, 1.0)):
        truth = 0.02 if kind == "change" else 0.05

        def draw(
            rng: np.random.Generator,
            count: int,
            kind: str = kind,
            documents: int = documents,
            uneven: float = uneven,
            truth: float = truth,
        ) -> Iterator[Interval]:
            shape = (count, documents)
            sizes = np.ceil(100 * rng.lognormal(-(uneven**2) / 2, uneven, size=shape))
            if kind == "change":
                totals = sizes * rng.normal(truth, 0.03, size=shape) + np.sqrt(sizes) * rng.normal(0, 0.5, size=shape)
            else:
                totals = sizes * rng.gamma(2.0, truth / 2, size=shape)
            yield from (ratio_interval(a, b) for a, b in zip(totals, sizes, strict=True))

        yield Cell(f"{kind}, {documents} documents, uneven {uneven:g}", documents, truth, draw)


def matched_cells() -> Iterator[Cell]:
    """matched_win_rate: one pair of each task, of which so many match in length with ours the longer, or not; a longer
    text wins 10 points more often, one pair of ten is a tie."""
    for rate, tasks, (longer, shorter) in product(
        (0.1, 0.3, 0.5, 0.7, 0.9), FEW_TASKS, ((0.3, 0.3), (0.1, 0.4), (0.4, 0.1))
    ):

        def draw(
            rng: np.random.Generator,
            count: int,
            rate: float = rate,
            tasks: int = tasks,
            longer: float = longer,
            shorter: float = shorter,
        ) -> Iterator[Interval]:
            names = [str(place) for place in range(tasks)]
            for _ in range(count):
                kind = rng.choice(3, p=(longer, shorter, 1 - longer - shorter), size=tasks)
                won = (rng.random(tasks) < rate + np.array([0.05, -0.05, 0.0])[kind]).astype(float)
                won = np.where(rng.random(tasks) < 0.1, 0.5, won)
                ours = np.array([110, 100, 300])[kind].tolist()
                found = matched_win_rate(names, won.tolist(), ours, [105] * tasks)
                if found is not None:
                    yield found.rate

        said = f"rate {rate:g}, {tasks} tasks, {100 * longer:.0f} % longer, {100 * shorter:.0f} % not"
        yield Cell(said, tasks, 0.9 * rate + 0.05, draw)


def best_of_cells() -> Iterator[Cell]:
    """rate_interval of best_of_k: the best of CHOSEN by a score that likes right ones, from SCORED samples a task."""
    patterns = (np.arange(2**SCORED)[:, None] >> np.arange(SCORED)) & 1
    table = np.array([best_of_k(range(SCORED), list(map(float, row)), k=CHOSEN) for row in patterns])
    number = np.arange(CHOSEN + 1)
    # Scores are Gumbel's, those of right ones moved by ln LIKED: each is the best with odds of LIKED to 1.
    is_right = LIKED * number / (LIKED * number + CHOSEN - number)
    for rate, tasks, own in product(TRUE_RATES, FEW_TASKS, OWN):
        truth = float((chances(CHOSEN, rate, own) * is_right).sum())
        if not is_within(truth):
            continue

        def draw(
            rng: np.random.Generator, count: int, rate: float = rate, tasks: int = tasks, own: float = own
        ) -> Iterator[Interval]:
            rates = task_rates(rng, rate, own, (count, tasks))
            right = rng.random((count, tasks, SCORED)) < rates[:, :, None]
            order = np.argsort(rng.gumbel(size=right.shape) + math.log(LIKED) * right, axis=2)
            seen = (np.take_along_axis(right, order, axis=2) << np.arange(SCORED)).sum(axis=2)
            yield from (rate_interval(row) for row in np.clip(table[seen], 0.0, 1.0))

        yield Cell(said_of(rate, tasks, SCORED, own), tasks, truth, draw)


def mean_gain_cells() -> Iterator[Cell]:
    """mean_gain, which is mean_of over paired_difference_interval: three domains, two at the rate, one at half."""
    for rate, tasks, own in product(TRUE_RATES, FEW_TASKS, OWN):
        three = (rate, rate, rate / 2)

        def draw(
            rng: np.random.Generator,
            count: int,
            tasks: int = tasks,
            own: float = own,
            three: tuple[float, ...] = three,
        ) -> Iterator[Interval]:
            pairs = [_pair(rng, one, min(one + GAIN, 0.99), own, (count, tasks)) for one in three]
            for place in range(count):
                yield mean_of([paired_difference_interval(a[place], b[place]) for a, b in pairs])

        truth = sum(REDRAWN * (min(one + GAIN, 0.99) - one) for one in three) / 3
        yield Cell(said_of(rate, tasks, 4, own), tasks, truth, draw)


def _pair(
    rng: np.random.Generator, before: float, after: float, own: float, shape: tuple[int, int]
) -> tuple[Numbers, Numbers]:
    """Gives both sides' shares of 4 samples; in REDRAWN of the tasks the second's rate is drawn anew."""
    first = task_rates(rng, before, own, shape)
    second = np.where(rng.random(shape) < REDRAWN, task_rates(rng, after, own, shape), first)
    return rng.binomial(4, first) / 4, rng.binomial(4, second) / 4


def selection_cells() -> Iterator[Cell]:
    """unpaired_difference_interval as a race's selection effect: by how much the winner of RACERS leads by more on the
    tasks that chose it than in truth. Each interval is moved by that, so that the truth is 0."""
    for rate, tasks, own in product((0.05, 0.1, 0.3, 0.5, 0.7, 0.9), FEW_TASKS, OWN):

        def draw(
            rng: np.random.Generator, count: int, rate: float = rate, tasks: int = tasks, own: float = own
        ) -> Iterator[Interval]:
            anew = np.minimum(rate + GAIN * np.arange(RACERS), 0.99)
            true = REDRAWN * anew + (1 - REDRAWN) * rate
            halves = []
            for _ in ("race", "fresh"):
                shared = task_rates(rng, rate, own, (count, tasks))
                rates = [
                    np.where(rng.random(shared.shape) < REDRAWN, task_rates(rng, one, own, shared.shape), shared)
                    for one in anew.tolist()
                ]
                halves.append(rng.binomial(4, np.stack(rates, axis=1)) / 4)
            for seen in zip(*halves, strict=True):
                winner = int(seen[0].mean(axis=1).argmax())
                race, fresh = (rows[winner] - rows.mean(axis=0) for rows in seen)
                effect = float(race.mean()) - float(true[winner] - true.mean())
                found = unpaired_difference_interval(race, fresh)
                yield Interval(found.mean - effect, found.low - effect, found.high - effect)

        yield Cell(said_of(rate, tasks, 4, own), tasks, 0.0, draw)


def price_cells() -> Iterator[Cell]:
    """price_of: the tokens with which a vote reaches the child's accuracy, half way between one sample and 8, as
    doublings of one sample's; a vote that never reaches it, 3 of them."""
    tables = {k: majority_table(k) for k in VOTING}
    for rate, tasks, own in product((0.4, 0.5, 0.6, 0.7), TASKS, (4.0, math.inf)):
        ways = {k: voted(table, rate, own) for k, table in tables.items()}
        child = (rate + ways[VOTES]) / 2
        points = [(1, rate - child), *((k, ways[k] - child) for k in VOTING)]
        truth = _crossing(points)

        def draw(
            rng: np.random.Generator,
            count: int,
            rate: float = rate,
            tasks: int = tasks,
            own: float = own,
            child: float = child,
        ) -> Iterator[Interval]:
            target = rng.binomial(4, task_rates(rng, child, own, (count, tasks))) / 4
            votes = votes_drawn(rng, task_rates(rng, rate, own, (count, tasks)))
            rows = {1: votes[0] / VOTES, **{k: np.clip(tables[k][votes], 0.0, 1.0) for k in VOTING}}
            for place in range(count):
                curve = [
                    ThinkingPoint(
                        ONE if k == 1 else MAJORITY,
                        k,
                        float(k),
                        Interval(0.0, 0.0, 0.0),
                        paired_difference_interval(target[place], row[place]),
                    )
                    for k, row in rows.items()
                ]
                price = price_of(curve)
                yield Interval(*(3.0 if at is None else math.log2(at) for at in (price.mean, price.low, price.high)))

        yield Cell(said_of(rate, tasks, VOTES, own), tasks, truth, draw)


def _crossing(points: list[tuple[int, float]]) -> float:
    """Gives the doublings at which a rising lead is 0, straight between points."""
    for (before, behind), (tokens, lead) in pairwise(points):
        if lead >= 0:
            return math.log2(before) + (math.log2(tokens) - math.log2(before)) * -behind / (lead - behind)
    raise ValueError("the lead stays below 0")


REPORTED: dict[str, Callable[[], Iterator[Cell]]] = {
    "share_interval": share_cells,
    "ratio_interval": ratio_cells,
    "matched_win_rate": matched_cells,
    "rate_interval of best_of_k": best_of_cells,
    "mean_gain": mean_gain_cells,
    "selection of a race": selection_cells,
    "price of a vote, in doublings": price_cells,
}
