"""Best of k: the chance that the completion which a reward model likes best among k is right."""

from collections.abc import Sequence
from math import comb


def best_of_k(scores: Sequence[float], right: Sequence[float], *, k: int) -> float:
    """Gives the unbiased estimate for one task from n completions, as the mean over all choices of k of them.

    `right[i]` in [0, 1] is how right the completion with `scores[i]` is; among equal scores one is drawn. For k = 1 it
    is the mean of `right`. Raises ValueError for different lengths and where n < k.
    Source: the estimator of pass@k, Chen et al., arXiv:2107.03374, with the best by score in place of any right one.
    """
    total = len(scores)
    if len(right) != total or k < 1 or total < k:
        raise ValueError(f"best of {k} needs at least {max(k, 1)} completions, each with a score; got {total}")
    ranked = sorted(zip(scores, right, strict=True), key=lambda pair: pair[0])
    won, start = 0.0, 0
    while start < total:
        end = next((i for i in range(start, total) if ranked[i][0] != ranked[start][0]), total)
        # Choices of k whose best has this score: all from the first `end` but those from the first `start`.
        choices = comb(end, k) - comb(start, k)
        won += choices * sum(value for _, value in ranked[start:end]) / (end - start)
        start = end
    return won / comb(total, k)
