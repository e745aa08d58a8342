"""Whether an ability is kept: not worse than before by more than a margin, and how many tasks it takes to say so."""

import math
from statistics import NormalDist
from typing import Literal

from scipy.special import stdtrit

from rlvr.statistics.intervals import Interval

MOST_TASKS = 10_000_000
SLACK = 1.02
"""So many times the tasks that a normal distribution asks for: counts of right and wrong are a little uneven."""

Retention = Literal["kept", "lost", "not told"]


def decide(change: Interval, *, margin: float) -> Retention:
    """Gives what the change of a rate, after - before, says: "kept" where all of its interval lies above -margin,
    "lost" where all of it lies below, "not told" where it holds -margin: too few tasks.

    With an interval of confidence 1 - 2 error, a loss of just the margin is called kept with a chance of about `error`,
    and lost with the same (for an error of 0.05 at most 0.083, where no task but the lost ones changes). On as many
    tasks as `tasks_for_gate` asks for, both rules, to reject what is lost and to reject what is not shown to be kept,
    reject a loss of twice the margin with chance 1 - error and let pass, with that chance, a stage that lost nothing.
    With `num_figures` judged, each has confidence 1 - 2 error / num_figures.
    Raises ValueError for a margin that is not above 0.
    Source: the one-sided tests behind a two-sided interval; Wellek, "Testing Statistical Hypotheses of Equivalence and
    Noninferiority" (2010).
    """
    if margin <= 0:
        raise ValueError(f"margin {margin} must lie above 0")
    if change.low > -margin:
        return "kept"
    return "lost" if change.high < -margin else "not told"


def tasks_for_gate(margin: float, *, deviation: float, error: float = 0.05, num_figures: int = 1) -> int:
    """Gives how many tasks of a domain keep the promise of `decide`, the error shared among `num_figures`.

    `deviation` is that of single tasks' differences where nothing is lost: √d for answers right or wrong that change in
    a share d of the tasks; 0 where none does. A loss of twice the margin deviates by 2 margin (1 - 2 margin) more, as
    answers do that turn wrong, which is the most that it can. Conservative for rates of several samples.
    Raises ValueError for a margin outside (0, 0.5), a deviation below 0, and for more tasks than MOST_TASKS.
    """
    _check(margin, error)
    if not margin < 0.5 or not deviation >= 0 or num_figures < 1:
        raise ValueError(
            f"margin {margin} must lie below 0.5, deviation {deviation} and number of figures {num_figures} at 0 and 1 "
            "or above"
        )
    variance, lost = deviation**2, 2 * margin
    few, enough = 1, 2

    def suffice(size: int) -> bool:
        quantile = float(stdtrit(size + 1, 1 - error / num_figures))
        # Of paired_difference_interval, whose centre is drawn towards 0: size / (size + 2) of the change.
        to_keep = _reach(variance, 0.0, size) * quantile <= margin
        worst = variance + lost * (1 - lost)
        return to_keep and _reach(worst, lost, size) * quantile <= lost * size / (size + 2) - margin

    while not suffice(enough):
        few, enough = enough, 2 * enough
        if enough > 2 * MOST_TASKS:
            raise ValueError(f"a margin of {margin} needs more than {MOST_TASKS:,} tasks")
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if suffice(middle) else (middle, enough)
    return math.ceil(SLACK * enough)


def _reach(variance: float, loss: float, size: int) -> float:
    """Gives half the length of the interval plus how far its centre strays, both by their standard error."""
    centre = loss * size / (size + 2)
    seen = (size * (variance + loss**2) + 1 - (size + 2) * centre**2) / (size + 1)
    return math.sqrt(seen / (size + 2)) + math.sqrt(size * variance) / (size + 2)


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
