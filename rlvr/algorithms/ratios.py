"""Log-ratios of the learner now to the learner at the start of the step, per token or for the whole completion.

B sequences (1 row when packed), T tokens. `sequence_ids` [B, T] numbers the sequences of the batch from 0, so that
padded and packed batches give the same numbers; `sequence_tokens` [B, T] holds for each token how many trainable tokens
its own sequence has.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def over_sequence(values: Tensor, trainable: Tensor, sequence_ids: Tensor) -> Tensor:
    """Gives at each token the sum of `values` over the trainable tokens of its own sequence.

    Shapes: values, trainable, sequence_ids [B, T] -> [B, T].
    """
    flat = torch.where(trainable, values, 0.0).reshape(-1)
    ids = sequence_ids.reshape(-1)
    count = int(ids.max()) + 1 if ids.numel() else 0
    sums = torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, ids, flat)
    return sums[sequence_ids]


def token(
    logprobs: Tensor, proximal_logprobs: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor
) -> Tensor:
    """Gives log r_t = log π_θ(t) − log π_prox(t) of each token alone.

    Shapes: all [B, T] -> [B, T]. Source: PPO, arXiv:1707.06347.
    """
    return logprobs - proximal_logprobs


def sequence(
    logprobs: Tensor, proximal_logprobs: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor
) -> Tensor:
    """Gives at each token the mean log-ratio of its whole completion: log s_i = (1/n_i) · Σ_t log r_t.

    Shapes: all [B, T] -> [B, T]. Source: GSPO, arXiv:2507.18071.
    """
    sums = over_sequence(logprobs - proximal_logprobs, trainable, sequence_ids)
    return sums / sequence_tokens.clamp(min=1)


def sequence_token(
    logprobs: Tensor, proximal_logprobs: Tensor, trainable: Tensor, sequence_ids: Tensor, sequence_tokens: Tensor
) -> Tensor:
    """Gives log s_i in value, with the gradient of the token's own log π_θ: sg[log s_i] + log π_θ − sg[log π_θ].

    With one advantage per completion its gradient is that of `sequence`; it also takes advantages that differ by token.

    Shapes: all [B, T] -> [B, T]. Source: GSPO-token, arXiv:2507.18071.
    """
    level = sequence(logprobs.detach(), proximal_logprobs, trainable, sequence_ids, sequence_tokens)
    return level + (logprobs - logprobs.detach())


RATIOS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "token": token,
    "sequence": sequence,
    "sequence_token": sequence_token,
}
"""Name in a row -> (logprobs, proximal_logprobs, trainable, sequence_ids, sequence_tokens) -> log-ratios [B, T]."""
