"""Losses per token: what each token contributes before `aggregate` weighs it.

B sequences (1 when packed), T tokens. Every function returns its [B, T] matrix; a mean taken here would make the
gradient depend on how a batch was split. Log-probabilities must be finite everywhere, also where nothing is trained:
a weight of 0 does not cancel a NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""The largest log-ratio that is exponentiated (e^20 = 4.9e8): above it float32 sums lose everything else."""


def cross_entropy(logprobs: Tensor) -> Tensor:
    """Gives −log π(token): the loss of pretraining and supervised fine-tuning.

    Shapes: logprobs [B, T] -> [B, T]. Units: nats per token.
    """
    return -logprobs


class Bounds(NamedTuple):
    """How far one token may push; each loss uses those of its formula.

    `dual_clip` 0 is none; `weight_max` is the absolute largest weight of a token (1 is on-policy).
    """

    clip_low: float
    clip_high: float
    dual_clip: float
    weight_max: float


def ratio(log_ratio: Tensor) -> Tensor:
    """Gives exp of the log-ratio: the learner now against the learner at the start of the step.

    Shapes: [B, T] -> [B, T]. The log-ratio is cut at MAX_LOG_RATIO from above; a token beyond it keeps its (huge) ratio
    but passes no gradient. From below nothing can overflow and nothing is cut.
    """
    return torch.exp(log_ratio.clamp(max=MAX_LOG_RATIO))


def clipped(logprobs: Tensor, log_ratio: Tensor, advantages: Tensor, bounds: Bounds) -> Tensor:
    """Gives the clipped surrogate loss per token.

    ℓ_t = −min(r_t·A_t, clip(r_t, 1 − clip_low, 1 + clip_high)·A_t),  r_t = exp(log_ratio)
    and where A_t < 0, with dual_clip c > 0, at most −c·A_t

    A token that already moved past the clip in the direction of its advantage passes no gradient; one that moved the
    other way is never clipped, but for the dual clip, which ends how far a token that became much likelier is pushed
    down. With one update per step r = 1 and this is REINFORCE with a baseline.

    Shapes: all [B, T] -> [B, T]. `advantages` carry no gradient. Source: PPO, arXiv:1707.06347; separate bounds: DAPO,
    arXiv:2503.14476; dual clip: arXiv:1912.09729, where c = 3. TRL's `delta` is the same cut on the ratio itself.
    Differs from the papers in: the guard of `ratio`.
    """
    r = ratio(log_ratio)
    loss = -torch.minimum(r * advantages, r.clamp(1 - bounds.clip_low, 1 + bounds.clip_high) * advantages)
    if bounds.dual_clip == 0:
        return loss
    return torch.where(advantages < 0, torch.minimum(loss, -bounds.dual_clip * advantages), loss)


def clamped_weight(logprobs: Tensor, log_ratio: Tensor, advantages: Tensor, bounds: Bounds) -> Tensor:
    """Gives the log-probability, weighed by its advantage and by its ratio, which is clamped and has no gradient.

    ℓ_t = −sg[min(r_t, weight_max)]·A_t·log π_θ(t)

    No token loses its gradient, however far it has moved.
    Shapes: all [B, T] -> [B, T]. Source: CISPO, MiniMax-M1, arXiv:2506.13585. Differs from the paper in: nothing that
    it says; its bound is not published. Other systems give the bound as a distance from 1; here it is the weight.
    """
    return -ratio(log_ratio.detach()).clamp(max=bounds.weight_max) * advantages * logprobs


def reinforce(logprobs: Tensor, log_ratio: Tensor, advantages: Tensor, bounds: Bounds) -> Tensor:
    """Gives −A_t·log π_θ(t): the score-function loss, without a ratio, so that nothing is clipped.

    With several updates per step the later ones are off-policy and uncorrected.
    Shapes: all [B, T] -> [B, T]. Source: RLOO, arXiv:2402.14740.
    """
    return -advantages * logprobs


def clip_counts(
    loss: str, log_ratio: Tensor, advantages: Tensor, trainable: Tensor, bounds: Bounds
) -> dict[str, Tensor]:
    """Gives how many trainable tokens the row's bounds held back, by side.

    `clipped_low_tokens`: A < 0 and r < 1 − clip_low; `clipped_high_tokens`: A > 0 and r > 1 + clip_high, or A < 0 and
    r > dual_clip. For `clamped_weight` the high ones are those with r > weight_max, whatever their advantage but 0.
    Counts, so that microbatches add up: divide the sums by `tokens_in_update` for the rate.

    Shapes: all [B, T], trainable bool; each count is a scalar int64 tensor without a gradient.
    """
    r = ratio(log_ratio.detach())
    low = high = torch.zeros_like(trainable)
    if loss == "clipped":
        low = (advantages < 0) & (r < 1 - bounds.clip_low)
        high = (advantages > 0) & (r > 1 + bounds.clip_high)
        if bounds.dual_clip > 0:
            high = high | ((advantages < 0) & (r > bounds.dual_clip))
    elif loss == "clamped_weight":
        high = (advantages != 0) & (r > bounds.weight_max)
    return {"clipped_low_tokens": (trainable & low).sum(), "clipped_high_tokens": (trainable & high).sum()}


def entropy_bonus(entropy: Tensor, *, entropy_coefficient: float) -> Tensor:
    """Gives what to add to the loss so that spread-out distributions are favoured: −coefficient · H_t.

    Shapes: entropy [B, T] in nats, with a gradient -> [B, T]. Source: PPO, arXiv:1707.06347.
    """
    return -entropy_coefficient * entropy


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, Bounds], Tensor]] = {
    "clipped": clipped,
    "clamped_weight": clamped_weight,
    "reinforce": reinforce,
}
"""Name in a row -> (logprobs, log_ratio, advantages, bounds) -> loss [B, T]."""
