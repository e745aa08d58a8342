"""Estimators of the KL divergence to the reference from the log-probabilities of sampled tokens.

x = log π_θ(token) − log π_ref(token), tokens sampled from π_θ. B sequences, T tokens, everything [B, T], nats.
The mean of each *value* estimates KL(π_θ‖π_ref) (k2 only where the two are close). What counts in a loss is the
expected *gradient*, derived for on-policy samples, per visited state:

    estimator   value          expected gradient as a loss
    k1          x              0: only noise, so never put it into a loss
    k2          x²/2           ∇ KL(π_θ‖π_ref), the reverse KL that one usually means
    k3          e^−x + x − 1   ∇ KL(π_ref‖π_θ), the forward KL, although its value estimates the reverse one
    k3_k2       e^−x + x − 1   ∇ KL(π_θ‖π_ref): the value of k3 with the gradient of k2

After the first of several updates per step the samples are no longer on-policy, and all three are biased.
Source: J. Schulman, "Approximating KL divergence", joschu.net/blog/kl-approx.html.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MIN_LOG_RATIO = -20.0
"""k3 cuts x here from below (e^20 = 4.9e8); beyond it the value stays and the gradient is 0."""


def k1(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Gives x: unbiased, high variance, can be negative. To be read, or put into a reward; not into a loss.

    At x = ±ln 2: .6931 and −.6931.
    """
    return logprobs - reference_logprobs


def k2(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Gives x²/2: as a loss, its expected gradient on on-policy samples is that of the reverse KL.

    At x = ±ln 2: .2402 both times.
    """
    return (logprobs - reference_logprobs).square() / 2


def k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Gives e^−x + x − 1: unbiased, low variance, never negative; as a loss it pulls along the forward KL.

    At x = ln 2: .1931; at x = −ln 2: .3069. Source as a loss: GRPO, arXiv:2402.03300.
    Differs from the paper in: x is cut at MIN_LOG_RATIO from below. From above nothing overflows, and nothing is cut:
    a token that the policy likes far more than the reference does is the one that must still be pulled back.
    """
    x = (logprobs - reference_logprobs).clamp(min=MIN_LOG_RATIO)
    return torch.expm1(-x) + x


def k3_k2(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Gives k3 in value with the gradient of k2: a low-variance reading, and in a loss the reverse KL's gradient.

    Source: J. Schulman's estimators, joined as verl's "k3+" does.
    """
    through = k2(logprobs, reference_logprobs)
    return through + (k3(logprobs, reference_logprobs) - through).detach()


def adapted(coefficient: float, kl: float, *, target: float, horizon: int, completions: int) -> float:
    """Gives the coefficient of the next step: larger where the KL lay above the target, smaller where below.

    β · (1 + clip(KL / target − 1, −.2, .2) · min(1, completions / horizon))

    `kl` and `target` in nats per completion; `horizon` in completions.
    Source: Ziegler and others, "Fine-Tuning Language Models from Human Preferences", arXiv:1909.08593.
    Differs from the paper in: a step moves it by a fifth at most, so that a short horizon cannot take it to 0 for good.
    """
    error = min(0.2, max(-0.2, kl / target - 1))
    return coefficient * (1 + error * min(1.0, completions / horizon))


KL_ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "k1": k1,
    "k2": k2,
    "k3": k3,
    "k3_k2": k3_k2,
}
"""Name in a recipe -> (logprobs, reference_logprobs) -> values [B, T]."""
