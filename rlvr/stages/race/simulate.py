"""Races that are only calculated: how often a policy loses the best racer, what that costs and what it saves.

J racers, R rungs, N tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rlvr.stages.race.policy import Foresight, Policy, decide
from rlvr.statistics.intervals import Interval, t_quantile

Numbers = npt.NDArray[np.float64]

ASHA_REDUCTION = 4
"""Ray's default: of those that reached a rung so far, one in so many goes on."""


@dataclass(frozen=True, slots=True)
class World:
    """What seeds do.

    The true rate of right answers at the end has mean `rate` and deviation `spread` over racers; that at rung r has the
    same deviation and correlates with it by `correlations[r]`. Measured are `num_tasks` tasks, which are easier or
    harder by `task_spread` for all racers alike, `samples` times each.
    """

    spread: float
    correlations: tuple[float, ...]
    rate: float = 0.6
    num_tasks: int = 256
    samples: int = 4
    task_spread: float = 0.25

    def foresight(self, rung: int) -> Foresight:
        """What many recorded races of this world would say of that rung."""
        correlation = self.correlations[rung]
        return Foresight(correlation, self.spread * (2 * (1 - correlation**2)) ** 0.5)

    def race(self, num_racers: int, rng: np.random.Generator) -> "Race":
        """Gives a race of this world."""
        ends = rng.normal(size=num_racers)
        early = [c * ends + (1 - c * c) ** 0.5 * rng.normal(size=num_racers) for c in self.correlations]
        tasks = rng.normal(0.0, self.task_spread, size=self.num_tasks)
        true = self.rate + self.spread * np.array([*early, ends])
        chances = np.clip(true[:, :, None] + tasks, 0.0, 1.0)
        seen = rng.binomial(self.samples, chances) / self.samples
        return Race(true[-1], seen[:-1], seen[-1])


@dataclass(frozen=True, slots=True)
class Race:
    """One race if nobody were paused: the true `ends` [J], what was measured at the rungs [R, J, N] and at the end.

    `curves` says which recorded curves the racers are; empty where they are made up.
    """

    ends: Numbers
    rungs: Numbers
    measured: Numbers
    curves: tuple[int, ...] = ()


class Races(Protocol):
    """Where races come from: a world that is made up, or records."""

    def race(self, num_racers: int, rng: np.random.Generator) -> Race:
        """Gives a race of so many."""
        ...

    def foresight(self, rung: int) -> Foresight:
        """What many races say of how far that rung tells the end."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """Over all races: `regret` is what the one chosen lacks of the best, in rates; `lost_rate` how often the best was
    paused, `paused_rate` how often anyone was; `cost` what was spent, as a share of running all to the end; `regrets`
    are those of the single races, the same races for every rule with the same seed, and `curves` their racers'."""

    regret: Interval
    lost_rate: float
    paused_rate: float
    cost: float
    regrets: tuple[float, ...]
    curves: tuple[tuple[int, ...], ...]


def gain_over(other: Result, own: Result) -> Interval:
    """Gives by how much `own` comes nearer to the best racer than `other` does, race by race, with its 95% interval.

    Of races that are made up it counts their drawing. Of races of recorded curves it is that of other curves in the
    place of these, which no number of races drawn from the same ones makes narrower. Raises ValueError for different
    numbers of races.
    """
    gains = np.subtract(other.regrets, own.regrets)
    return _over_curves(gains, own.curves) if any(own.curves) else _mean_of(gains)


def _over_curves(values: Numbers, curves: Sequence[tuple[int, ...]]) -> Interval:
    """The jackknife over curves: each is left out with all races that it is in. Where all races have all curves nothing
    can be left out, and nothing is told.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11.
    """
    known = sorted({curve for drawn in curves for curve in drawn})
    without = np.array([[curve not in drawn for drawn in curves] for curve in known])
    mean, counts, size = float(values.mean()), without.sum(axis=1), len(known)
    if not counts.all():
        return Interval(mean, -1.0, 1.0)
    left = without @ values / counts
    deviation = ((size - 1) / size * float(((left - left.mean()) ** 2).sum())) ** 0.5
    half = t_quantile(size - 1, 0.95) * deviation
    return Interval(mean, mean - half, mean + half)


def _mean_of(values: npt.ArrayLike) -> Interval:
    numbers = np.asarray(values, dtype=np.float64)
    mean, half = float(numbers.mean()), t_quantile(len(numbers) - 1, 0.95) * float(numbers.std(ddof=1))
    half /= len(numbers) ** 0.5
    return Interval(mean, mean - half, mean + half)


def run_policy(policy: Policy, race: Race, world: Races) -> tuple[list[int], float]:
    """Gives who ran to the end, and the cost."""
    running, cost, before = list(range(len(race.ends))), 0.0, 0.0
    for rung, share in enumerate(policy.shares):
        cost += len(running) * (share - before)
        rates = {str(racer): race.rungs[rung, racer] for racer in running}
        found = decide(policy, rung, rates, num_racers=len(race.ends), foresight=world.foresight(rung))
        running, before = [racer for racer in running if found[str(racer)].goes_on], share
    return running, (cost + len(running) * (1 - before)) / len(race.ends)


def asha_goes_on(score: float, recorded: Sequence[float], *, reduction: float = ASHA_REDUCTION) -> bool:
    """Says whether a racer goes on that reaches a rung at which `recorded` are the scores of those before it.

    The first always does; later ones are stopped below the quantile 1 - 1 / reduction.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, as Ray Tune's
    ASHAScheduler decides (`_Bracket.cutoff` and `on_result` in ray/tune/schedulers/async_hyperband.py), which differs
    from the paper in that a stopped racer is never promoted later.
    """
    return not recorded or score >= float(np.quantile(recorded, 1 - 1 / reduction))


def run_asha(shares: Sequence[float], race: Race, rng: np.random.Generator) -> tuple[list[int], float]:
    """Gives the same for asynchronous halving; racers arrive one after the other, in a random order."""
    reached: list[list[float]] = [[] for _ in shares]
    ended, cost = [], 0.0
    for racer in rng.permutation(len(race.ends)):
        spent = 1.0
        for rung, share in enumerate(shares):
            score = float(race.rungs[rung, racer].mean())
            goes_on = asha_goes_on(score, reached[rung])
            reached[rung].append(score)
            if not goes_on:
                spent = share
                break
        else:
            ended.append(int(racer))
        cost += spent
    return ended, cost / len(race.ends)


def run_fewer(budget: float, race: Race, rng: np.random.Generator) -> tuple[list[int], float]:
    """Gives the same for as many racers in full as the share `budget` pays for, on average over races."""
    paid = budget * len(race.ends)
    count = max(1, int(paid) + (rng.random() < paid % 1))
    return list(range(count)), count / len(race.ends)


def simulate(
    rule: Policy | str,
    world: Races,
    *,
    num_racers: int = 8,
    num_races: int = 2000,
    seed: int = 0,
    budget: float = 1.0,
    shares: Sequence[float] = (0.1, 0.3),
) -> Result:
    """Gives what a policy does, or "asha" with rungs at `shares`, or "fewer" racers in full for the share `budget`.

    The one chosen is the best of those that ran to the end, by what was measured there.
    """
    worlds, rng = np.random.default_rng(seed), np.random.default_rng((seed, 1))  # The same races for every rule.
    regrets, curves, lost, paused, costs = [], [], 0, 0, []
    for _ in range(num_races):
        race = world.race(num_racers, worlds)
        if isinstance(rule, Policy):
            ended, cost = run_policy(rule, race, world)
        elif rule == "asha":
            ended, cost = run_asha(shares, race, rng)
        else:
            ended, cost = run_fewer(budget, race, rng)
        chosen = max(ended, key=lambda racer: race.measured[racer].mean())
        best = int(np.argmax(race.ends))
        regrets.append(float(race.ends[best] - race.ends[chosen]))
        curves.append(race.curves)
        lost += best not in ended
        paused += len(ended) < num_racers
        costs.append(cost)
    rates = lost / num_races, paused / num_races, float(np.mean(costs))
    return Result(_mean_of(regrets), *rates, regrets=tuple(regrets), curves=tuple(curves))


def rung_correlations(last: float, num_rungs: int) -> tuple[float, ...]:
    """Gives a correlation with the end for each rung, which rises to that of the last one."""
    return tuple(last * (0.7 + 0.3 * (rung + 1) / num_rungs) for rung in range(num_rungs))


def break_even(policy: Policy, *, num_racers: int = 8, num_races: int = 20_000, seed: int = 0) -> float:
    """Gives the correlation of the last rung with the end from which "halving" does better than fewer racers in full
    for the same steps; 1 where it never does.

    The ends are normal, scores at rungs normal around `rung_correlations`, and the best at the end is found: noise of
    evaluation lowers the correlation that is measured.
    """
    rng = np.random.default_rng(seed)
    ends = rng.normal(size=(num_races, num_racers))
    noises = rng.normal(size=(len(policy.shares), num_races, num_racers))
    sizes, shares = (num_racers, *policy.keep), (0.0, *policy.shares, 1.0)
    paid = sum(size * (after - before) for size, (before, after) in zip(sizes, pairwise(shares), strict=True))
    whole = int(paid)
    best = [float(ends[:, :count].max(axis=1).mean()) for count in (whole, min(whole + 1, num_racers))]
    fewer = best[0] + (paid - whole) * (best[1] - best[0])
    for last in np.arange(0.0, 1.0, 0.01):
        alive = np.ones_like(ends, dtype=bool)
        for rung, (correlation, kept) in enumerate(
            zip(rung_correlations(float(last), len(policy.keep)), policy.keep, strict=True)
        ):
            scores = correlation * ends + (1 - correlation**2) ** 0.5 * noises[rung]
            scores = np.where(alive, scores, -np.inf)
            alive = scores >= np.sort(scores, axis=1)[:, -kept, None]
        if float(np.where(alive, ends, -np.inf).max(axis=1).mean()) >= fewer:
            return float(last)
    return 1.0
