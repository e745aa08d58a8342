"""Losses of preference tuning, per pair.

N pairs. A log-ratio is Σ_t log π_θ − Σ_t log π_ref over the trainable tokens of one completion; `chosen_tokens` and
`rejected_tokens` are the numbers of those tokens. Every loss returns its [N] vector and the [N] margins; the caller
divides by the pairs of the whole update.

The margin is the implicit reward of the chosen minus that of the rejected completion, β·Δ in the loss's own units;
above 0 the pair is ranked right.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import logsigmoid


def sigmoid(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Gives the DPO loss −log σ(β·Δ) and the margins β·Δ, Δ the chosen minus the rejected log-ratio.

    Shapes: all [N] -> ([N], [N]). Lengths play no part. The paper's β is 0.1. At π_θ = π_ref the loss is ln 2.
    Source: DPO, arXiv:2305.18290.
    """
    margins = beta * (chosen_log_ratios - rejected_log_ratios)
    return -logsigmoid(margins), margins


def sigmoid_norm(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Gives the length-normalised DPO loss: each log-ratio is divided by its own completion's tokens first.

    −log σ(β·(x_c / n_c − x_r / n_r))

    Shapes: all [N] -> ([N], [N]). β here is about a completion's length times that of `sigmoid`; Tulu 3 uses 5.
    Source: Tulu 3, arXiv:2411.15124.
    """
    margins = beta * (chosen_log_ratios / chosen_tokens - rejected_log_ratios / rejected_tokens)
    return -logsigmoid(margins), margins


def nll_term(chosen_logprobs: Tensor, chosen_tokens: Tensor, *, nll_coefficient: float) -> Tensor:
    """Gives what to add to a pair's loss so that the chosen completion also becomes likelier in itself.

    −nll_coefficient · Σ_t log π_θ(chosen) / n_c

    Shapes: [N], [N] -> [N]. `chosen_logprobs` are sums of the policy's log-probabilities, not log-ratios.
    Source: Iterative RPO, arXiv:2404.19733.
    """
    return -nll_coefficient * chosen_logprobs / chosen_tokens


PREFERENCE_LOSSES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "sigmoid": sigmoid,
    "sigmoid_norm": sigmoid_norm,
}
"""Name in a recipe -> (chosen_log_ratios, rejected_log_ratios, chosen_tokens, rejected_tokens, *, beta)."""
