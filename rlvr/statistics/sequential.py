"""Bounds that hold at every time at once, so that one may look as often as one likes and stop when one likes."""

import math

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def anytime_lower_bounds(values: npt.ArrayLike, *, error: float, low: float = -1.0, high: float = 1.0) -> Numbers:
    """Gives after each value [N] a lower bound of their mean; with chance 1 - error none of them is too high.

    The values lie in [low, high], come in an order that does not depend on them, and each has the same mean given those
    before it. The bound of a fixed time may be taken for any time, one chosen by looking at them too. A value outside,
    or an error outside (0, 1), is a ValueError.
    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024),
    arXiv:2010.09686, theorem 2 (predictable plug-in, empirical Bernstein), one-sided; bets are cut at 1/2.
    """
    x = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    if x.ndim != 1 or not np.all((x >= 0) & (x <= 1)):
        raise ValueError(f"values between {low} and {high} expected, in one row")
    if not 0 < error < 1:
        raise ValueError(f"error {error} must lie between 0 and 1")
    count = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (count + 1)
    before = np.concatenate([[0.5], means[:-1]])
    spread = (0.25 + np.cumsum((x - means) ** 2)) / (count + 1)
    spread_before = np.concatenate([[0.25], spread[:-1]])
    bets = np.minimum(np.sqrt(2 * math.log(1 / error) / (spread_before * count * np.log1p(count))), 0.5)
    costs = (x - before) ** 2 * (-np.log1p(-bets) - bets)
    bounds = (np.cumsum(bets * x) - math.log(1 / error) - np.cumsum(costs)) / np.cumsum(bets)
    return np.asarray(low + (high - low) * np.maximum(bounds, 0.0), dtype=np.float64)
