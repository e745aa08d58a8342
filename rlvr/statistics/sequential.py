"""Bounds that hold at every time at once, so that one may look as often as one likes and stop when one likes."""

import math

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def anytime_lower_bounds(values: npt.ArrayLike, *, error: float, low: float = -1.0, high: float = 1.0) -> Numbers:
    """Gives after each value [..., N] a lower bound of their mean; with chance 1 - error none of a row is too high.

    The values lie in [low, high], come in an order that does not depend on them, and each has the same mean given those
    before it. The bound of a fixed time may be taken for any time, one chosen by looking at them too. A value outside,
    or an error outside (0, 1), is a ValueError.
    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024),
    arXiv:2010.09686, theorem 2 (predictable plug-in, empirical Bernstein), one-sided; bets are cut at 1/2.
    """
    x = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    if not x.ndim or not np.all((x >= 0) & (x <= 1)):
        raise ValueError(f"values between {low} and {high} expected, in rows")
    if not 0 < error < 1:
        raise ValueError(f"error {error} must lie between 0 and 1")
    count = np.arange(1, x.shape[-1] + 1)
    means = (0.5 + np.cumsum(x, axis=-1)) / (count + 1)
    spread = (0.25 + np.cumsum((x - means) ** 2, axis=-1)) / (count + 1)
    bets = np.sqrt(2 * math.log(1 / error) / (_before(spread, 0.25) * count * np.log1p(count)))
    bets = np.minimum(bets, 0.5)
    costs = (x - _before(means, 0.5)) ** 2 * (-np.log1p(-bets) - bets)
    bounds = np.cumsum(bets * x, axis=-1) - math.log(1 / error) - np.cumsum(costs, axis=-1)
    bounds = bounds / np.cumsum(bets, axis=-1)
    return np.asarray(low + (high - low) * np.maximum(bounds, 0.0), dtype=np.float64)


def _before(values: Numbers, first: float) -> Numbers:
    """Gives for each place what stood there before it."""
    return np.concatenate([np.full((*values.shape[:-1], 1), first), values[..., :-1]], axis=-1)
