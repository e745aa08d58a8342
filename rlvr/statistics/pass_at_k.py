"""pass@k: the chance that at least one of k completions of a task is right."""

import numpy as np
import numpy.typing as npt


def pass_at_k(num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, *, k: int) -> npt.NDArray[np.float64]:
    """Gives the unbiased estimate 1 - C(n-c, k) / C(n, k) of pass@k for each task [N].

    `num_samples` n and `num_correct` c are counts per task [N] or single numbers. It is a mean over all choices of k
    from the n completions, so a task with n < k has none: ValueError, as for counts outside 0 <= c <= n.
    For k = 1 it is c / n. Computed as a sum of logarithms, so that neither binomial is ever formed.
    Source: Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, equation 1.
    """
    n, c = np.broadcast_arrays(np.atleast_1d(num_samples).astype(np.int64), np.atleast_1d(num_correct).astype(np.int64))
    if k < 1 or np.any(n < k):
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} completions of each task, the fewest are {n.min()}")
    if np.any((c < 0) | (c > n)):
        raise ValueError("the number of right completions must lie between 0 and the number of completions")
    return np.array([_one_task(int(n_i), int(c_i), k) for n_i, c_i in zip(n, c, strict=True)], dtype=np.float64)


def _one_task(n: int, c: int, k: int) -> float:
    if n - c < k:
        return 1.0
    # C(n-c, k) / C(n, k) is the product of 1 - k/i over i in (n-c, n].
    return float(-np.expm1(np.sum(np.log1p(-k / np.arange(n - c + 1, n + 1)))))
