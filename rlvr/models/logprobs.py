"""Log-probabilities of the tokens that are learned from, without ever holding all logits.

B sequences (or 1 row when packed), T tokens, N trainable tokens, H hidden, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rlvr.errors import ModelError

CHUNK_LOGITS = 2**24
_SCALED_HEADS = ("logit_scale", "logits_scaling")


class TokenLogprobs(NamedTuple):
    """`logprobs` [B,T] with 0 where not trainable; `entropy` [B,T] likewise, in nats.

    `states` [N,H] are the hidden states that the trainable tokens were predicted from, row by row.
    """

    logprobs: Tensor
    entropy: Tensor
    states: Tensor


def token_logprobs(
    model: Any,
    token_ids: Tensor,
    position_ids: Tensor,
    trainable: Tensor,
    *,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
) -> TokenLogprobs:
    """Gives log p(token | all before it in its sequence) at each trainable position.

    In float32, or in float64 for a model that is. All inputs are [B,T]. Right padding needs no mask under causal
    attention; packed sequences are told apart by their restarting `position_ids`. The first position of a sequence
    cannot be trainable.
    Only trainable positions pass the head, in chunks of at most CHUNK_LOGITS logits that are recomputed in the
    backward pass. The entropy has a gradient only with `entropy_gradient`.
    """
    for name in _SCALED_HEADS:
        if getattr(model.config, name, None) is not None:
            raise ModelError(f"models whose head has {name} are not supported ({type(model).__name__})")
    hidden = model.base_model(
        input_ids=token_ids, position_ids=position_ids, use_cache=False
    ).last_hidden_state  # [B,T,H]
    rows, columns = trainable.nonzero(as_tuple=True)
    picked = hidden[rows, columns - 1]  # [N,H]
    targets = token_ids[rows, columns]
    logprobs, entropy = _head_in_chunks(model, picked, targets, temperature, entropy_gradient)
    blank = torch.zeros(token_ids.shape, dtype=logprobs.dtype, device=token_ids.device)
    places = rows, columns
    return TokenLogprobs(blank.index_put(places, logprobs), blank.index_put(places, entropy), picked)


def token_divergence(model: Any, reference: Any, token_ids: Tensor, position_ids: Tensor, trainable: Tensor) -> Tensor:
    """Gives KL(reference ‖ model) in nats over the whole vocabulary at each trainable position [B,T], 0 elsewhere.

    It is what a token costs more when the model predicts what the reference says; never below 0 but for rounding.
    For networks with one vocabulary; without a gradient. Shapes as in `token_logprobs`.
    """
    rows, columns = trainable.nonzero(as_tuple=True)
    states = [
        network.base_model(input_ids=token_ids, position_ids=position_ids, use_cache=False).last_hidden_state[
            rows, columns - 1
        ]
        for network in (model, reference)
    ]
    size = max(1, CHUNK_LOGITS // model.get_output_embeddings().weight.shape[0])
    parts = []
    for ours, theirs in zip(*(torch.split(state, size) for state in states), strict=True):
        q, p = _log_softmax(model, ours, 1.0), _log_softmax(reference, theirs, 1.0)
        parts.append((p.exp() * (p - q)).sum(-1))
    found = torch.cat(parts) if parts else torch.zeros(0, device=token_ids.device)
    return torch.zeros(token_ids.shape, dtype=found.dtype, device=token_ids.device).index_put((rows, columns), found)


def _log_softmax(model: Any, hidden: Tensor, temperature: float) -> Tensor:
    """Gives the log-probabilities [N,V] of the tokens after hidden states [N,H], in float32 at least."""
    logits = model.get_output_embeddings()(hidden)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    softcap = getattr(model.config, "final_logit_softcapping", None)
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    return torch.log_softmax(logits / temperature, dim=-1)


def _head_in_chunks(
    model: Any, hidden: Tensor, targets: Tensor, temperature: float, entropy_gradient: bool
) -> tuple[Tensor, Tensor]:

    def one_chunk(part: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        everything = _log_softmax(model, part, temperature)
        with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
            entropy = -(everything.exp() * everything).sum(-1)
        return everything.gather(-1, target[:, None])[:, 0], entropy

    size = max(1, CHUNK_LOGITS // model.get_output_embeddings().weight.shape[0])
    if hidden.shape[0] <= size:
        return one_chunk(hidden, targets)
    parts = [
        checkpoint(one_chunk, part, target, use_reentrant=False)
        for part, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
    ]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
