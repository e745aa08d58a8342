"""Weights for tokens that the sampler drew with other numerics, or other weights, than the learner's.

ρ_t = π_prox(t) / π_sampler(t): 1 where both are one module. B sequences (1 row when packed), T tokens. Each function
gives the weights [B, T] of the policy's loss; a KL term is not weighed. Nothing here has a gradient, and every weight
where `trainable` is False is 1.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlvr.algorithms.losses import MAX_LOG_RATIO
from rlvr.algorithms.ratios import over_sequence


def _exp(log_weights: Tensor) -> Tensor:
    return torch.exp(log_weights.clamp(max=MAX_LOG_RATIO))


def _within(weights: Tensor, low: float, high: float) -> Tensor:
    return (weights >= low) & (weights <= high)


def none(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives 1 everywhere."""
    return torch.ones_like(log_rho)


def token_truncate(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives min(ρ_t, high): truncated importance sampling per token, biased and of low variance. `low` is not used.

    Shapes: all [B, T] -> [B, T]. Source: Yao and others, "Your Efficient RL Framework Secretly Brings You Off-Policy
    RL Training" (2025); C = 2 there.
    """
    return _exp(torch.where(trainable, log_rho, 0.0)).clamp(max=high)


def sequence_truncate(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives min(Π_t ρ_t, high) at every token of the completion: unbiased below `high`, of large variance.

    The product drifts with length: a mean gap of .012 nats over 100 tokens is 3.3. `low` is not used.
    Shapes: all [B, T] -> [B, T].
    """
    return _exp(over_sequence(log_rho, trainable, sequence_ids)).clamp(max=high)


def token_mask(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives ρ_t where it lies in [low, high], 0 elsewhere: a token that the two see too differently teaches nothing.

    Shapes: all [B, T] -> [B, T]. Source: IcePop, in "Every Step Evolves", arXiv:2510.18855.
    """
    rho = _exp(torch.where(trainable, log_rho, 0.0))
    return torch.where(_within(rho, low, high) | ~trainable, rho, 0.0)


def sequence_mask(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives Π_t ρ_t at every token of a completion whose product lies in [low, high], 0 elsewhere.

    Shapes: all [B, T] -> [B, T]. TRL's default with high = 3 and low = 0.
    """
    product = _exp(over_sequence(log_rho, trainable, sequence_ids))
    return torch.where(_within(product, low, high), product, 0.0)


def geometric_mask(
    log_rho: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor, *, low: float, high: float
) -> Tensor:
    """Gives 1 at every token of a completion whose geometric mean of ρ lies in [low, high], 0 elsewhere.

    exp((1/n_i) · Σ_t log ρ_t), which does not drift with length. Shapes: all [B, T] -> [B, T].
    """
    mean = over_sequence(log_rho, trainable, sequence_ids) / sequence_tokens.clamp(min=1)
    return _within(_exp(mean), low, high).to(log_rho.dtype)


MISMATCHES: dict[str, Callable[..., Tensor]] = {
    "none": none,
    "token_truncate": token_truncate,
    "sequence_truncate": sequence_truncate,
    "token_mask": token_mask,
    "sequence_mask": sequence_mask,
    "geometric_mask": geometric_mask,
}
"""Name in a row -> (log_rho, trainable, sequence_ids, sequence_tokens, *, low, high) -> weights [B, T]."""
