"""Whether an ability is kept: not worse than before by more than a margin, and how many tasks it takes to say so."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy.typing as npt

from rlvr.statistics.intervals import Interval, paired_difference_interval

MOST_TASKS = 10_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What a comparison says: `change` with the interval whose low end decides, whether the ability `is_kept`, and
    whether it is shown to be lost by more than the margin. Neither: too few tasks to tell."""

    change: Interval
    margin: float
    is_kept: bool
    is_lost: bool


def kept(before: npt.ArrayLike, after: npt.ArrayLike, *, margin: float, error: float = 0.05) -> Kept:
    """Gives whether the rates [N] after are not worse than those before by more than `margin`, task by task.

    `error` is the chance that a loss of just the margin counts as kept, and that one counts as lost. Raises ValueError
    for a margin or an error that is not above 0, and as `paired_difference_interval` does.
    Source: the one-sided test behind a two-sided interval of confidence 1 - 2 error; Wellek, "Testing Statistical
    Hypotheses of Equivalence and Noninferiority" (2010).
    """
    _check(margin, error)
    change = paired_difference_interval(before, after, confidence=1 - 2 * error)
    return Kept(change, margin, is_kept=change.low > -margin, is_lost=change.high < -margin)


def tasks_needed(margin: float, *, spread: float, error: float = 0.05, power: float = 0.95) -> int:
    """Gives how many tasks show with chance `power` that nothing was lost, when nothing was.

    `spread` is the standard deviation of the tasks' differences; for answers right or wrong that change in a share d of
    the tasks it is √d. The same number catches a loss of twice the margin with the same chance. Raises ValueError for
    numbers that are not above 0 and for more tasks than MOST_TASKS.
    """
    _check(margin, error)
    if spread <= 0 or not 0 < power < 1:
        raise ValueError(f"spread {spread} must lie above 0, power {power} between 0 and 1")
    quantiles = NormalDist().inv_cdf(1 - error) + NormalDist().inv_cdf(power)
    needed = math.ceil((quantiles * spread / margin) ** 2)
    if needed > MOST_TASKS:
        raise ValueError(f"a margin of {margin} needs {needed:,} tasks")
    return needed


def _check(margin: float, error: float) -> None:
    if margin <= 0 or not 0 < error < 0.5:
        raise ValueError(f"margin {margin} must lie above 0, error {error} between 0 and 0.5")
