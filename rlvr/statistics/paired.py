"""Two checkpoints on the same tasks: exact tests, permutations, bootstrap, and several comparisons at once."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit
from scipy.stats import binomtest

from rlvr.statistics.intervals import Interval, paired_differences

EXACT_UP_TO = 16
"""So many tasks that differ: their 2^16 assignments of signs are all tried, more are drawn."""


def sign_test(num_better: int, num_worse: int) -> float:
    """Gives the two-sided p-value of as many tasks that got better and worse, others not counted; 1 where none did.

    For right or wrong answers it is McNemar's exact test. Raises ValueError for counts below 0.
    Source: McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12
    (1947), in its exact binomial form.
    """
    if num_better < 0 or num_worse < 0:
        raise ValueError(f"counts of 0 or more expected, got {num_better} and {num_worse}")
    total = num_better + num_worse
    return float(binomtest(num_better, total).pvalue) if total else 1.0


def permutation_test(
    rates_a: npt.ArrayLike, rates_b: npt.ArrayLike, *, num_draws: int = 20_000, seed: int = 0
) -> float:
    """Gives the two-sided p-value of the mean of b - a if each task's two rates [N] could as well be exchanged.

    Exact where at most EXACT_UP_TO tasks differ; otherwise from `num_draws` random exchanges, with which the value is
    at least 1 / (num_draws + 1) and its error at most that of so many draws. Raises ValueError for different lengths.
    Source: Fisher's randomisation test of pairs; Phipson and Smyth, "Permutation p-values should never be zero",
    Statistical Applications in Genetics and Molecular Biology 9 (2010).
    """
    differences = paired_differences(rates_a, rates_b)
    moved = differences[differences != 0]
    found = abs(float(moved.sum()))
    if len(moved) <= EXACT_UP_TO:
        bits = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ moved) >= found - 1e-9))
    signs = np.random.default_rng(seed).integers(0, 2, size=(num_draws, len(moved)), dtype=np.int8)
    as_far = int(np.count_nonzero(np.abs((1 - 2 * signs) @ moved) >= found - 1e-9))
    return (as_far + 1) / (num_draws + 1)


def bootstrap_interval(
    rates_a: npt.ArrayLike,
    rates_b: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    num_draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Gives the mean of b - a over tasks [N] with the expanded percentile interval of tasks drawn anew.

    It assumes no shape. Among the tasks are two pairs more, as in `paired_difference_interval`: one that stayed, and
    one that got better or worse, so that it is not empty where no task differs. The tails are those of the t
    distribution, and count that a sample deviates less than what it is from. Raises ValueError for different lengths or
    no task.
    Source: Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015),
    arXiv:1411.5279, with the task as the unit; the pairs are those of Agresti and Min (2005).
    """
    differences = paired_differences(rates_a, rates_b)
    rng, size = np.random.default_rng(seed), len(differences) + 2
    # Everything twice, so that the pair that moved can be half up, half down.
    pairs = np.concatenate([differences, differences, [0.0, 0.0, 1.0, -1.0]])
    # So many at once that memory stays small.
    means = np.concatenate(
        [pairs[rng.integers(0, 2 * size, size=(part, size))].mean(axis=1) for part in _parts(num_draws, 500)]
    )
    tail = float(ndtr(math.sqrt(size / (size - 1)) * stdtrit(size - 1, (1 - confidence) / 2)))
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(differences.mean())
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Gives p-values that count how many comparisons were made: the chance of any false one stays below the level.

    Raises ValueError for a number outside [0, 1].
    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian J. of Statistics 6 (1979).
    """
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise ValueError("p-values lie between 0 and 1")
    adjusted, highest = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def _parts(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
