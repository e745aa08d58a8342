"""Advantages: how much better than its group a completion did.

P prompts, G completions per prompt. `valid` is False where the verifier could not tell (outcome None): such a
completion leaves the group's mean and standard deviation and gets advantage 0; its reward may be NaN. A group with
fewer than 2 valid completions has nothing to compare (a lone reward is its own mean) and gets 0 throughout; so does a
group of equal rewards, exactly.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def _deviations(rewards: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Gives the deviations from the group mean [P, G], 0 where there is none, and the valid counts [P, 1]."""
    count = valid.sum(dim=-1, keepdim=True)
    # Measured from the group's smallest reward, so that equal rewards give exact zeros whatever their size.
    lowest = torch.where(valid, rewards, torch.inf).amin(dim=-1, keepdim=True)
    above = torch.where(valid, rewards - lowest, 0.0)
    mean = above.sum(dim=-1, keepdim=True) / count.clamp(min=1)
    return torch.where(valid, above - mean, 0.0), count


def centred(rewards: Tensor, valid: Tensor) -> Tensor:
    """Gives the reward minus the mean of its group, without a scale.

    A_i = R_i − mean(R)

    Shapes: rewards [P, G] floating, valid [P, G] bool -> [P, G].
    Source: Dr. GRPO, arXiv:2503.20783, which shows that dividing by the standard deviation favours prompts that are
    almost always or almost never solved.
    """
    return _deviations(rewards, valid)[0]


def group_std(rewards: Tensor, valid: Tensor, *, epsilon: float = 1e-4) -> Tensor:
    """Gives the reward minus the mean of its group, in standard deviations of the group.

    A_i = (R_i − mean(R)) / (std(R) + epsilon), std unbiased: √(Σ (R_i − mean)² / (n − 1)) over the n valid completions

    Shapes: rewards [P, G] floating, valid [P, G] bool -> [P, G].
    Source: GRPO, arXiv:2402.03300. Differs from the paper in: nothing that it says; it names neither the convention nor
    an epsilon. Unbiased and 1e-4 are TRL's (verl: unbiased, 1e-6), so that the same learning rate means the same step
    there and here; the biased convention makes each advantage √(G / (G − 1)) times larger, 1.07 at G = 8.
    """
    deviations, count = _deviations(rewards, valid)
    variance = deviations.square().sum(dim=-1, keepdim=True) / (count - 1).clamp(min=1)
    return deviations / (variance.sqrt() + epsilon)


ADVANTAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "centred": centred,
    "group_std": group_std,
}
"""Name in a recipe -> (rewards [P, G], valid [P, G]) -> advantages [P, G]."""
