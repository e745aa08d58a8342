"""Win rates of pairs: of all, and of those whose two texts are about as long."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlvr.statistics.intervals import Interval, rate_interval

MATCHED_RATIO = 1.25
"""Two texts are about as long where the longer has at most so many times the characters of the shorter."""


def win_rate(tasks: Sequence[str], wins: Sequence[float]) -> Interval:
    """Gives the mean of wins (1, 0.5 for a tie, 0) over tasks; `tasks` names that of each pair, the unit of chance.

    Raises ValueError for no pair, and for a win outside [0, 1].
    """
    by_task: dict[str, list[float]] = {}
    for task, win in zip(tasks, wins, strict=True):
        by_task.setdefault(task, []).append(win)
    return rate_interval([sum(won) / len(won) for won in by_task.values()])


def matched_pairs(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Says for each pair [N] of lengths whether they match.

    The win rate over these pairs is that "at matched length": a judge that likes length cannot show it there, and
    neither can a model whose longer answers are really better.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    return np.asarray(np.maximum(a, b) <= MATCHED_RATIO * np.minimum(a, b))
