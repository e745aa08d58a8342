"""Who goes on: a pure function of what was measured at a rung, all racers at the same step on the same tasks.

J racers, N tasks. A rung is a share of the steps at which all that run are measured; rungs are chosen before the race.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from rlvr.errors import RecipeError
from rlvr.statistics.sequential import anytime_lower_bounds

TaskRates = Mapping[str, npt.NDArray[np.float64]]
"""By racer its rate of right answers on each of the N tasks, in one order."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule with its rungs: `shares` of the steps, rising, below 1.

    "halving" goes on with the `keep[i]` best after rung i, whatever their distance. "safe" pauses a racer only when the
    chance that it would have ended best is small: over the whole race at most `error` that the best one is paused.
    """

    rule: str
    shares: tuple[float, ...]
    keep: tuple[int, ...] = ()
    error: float = 0.1


@dataclass(frozen=True, slots=True)
class Foresight:
    """How far a rung tells the end, as recorded races have it: the end's difference of two racers is `slope` times that
    of the rung, and is off by `spread` (standard deviation), normally distributed. That was told by records with so
    many `degrees` of freedom, two fewer than racers, whose rates at the rung had that `square_sum` around their mean:
    the smaller it is beside a lead, the less is the slope known for it. Both 0 where slope and spread are known
    exactly. Without records: a rung tells nothing."""

    slope: float = 0.0
    spread: float = 1.0
    degrees: int = 0
    square_sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a racer goes on, why, and the `score` that it has: the mean of its rates."""

    goes_on: bool
    reason: str
    score: float


def halving(num_racers: int) -> Policy:
    """Gives the rule that keeps half at a tenth of the steps and a quarter, rounded, at three tenths: 8 racers cost 3
    in full, and of 6 or more two run to the end at least."""
    return Policy("halving", (0.1, 0.3), (max(1, num_racers // 2), max(1, round(num_racers / 4))))


def safe(error: float = 0.1) -> Policy:
    """Gives the rule that is wrong at most so often, with rungs at one, two and three fifths of the steps."""
    return Policy("safe", (0.2, 0.4, 0.6), error=error)


POLICIES = ("halving", "safe")


def check(policy: Policy, *, num_racers: int, steps: int) -> tuple[int, ...]:
    """Gives the steps of the rungs. Raises RecipeError for a race that decides nothing or a rung that cannot be."""
    if num_racers < 2:
        raise RecipeError("a race needs at least 2 racers, got 1", hint="--seeds 4, or rlvr train")
    if not policy.shares:
        raise RecipeError("a race without rungs pauses nobody", hint="--rungs 0.1,0.3")
    if any(not 0 < share < 1 for share in policy.shares) or list(policy.shares) != sorted(set(policy.shares)):
        raise RecipeError(f"rungs {list(policy.shares)} must rise and lie between 0 and 1", hint="--rungs 0.1,0.3")
    if policy.rule == "halving" and not all(
        1 <= after <= before for before, after in zip((num_racers, *policy.keep), policy.keep, strict=False)
    ):
        raise RecipeError(
            f"of {num_racers} racers {list(policy.keep)} are kept, one number a rung, each at most the one before",
            hint="--keep 4,2",
        )
    if policy.rule == "halving" and len(policy.keep) != len(policy.shares):
        raise RecipeError(f"{len(policy.shares)} rungs need as many numbers to keep, got {len(policy.keep)}")
    if not 0 < policy.error < 0.5:
        raise RecipeError(f"error {policy.error} must lie between 0 and 0.5", hint="--error 0.1")
    found = tuple(round(share * steps) for share in policy.shares)
    if found[0] < 1 or len(set(found)) < len(found) or found[-1] >= steps:
        raise RecipeError(
            f"rungs {list(policy.shares)} of {steps} steps fall on steps {list(found)}", hint="more steps"
        )
    return found


def decide(
    policy: Policy, rung: int, rates: TaskRates, *, num_racers: int, foresight: Foresight = Foresight()
) -> dict[str, Decision]:
    """Gives for each racer that runs whether it goes on after rung `rung`, counted from 0.

    `num_racers` is how many started: so many comparisons share the error. Raises ValueError for racers that were
    measured on different tasks, and for none.
    """
    sizes = {len(values) for values in rates.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"all racers need the same tasks, at least one; got {sorted(sizes)}")
    means = {name: float(np.mean(values)) for name, values in rates.items()}
    order = sorted(means, key=lambda name: -means[name])  # of equals the first in the race
    if policy.rule == "halving":
        kept = order[: policy.keep[rung]]
        return {name: _ranked(order.index(name), len(order), means[name], goes_on=name in kept) for name in rates}
    leader, *others = order
    lacks = _lacks(policy, rates, leader, others, num_racers)
    first = Decision(True, f"leads with {100 * means[leader]:.1f}%", means[leader])
    decided = {name: _foretold(policy, lacks[name], means[name], num_racers, foresight) for name in others}
    return {name: first if name == leader else decided[name] for name in rates}


def _ranked(place: int, count: int, mean: float, *, goes_on: bool) -> Decision:
    return Decision(goes_on, f"{place + 1} of {count} with {100 * mean:.1f}%", mean)


def _part(policy: Policy, num_racers: int) -> float:
    """Gives a pair's part of the error at a rung.

    Whoever leads was chosen by looking, so every ordered pair has one. Half of it goes to what one lacks, which chance
    can show where nothing is lacking, half to the future.
    """
    return policy.error / (num_racers * (num_racers - 1) * len(policy.shares)) / 2


def _lacks(policy: Policy, rates: TaskRates, leader: str, others: Sequence[str], num_racers: int) -> dict[str, float]:
    """Gives what each surely lacks of the leader's rate, 0 or less where that is not sure."""
    if not others:
        return {}
    rows = np.stack([rates[leader] - rates[name] for name in others])
    bounds = anytime_lower_bounds(rows, error=_part(policy, num_racers))[:, -1]
    return dict(zip(others, bounds.tolist(), strict=True))


def _foretold(policy: Policy, lack: float, mean: float, num_racers: int, foresight: Foresight) -> Decision:
    """Decides on one racer by what its lack foretells."""
    if lack <= 0:
        return Decision(True, "not surely behind the leader", mean)
    chance = _tail(lack, foresight)
    said = f"at least {100 * lack:.1f} points behind, ends best with a chance of {100 * chance:.2g}%"
    return Decision(chance > _part(policy, num_racers), said, mean)


def _tail(lead: float, foresight: Foresight) -> float:
    """Gives the chance that a lead of the rung is below 0 at the end: few records leave it larger, and more so the
    farther the lead is from what they saw.

    The spread of a difference of two racers is √2 times that of one, and the slope's own deviation that of one over the
    root of the square sum: so a lead d has spread √(1 + d² / (2 · square_sum)).
    """
    ahead = foresight.slope * lead
    if foresight.spread == 0:
        return 0.0 if ahead > 0 else 1.0
    wider = math.sqrt(1 + lead**2 / (2 * foresight.square_sum)) if foresight.square_sum else 1.0
    off = -ahead / foresight.spread / wider
    return float(stdtr(foresight.degrees, off)) if foresight.degrees else NormalDist().cdf(off)


def smallest_lead(policy: Policy, *, num_racers: int, num_tasks: int) -> float:
    """Gives the smallest lead in rates that `safe` can be sure of on so many tasks, 1 where it is sure of none.

    For differences of single tasks that deviate by TASK_DEVIATION, as rates of a few samples do.
    """
    noise = np.random.default_rng(0).normal(0.0, TASK_DEVIATION, size=num_tasks)
    noise = np.clip(noise - noise.mean(), -1.0, 1.0)
    for lead in np.arange(0.005, 1.0, 0.005):
        rows = np.clip(noise + lead, -1.0, 1.0)
        if anytime_lower_bounds(rows, error=_part(policy, num_racers))[-1] > 0:
            return float(lead)
    return 1.0


def tasks_for_lead(policy: Policy, lead: float, *, num_racers: int) -> int:
    """Gives about how many tasks show that lead. Raises ValueError for a lead that a million do not show."""
    num_tasks = 16
    while smallest_lead(policy, num_racers=num_racers, num_tasks=num_tasks) > lead:
        num_tasks = math.ceil(num_tasks * 1.25)
        if num_tasks > 1_000_000:
            raise ValueError(f"no number of tasks shows a lead of {lead}")
    return num_tasks


TASK_DEVIATION = 0.35
"""Of the difference of two racers on one task."""

FAULT_STEPS = 20
"""Over so many of the last steps a fault is looked for."""
WATCHED = ("train/loss", "train/grad_norm", "train/entropy", "train/kl", "rollout/outcome_mean")
"""Metrics that are numbers as long as all is well."""
FEWEST_NORMS = 5
"""So many gradients there must be before one can be called too large."""
KL_LIMIT = 5.0
"""In nats a token."""
BLOW_UP = 100.0
"""So many times the median is too large a gradient."""


def fault(lines: Sequence[Mapping[str, float]]) -> str:
    """Says what is broken in a racer after the last of these metrics, "" where nothing is: it is then killed.

    A number that is not finite; over the last FAULT_STEPS steps no group with a signal and none that is all right, or
    an entropy below a hundredth of what it began with; a KL above `KL_LIMIT` nats a token; a gradient `BLOW_UP` times
    the median of those before.
    """
    if not lines:
        return ""
    last, window = lines[-1], lines[-FAULT_STEPS:]
    at = f"at step {int(last['step']) + 1}"
    for key in WATCHED:
        if key in last and not np.isfinite(last[key]):
            return f"{key} is {last[key]} {at}"
    if last.get("train/kl", 0.0) > KL_LIMIT:
        return f"train/kl is {last['train/kl']:.3g} nats a token {at}, above {KL_LIMIT:g}"
    norms = [line["train/grad_norm"] for line in lines[:-1] if line.get("train/grad_norm", 0.0) > 0]
    if len(norms) >= FEWEST_NORMS and last.get("train/grad_norm", 0.0) > BLOW_UP * float(np.median(norms)):
        return f"train/grad_norm is {last['train/grad_norm']:.3g} {at}, {BLOW_UP:g} times its median and more"
    if len(window) == FAULT_STEPS and all(_is_hopeless(line) for line in window):
        return f"no group had a signal and none was all right for {FAULT_STEPS} steps, {at}"
    begun, now = _entropy(lines[:FAULT_STEPS]), _entropy(window)
    if len(lines) >= 2 * FAULT_STEPS and begun > 0 and now < begun / 100:
        return f"train/entropy fell from {begun:.3g} to {now:.3g} {at}"
    return ""


def _is_hopeless(line: Mapping[str, float]) -> bool:
    """Whether a step had no group with a signal for want of right answers. Where groups are all right there is no
    signal either, and the racer may be the best. A row that compares no groups has none right at all."""
    informative = line.get("rollout/informative_rate", 1.0 - line.get("rollout/all_wrong_rate", 0.0))
    return informative == 0 and line.get("rollout/all_right_rate", 0.0) == 0


def first_fault(lines: Sequence[Mapping[str, float]], *, known: int = 0) -> tuple[int, str]:
    """Gives how many steps a racer had made at its first fault, and the fault; (0, "") where there is none.

    The first `known` steps are known to be sound. What is found does not depend on when one looks.
    """
    for count in range(known + 1, len(lines) + 1):
        if why := fault(lines[:count]):
            return count, why
    return 0, ""


def _entropy(lines: Sequence[Mapping[str, float]]) -> float:
    """Gives the mean entropy of the steps that have one, NaN where none has: a step without a signal measures none."""
    known = [line["train/entropy"] for line in lines if "train/entropy" in line]
    return float(np.mean(known)) if known else math.nan
