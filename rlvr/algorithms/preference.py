"""Losses of preference tuning, per pair or per completion.

N pairs (KTO: completions). A log-ratio is Σ_t log π_θ − Σ_t log π_ref over the trainable tokens of one completion;
`chosen_tokens` and `rejected_tokens` are the numbers of those tokens. Every loss returns its [N] vector and the [N]
margins; the caller divides by the pairs or completions of the whole update.

The margin is the implicit reward of the chosen minus that of the rejected completion, β·Δ in the loss's own units;
above 0 the pair is ranked right.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import logsigmoid, relu


def sigmoid(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
    robust: bool = False,
) -> tuple[Tensor, Tensor]:
    """Gives the DPO loss −log σ(β·Δ) and the margins β·Δ, Δ the chosen minus the rejected log-ratio.

    Shapes: all [N] -> ([N], [N]). Lengths play no part. The paper's β is 0.1. At π_θ = π_ref the loss is ln 2.
    `label_smoothing` and `robust` are those of `smoothed`.
    Source: DPO, arXiv:2305.18290.
    """
    margins = beta * (chosen_log_ratios - rejected_log_ratios)
    return smoothed(margins, label_smoothing=label_smoothing, robust=robust), margins


def sigmoid_norm(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
    robust: bool = False,
) -> tuple[Tensor, Tensor]:
    """Gives the length-normalised DPO loss: each log-ratio is divided by its own completion's tokens first.

    −log σ(β·(x_c / n_c − x_r / n_r))

    Shapes: all [N] -> ([N], [N]). β here is about a completion's length times that of `sigmoid`; Tulu 3 uses 5.
    `label_smoothing` and `robust` are those of `smoothed`.
    Source: Tulu 3, arXiv:2411.15124.
    """
    margins = beta * (chosen_log_ratios / chosen_tokens - rejected_log_ratios / rejected_tokens)
    return smoothed(margins, label_smoothing=label_smoothing, robust=robust), margins


def smoothed(margins: Tensor, *, label_smoothing: float, robust: bool) -> Tensor:
    """Gives −log σ(m) of pairs of which the share ε = `label_smoothing` is taken to be the wrong way round.

    conservative: −(1 − ε)·log σ(m) − ε·log σ(−m)                  least where σ(m) = 1 − ε
    robust:       [−(1 − ε)·log σ(m) + ε·log σ(−m)] / (1 − 2ε)     its mean over flips of share ε is −log σ(m)

    Shapes: [N] -> [N]. ε lies in [0, 0.5). The robust form has no lower bound: past m it falls by ε / (1 − 2ε).
    Source: cDPO, Mitchell, "A note on DPO with noisy preferences", 2023; robust: arXiv:2403.00409.
    """
    as_labelled, flipped = -logsigmoid(margins), -logsigmoid(-margins)
    if robust:
        return ((1 - label_smoothing) * as_labelled - label_smoothing * flipped) / (1 - 2 * label_smoothing)
    return (1 - label_smoothing) * as_labelled + label_smoothing * flipped


def ipo(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Gives the IPO loss: the squared distance of the gap per token from 1 / (2β).

    (Δ − 1 / (2β))², Δ = x_c / n_c − x_r / n_r

    Shapes: all [N] -> ([N], [N]). The margin β·Δ that it aims at is 0.5; a pair beyond is pulled back.
    Source: IPO, arXiv:2310.12036 (β is its τ).
    Differs from the paper in: log-ratios are averages per token, as in TRL, whose authors had it from the paper's; the
    paper writes sums. So β is about a completion's length times the paper's.
    """
    gaps = chosen_log_ratios / chosen_tokens - rejected_log_ratios / rejected_tokens
    return (gaps - 1 / (2 * beta)) ** 2, beta * gaps


def hinge(
    chosen_log_ratios: Tensor,
    rejected_log_ratios: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Gives the hinge loss max(0, 1 − β·Δ): a pair whose margin has reached 1 is left alone.

    Shapes: all [N] -> ([N], [N]). Lengths play no part. At π_θ = π_ref the loss is 1.
    Source: SLiC-HF, arXiv:2305.10425.
    Differs from the paper in: Δ is measured from the reference, as in TRL; the paper has log-probabilities alone, and
    a likelihood term beside them (`nll_term`).
    """
    margins = beta * (chosen_log_ratios - rejected_log_ratios)
    return relu(1 - margins), margins


def simpo(
    chosen_logprobs: Tensor,
    rejected_logprobs: Tensor,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    *,
    beta: float,
    target_margin: float,
) -> tuple[Tensor, Tensor]:
    """Gives the SimPO loss: the log-probability per token is the reward, and no reference is needed.

    −log σ(β·(l_c / n_c − l_r / n_r) − γ), γ = `target_margin`

    Shapes: all [N] -> ([N], [N]). `chosen_logprobs` and `rejected_logprobs` are sums of the policy's log-probabilities,
    not log-ratios. The margins do not subtract γ: above 0 the pair is ranked right.
    Source: SimPO, arXiv:2405.14734.
    """
    margins = beta * (chosen_logprobs / chosen_tokens - rejected_logprobs / rejected_tokens)
    return -logsigmoid(margins - target_margin), margins


def kto(
    log_ratios: Tensor,
    desirable: Tensor,
    *,
    baseline: float,
    beta: float,
    desirable_weight: float,
    undesirable_weight: float,
) -> tuple[Tensor, Tensor]:
    """Gives the KTO loss of completions that are desirable or not, and their margins over the baseline z.

    desirable:   w_D · (1 − σ(β·(x − z)))
    undesirable: w_U · (1 − σ(β·(z − x)))

    Shapes: [N], bool [N] -> ([N], [N]). The margin is what σ takes: above 0 the completion stands on its side of z.
    z = `baseline` is that of `kl_baseline`, a number without gradient.
    Source: KTO, arXiv:2402.01306.
    Differs from the paper in: nothing here; see `kl_baseline`. The paper's λ_y − v is the same number.
    """
    margins = beta * (log_ratios - baseline) * (2 * desirable.to(log_ratios.dtype) - 1)
    weights = undesirable_weight + (desirable_weight - undesirable_weight) * desirable.to(log_ratios.dtype)
    # 1 − σ(m) = σ(−m), which keeps its digits where m is large.
    return weights * (-margins).sigmoid(), margins


def kl_baseline(mismatched_log_ratios: Tensor) -> float:
    """Gives KTO's z: the mean log-ratio of completions under prompts that are not theirs, at least 0.

    z = max(0, mean(x)), an estimate of KL(π_θ‖π_ref); 0 where there is none.

    Shapes: [M] -> a number without gradient. M are those of the whole update: with any other M the gradient would
    depend on how the update is split.
    Source: KTO, arXiv:2402.01306.
    Differs from the paper in: the mean is over the whole update; the paper's is over one batch in memory, TRL's over
    one microbatch of every device.
    """
    if mismatched_log_ratios.numel() == 0:
        return 0.0
    return max(0.0, float(mismatched_log_ratios.detach().double().mean()))


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
    "ipo": ipo,
    "hinge": hinge,
    "simpo": simpo,
}
"""Losses of pairs: name in a recipe -> (chosen_log_ratios, rejected_log_ratios, chosen_tokens, rejected_tokens, *,
beta and the loss's own keys). What each needs stands in `rlvr.config.preference.LOSS_ROWS`."""
