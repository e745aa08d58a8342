"""Losses per token: what each token contributes before `aggregate` weighs it.

B sequences (1 when packed), T tokens. Every function returns its [B, T] matrix; a mean taken here would make the
gradient depend on how a batch was split. Log-probabilities must be finite everywhere, also where nothing is trained:
a weight of 0 does not cancel a NaN.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""The largest log-ratio that is exponentiated (e^20 = 4.9e8): above it float32 sums lose everything else."""


def cross_entropy(logprobs: Tensor) -> Tensor:
    """Gives −log π(token): the loss of pretraining and supervised fine-tuning.

    Shapes: logprobs [B, T] -> [B, T]. Units: nats per token.
    """
    return -logprobs


def ratio(logprobs: Tensor, proximal_logprobs: Tensor) -> Tensor:
    """Gives r_t = π_θ / π_proximal per token: the learner now against the learner at the start of the step.

    Shapes: [B, T], [B, T] -> [B, T]. The log-ratio is cut at MAX_LOG_RATIO from above; a token beyond it keeps its
    (huge) ratio but passes no gradient. From below nothing can overflow and nothing is cut.
    """
    return torch.exp((logprobs - proximal_logprobs).clamp(max=MAX_LOG_RATIO))


def clipped(
    logprobs: Tensor, proximal_logprobs: Tensor, advantages: Tensor, *, clip_low: float, clip_high: float
) -> Tensor:
    """Gives the clipped surrogate loss per token.

    ℓ_t = −min(r_t·A_t, clip(r_t, 1 − clip_low, 1 + clip_high)·A_t),  r_t = exp(log π_θ − log π_proximal)

    A token that already moved past the clip in the direction of its advantage passes no gradient; one that moved the
    other way is never clipped. With one update per step r = 1 and this is REINFORCE with a baseline; pass
    `logprobs.detach()` as `proximal_logprobs` then.

    Shapes: logprobs, proximal_logprobs, advantages [B, T] -> [B, T]. `proximal_logprobs` and `advantages` carry no
    gradient. Source: PPO, arXiv:1707.06347; separate bounds: DAPO, arXiv:2503.14476.
    Differs from the papers in: the guard of `ratio`.
    """
    r = ratio(logprobs, proximal_logprobs)
    return -torch.minimum(r * advantages, r.clamp(1 - clip_low, 1 + clip_high) * advantages)


def clip_counts(
    logprobs: Tensor,
    proximal_logprobs: Tensor,
    advantages: Tensor,
    trainable: Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> dict[str, Tensor]:
    """Gives how many trainable tokens the clip kept from learning, by side.

    `clipped_low_tokens`: A < 0 and r < 1 − clip_low; `clipped_high_tokens`: A > 0 and r > 1 + clip_high. Counts, so
    that microbatches add up: divide the sums by `tokens_in_update` for the rate.

    Shapes: all [B, T], trainable bool; each count is a scalar int64 tensor without a gradient.
    """
    r = ratio(logprobs.detach(), proximal_logprobs)
    return {
        "clipped_low_tokens": (trainable & (advantages < 0) & (r < 1 - clip_low)).sum(),
        "clipped_high_tokens": (trainable & (advantages > 0) & (r > 1 + clip_high)).sum(),
    }


LOSSES: dict[str, Callable[..., Tensor]] = {
    "clipped": clipped,
}
"""Name in a row -> (logprobs, proximal_logprobs, advantages, *, clip_low, clip_high) -> loss [B, T]."""
