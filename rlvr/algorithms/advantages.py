"""Advantages: how much better a completion, or one of its tokens, did than what was to be expected.

P prompts, G completions per prompt; B sequences of T tokens.

Against its group: `valid` is False where the verifier could not tell (outcome None): such a completion leaves the
group's mean and standard deviation and gets advantage 0; its reward may be NaN. A group with fewer than 2 valid
completions has nothing to compare (a lone reward is its own mean) and gets 0 throughout; so does a group of equal
rewards, exactly.

Per token: `generalised` looks forward along a completion, with the values of a critic or with none. Tokens that are
not trainable (a tool's) are passed over: value and running sum go through them.
"""

from collections.abc import Callable
from functools import partial

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


def batch_std(rewards: Tensor, valid: Tensor, *, epsilon: float = 1e-4) -> Tensor:
    """Gives the reward minus the mean of its group, in standard deviations of all rewards of the step.

    A_i = (R_i − mean(R)) / (std(all R) + epsilon), std unbiased, over the valid completions of all groups

    One unit for all prompts, so that an easy or a hard one weighs no more than another.
    Shapes: rewards [P, G] floating, valid [P, G] bool -> [P, G]. Source: "Tricks or Traps?", arXiv:2508.08221.
    """
    return _deviations(rewards, valid)[0] / (rewards[valid].std() + epsilon if valid.sum() > 1 else 1.0)


def leave_one_out(rewards: Tensor, valid: Tensor) -> Tensor:
    """Gives the reward minus the mean of the others of its group.

    A_i = R_i − mean over j ≠ i of R_j = n / (n − 1) · (R_i − mean(R)), n the valid completions of the group

    Shapes: rewards [P, G] floating, valid [P, G] bool -> [P, G]. Source: RLOO, arXiv:2402.14740.
    """
    deviations, count = _deviations(rewards, valid)
    return deviations * count / (count - 1).clamp(min=1)


def generalised(token_rewards: Tensor, values: Tensor, trainable: Tensor, *, gamma: float, gae_lambda: float) -> Tensor:
    """Gives the generalised advantage estimate of each trainable token, 0 elsewhere.

    δ_t = r_t + γ·V_{t+1} − V_t;  A_t = δ_t + γ·λ·A_{t+1},  t + 1 the next trainable token, 0 beyond the last

    With values of 0 and λ = 1 it is the return: the discounted sum of what is to come.
    Shapes: token_rewards, values [B, T], trainable [B, T] bool -> [B, T]; one sequence a row.
    Source: GAE, arXiv:1506.02438.
    """
    advantages = torch.zeros_like(token_rewards)
    running = torch.zeros_like(token_rewards[:, 0])
    coming = torch.zeros_like(running)
    for t in reversed(range(token_rewards.shape[1])):
        here = trainable[:, t]
        delta = token_rewards[:, t] + gamma * coming - values[:, t]
        running = torch.where(here, delta + gamma * gae_lambda * running, running)
        coming = torch.where(here, values[:, t], coming)
        advantages[:, t] = torch.where(here, running, 0.0)
    return advantages


def whitened(advantages: Tensor, trainable: Tensor, *, epsilon: float = 1e-8) -> Tensor:
    """Gives the advantages shifted and scaled to mean 0 and deviation 1 over all trainable tokens; 0 elsewhere.

    A′_t = (A_t − mean) / (std + epsilon), std unbiased

    Over the whole step, not a microbatch. A long completion weighs as many times as it has tokens, and a group that had
    nothing to compare is shifted with the others. Where all are equal, or there is one alone, nothing is left: 0.
    Shapes: advantages [B, T], trainable [B, T] bool -> [B, T]. Source: as PPO's implementations do it;
    REINFORCE++, arXiv:2501.03262.
    """
    there = advantages[trainable]
    if there.numel() < 2 or bool((there == there[0]).all()):
        return torch.zeros_like(advantages)
    return torch.where(trainable, (advantages - there.mean()) / (there.std() + epsilon), 0.0)


GROUP_ADVANTAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "centred": centred,
    "group_std": group_std,
    "batch_std": batch_std,
    "leave_one_out": leave_one_out,
}
"""Name in a row -> (rewards [P, G], valid [P, G]) -> advantages [P, G], one for all tokens of a completion."""

TOKEN_ADVANTAGES: dict[str, Callable[..., Tensor]] = {
    "returns": partial(generalised, gae_lambda=1.0),
    "gae": generalised,
}
"""Name in a row -> (token_rewards, values, trainable [B, T], *, gamma, and gae_lambda for gae) -> advantages [B, T]."""
