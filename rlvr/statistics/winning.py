"""How often one model's answers are preferred to another's, and how often if both were as long."""

import numpy as np
import numpy.typing as npt

from rlvr.statistics.intervals import Interval, rate_interval, t_quantile

FEWEST = 10
"""With fewer comparisons nothing is said of what length has to do with it."""


def win_rate(preferences: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Gives the mean of preferences [N], each 1 for a win, 0.5 for a tie and 0 for a loss, the task being the unit.

    Raises ValueError for none, and for numbers outside [0, 1].
    """
    return rate_interval(preferences, confidence=confidence)


def win_rate_at_matched_length(
    preferences: npt.ArrayLike, longer_by: npt.ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Gives the win rate that preferences [N] have where both answers are equally long.

    `longer_by` [N] is by how much the first answer is longer, in any unit. The line through preferences over
    tanh(longer_by / its root mean square) is read at 0, with a t interval that allows for spread that changes with
    length. Ends are kept within [0, 1]. Where all are equally long it is the plain win rate. Raises ValueError for
    arrays of different size, one difference that is the same for all, fewer than FEWEST comparisons, and numbers that
    are not finite or outside [0, 1].
    Source: Dubois et al., "Length-Controlled AlpacaEval" (arXiv:2404.04475), with a line in place of its logistic
    curve and without its terms for single instructions; errors as in White, "A heteroskedasticity-consistent
    covariance matrix estimator", Econometrica 48 (1980), in the form HC3 of MacKinnon and White (1985).
    """
    wins, lengths = np.asarray(preferences, dtype=np.float64), np.asarray(longer_by, dtype=np.float64)
    if wins.shape != lengths.shape or wins.ndim != 1 or len(wins) < FEWEST:
        raise ValueError(
            f"at least {FEWEST} comparisons with a length each expected, got {wins.shape}, {lengths.shape}"
        )
    if not (np.all(np.isfinite(lengths)) and np.all((wins >= 0) & (wins <= 1))):
        raise ValueError("preferences lie between 0 and 1, and lengths are finite")
    scale = float(np.sqrt(np.mean(lengths**2)))
    if scale == 0:
        return win_rate(wins, confidence=confidence)
    if float(np.ptp(lengths)) == 0:
        raise ValueError(f"every answer is longer by {lengths[0]:g}: what equal length would do cannot be told")
    design = np.column_stack([np.ones(len(wins)), np.tanh(lengths / scale)])
    inverse = np.linalg.inv(design.T @ design)
    line = inverse @ design.T @ wins
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    residuals = (wins - design @ line) / np.maximum(1 - leverage, 1e-12)
    error = float(np.sqrt((inverse @ (design.T * residuals**2) @ design @ inverse)[0, 0]))
    half = t_quantile(len(wins) - 2, confidence) * error
    mean = float(np.clip(line[0], 0.0, 1.0))
    return Interval(mean, float(max(min(mean, line[0] - half), 0.0)), float(min(max(mean, line[0] + half), 1.0)))
