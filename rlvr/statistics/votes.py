"""maj@k: the chance that the most frequent answer of k completions is right."""

from collections.abc import Sequence
from math import comb

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]


def majority_at_k(num_right: int, num_wrong: Sequence[int], num_silent: int = 0, *, k: int) -> float:
    """Gives the unbiased estimate of maj@k for one task from n completions, as the mean over all choices of k of them.

    `num_right` completions have the right answer, `num_wrong[i]` the i-th wrong one, `num_silent` none: those have no
    vote and take a place all the same. Among equals a vote is drawn; where nobody votes nothing is right. For k = 1 it
    is num_right / n. Raises ValueError for counts below 0 and where n < k.
    Source: the estimator of pass@k, Chen et al., arXiv:2107.03374, with the vote of Wang et al., arXiv:2203.11171.
    """
    counts = [num_right, *num_wrong, num_silent]
    total = sum(counts)
    if min(counts) < 0 or k < 1 or total < k:
        raise ValueError(f"maj@{k} needs at least {max(k, 1)} completions and counts of 0 or more, got {counts}")
    won = sum(_won(num_right, [c for c in num_wrong if c], num_silent, votes, k) for votes in range(1, k + 1))
    return min(1.0, won / comb(total, k))


def _won(num_right: int, num_wrong: Sequence[int], num_silent: int, votes: int, k: int) -> float:
    """Gives in how many choices of k the right answer has so many votes and wins, a tie of t + 1 counting 1 / (t + 1).

    A table [x, t] counts the choices of x other completions in which t wrong answers have as many votes and none more.
    """
    rest = k - votes
    if votes > num_right or rest < 0:
        return 0.0
    ties = min(len(num_wrong), rest // votes)
    table = np.zeros((rest + 1, ties + 1))
    table[0, 0] = 1.0
    for count in num_wrong:
        fewer = [float(comb(count, m)) for m in range(min(votes, count + 1))]
        table = _joined(table, fewer, float(comb(count, votes)), votes)
    silent = [float(comb(num_silent, m)) for m in range(min(num_silent, rest) + 1)]
    full = _joined(table, silent, 0.0, votes)[rest]
    return float(comb(num_right, votes) * (full / np.arange(1, ties + 2)).sum())


def _joined(table: Table, fewer: Sequence[float], as_many: float, votes: int) -> Table:
    """Adds one more answer to the table: `fewer[m]` ways of m votes that do not tie, `as_many` ways of a tie."""
    result = np.zeros_like(table)
    size = len(table)
    for m, ways in enumerate(fewer[:size]):
        result[m:] += ways * table[: size - m]
    if as_many and votes < size and table.shape[1] > 1:
        result[votes:, 1:] += as_many * table[: size - votes, :-1]
    return result
