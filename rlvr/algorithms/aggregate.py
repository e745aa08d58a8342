"""Weights per token, so that the loss of an update is `(loss * weights).sum()` over all its microbatches.

B sequences (1 when packed), T tokens. The denominators are those of the whole optimizer update and come from outside;
nothing here sees a microbatch, so any split, any packing and any number of workers add up to the same gradient.

`tokens_in_update`      trainable tokens of the update
`sequences_in_update`   completions of the update
`max_completion_tokens` the generation limit of the recipe

The first two are counted before anything is dropped for want of a signal: a skipped group keeps its share, otherwise
the step would grow as the task gets easier. A completion without an outcome is in neither.
`sequence_tokens` [B, T] holds for each token how many trainable tokens its own sequence has, which padding and packing
know alike; its value where `trainable` is False does not matter.
"""

from collections.abc import Callable

from torch import Tensor

from rlvr.errors import TrainingError


def _require(name: str, value: int) -> None:
    if value < 1:
        raise TrainingError(
            f"{name} is {value}; an update needs at least 1",
            hint="skip an update that has nothing to learn from",
        )


def token_mean(
    trainable: Tensor,
    sequence_tokens: Tensor,
    *,
    tokens_in_update: int,
    sequences_in_update: int,
    max_completion_tokens: int,
) -> Tensor:
    """Gives weights under which every trainable token of the update counts the same; long completions count more.

    w_t = m_t / tokens_in_update

    Shapes: trainable [B, T], sequence_tokens [B, T] -> [B, T] in trainable's dtype, torch's default one for bool.
    Source: DAPO, arXiv:2503.14476. Differs from the paper in: it writes the denominator per group; here it is that of
    the whole update, as in the published implementations.
    Raises TrainingError on an update without trainable tokens.
    """
    _require("tokens_in_update", tokens_in_update)
    return trainable / tokens_in_update


def sequence_mean(
    trainable: Tensor,
    sequence_tokens: Tensor,
    *,
    tokens_in_update: int,
    sequences_in_update: int,
    max_completion_tokens: int,
) -> Tensor:
    """Gives weights under which every completion counts the same: the mean over completions of the mean over tokens.

    w_t = m_t / (n_i · sequences_in_update), n_i the trainable tokens of the token's own sequence

    Shapes: trainable [B, T], sequence_tokens [B, T] -> [B, T] in trainable's dtype, torch's default one for bool.
    Source: GRPO, arXiv:2402.03300. Raises TrainingError on an update without sequences.
    """
    _require("sequences_in_update", sequences_in_update)
    return trainable / (sequence_tokens.clamp(min=1) * sequences_in_update)


def constant(
    trainable: Tensor,
    sequence_tokens: Tensor,
    *,
    tokens_in_update: int,
    sequences_in_update: int,
    max_completion_tokens: int,
) -> Tensor:
    """Gives weights that no sampled length enters: the mean over completions of the token sum over a constant.

    w_t = m_t / (sequences_in_update · max_completion_tokens)

    Shapes: trainable [B, T], sequence_tokens [B, T] -> [B, T] in trainable's dtype, torch's default one for bool.
    Source: Dr. GRPO, arXiv:2503.20783, with the constant of its authors' code.
    Raises TrainingError on an update without sequences or a limit below 1.
    """
    _require("sequences_in_update", sequences_in_update)
    _require("max_completion_tokens", max_completion_tokens)
    return trainable / (sequences_in_update * max_completion_tokens)


def sequence_sum(
    trainable: Tensor,
    sequence_tokens: Tensor,
    *,
    tokens_in_update: int,
    sequences_in_update: int,
    max_completion_tokens: int,
) -> Tensor:
    """Gives weights under which a completion is one action: the mean over completions of the sum over tokens.

    w_t = m_t / sequences_in_update

    Shapes: trainable [B, T], sequence_tokens [B, T] -> [B, T] in trainable's dtype, torch's default one for bool.
    Source: RLOO, arXiv:2402.14740. Raises TrainingError on an update without sequences.
    """
    _require("sequences_in_update", sequences_in_update)
    return trainable / sequences_in_update


AGGREGATIONS: dict[str, Callable[..., Tensor]] = {
    "token_mean": token_mean,
    "sequence_mean": sequence_mean,
    "constant": constant,
    "sequence_sum": sequence_sum,
}
"""Name in a recipe -> (trainable, sequence_tokens, *, the three denominators) -> weights [B, T]."""
