"""Whether racers differ at all, and how far an early measurement tells a late one."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution

from rlvr.statistics.intervals import Interval


@dataclass(frozen=True, slots=True)
class Spread:
    """Between racers measured on the same tasks: the deviation of their `means`, what `noise` of the evaluation alone
    would give, and the chance `p` of so much spread if they were all alike."""

    means: float
    noise: float
    p: float


def spread_of(rates: npt.ArrayLike) -> Spread:
    """Gives how far J racers lie apart, from their rates [J, N] on N tasks, the same for all.

    Raises ValueError for fewer than 2 racers or tasks.
    Source: the F test of a two-way layout without replication, in which tasks are blocks.
    """
    table = np.asarray(rates, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(f"at least 2 racers and 2 tasks expected, got a table of shape {table.shape}")
    racers, tasks = table.shape
    means = table.mean(axis=1)
    rest = table - means[:, None] - table.mean(axis=0) + table.mean()
    noise = float((rest**2).sum()) / ((racers - 1) * (tasks - 1))
    between = tasks * float(means.var(ddof=1))
    if noise == 0:
        return Spread(float(means.std(ddof=1)), 0.0, 1.0 if between == 0 else 0.0)
    p = float(f_distribution.sf(between / noise, racers - 1, (racers - 1) * (tasks - 1)))
    return Spread(float(means.std(ddof=1)), math.sqrt(noise / tasks), p)


def correlation(early: npt.ArrayLike, late: npt.ArrayLike, *, confidence: float = 0.95) -> Interval | None:
    """Gives the correlation of two measurements of the same racers with Fisher's interval; None for fewer than 4
    racers, or where one does not vary. Raises ValueError for different lengths.
    Source: Fisher, "On the probable error of a coefficient of correlation", Metron 1 (1921).
    """
    x, y = np.asarray(early, dtype=np.float64), np.asarray(late, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"pairs expected, got {x.shape} and {y.shape}")
    if len(x) < 4 or x.std() == 0 or y.std() == 0:
        return None
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))
    z, half = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12)), NormalDist().inv_cdf(0.5 + confidence / 2)
    half /= math.sqrt(len(x) - 3)
    return Interval(r, math.tanh(z - half), math.tanh(z + half))
