"""Attention over slots: the masks, the attention function, and which networks it is right for.

R rows, Hq query heads, H key-value heads, Q query positions, T positions, D head size.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rlvr.errors import EngineError

NAME = "rlvr_slots"


def slot_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    **extra: Any,
) -> tuple[Tensor, None]:
    """Gives attention [R,Q,Hq,D] of query [R,Hq,Q,D] over key and value [R,H,T,D] under additive masks [R|1,1,Q,T].

    Prompts go through scaled_dot_product_attention. One query per slot on a CPU goes through plain products: there the
    library's kernel rounds by which thread a row falls to, so a completion would depend on its neighbours, and it is
    slower. Soft-capped scores, which the library's kernel cannot do, take the same way.
    """
    if extra.get("s_aux") is not None or extra.get("position_bias") is not None:
        raise EngineError(f"attention sinks and position biases are not supported ({type(module).__name__})")
    if softcap is None and (query.shape[2] > 1 or query.device.type != "cpu"):
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling)
        return output, None
    rows, query_heads, length, size = query.shape
    heads = key.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    grouped = (query * scale).reshape(rows, heads, query_heads // heads, length, size)
    scores = torch.matmul(grouped.reshape(rows, heads, -1, size), key.transpose(2, 3))
    scores = scores.view(rows, heads, query_heads // heads, length, -1)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.add_(attention_mask[:, :, None])
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    output = torch.matmul(weights.view(rows, heads, -1, weights.shape[-1]), value)
    return output.view(rows, query_heads, length, -1).transpose(1, 2), None


@contextmanager
def attending(config: Any) -> Iterator[None]:
    """Has the network use `slot_attention` inside the block, and what it used before afterwards."""
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


@dataclass(frozen=True, slots=True)
class Masks:
    """Makes the masks a network expects: one for all layers, or one for each layer type."""

    window: int | None
    by_layer_type: bool

    def of(self, query_positions: Tensor, width: int, dtype: torch.dtype) -> Any:
        """Gives additive masks [R,1,Q,T] for query positions [R,Q]: 0 where attended, -inf elsewhere."""
        distance = query_positions[:, None, :, None] - torch.arange(width, device=query_positions.device)
        full = distance >= 0
        windowed = full if self.window is None else full & (distance < self.window)
        if not self.by_layer_type:
            return _additive(windowed, dtype)
        return {"full_attention": _additive(full, dtype), "sliding_attention": _additive(windowed, dtype)}


def _additive(attended: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(attended.shape, dtype=dtype, device=attended.device).masked_fill_(~attended, -math.inf)


def masks_for(config: Any, *, max_length: int) -> Masks:
    """Gives the masks for a network's text config.

    Raises EngineError for layers that a cache of keys and values by position cannot serve.
    """
    AttentionInterface.register(NAME, slot_attention)
    kind = getattr(config, "model_type", type(config).__name__)
    layer_types = set(getattr(config, "layer_types", None) or ())
    refused = sorted(layer_types - {"full_attention", "sliding_attention"})
    if getattr(config, "is_encoder_decoder", False):
        refused.append("an encoder")
    if getattr(config, "num_attention_heads", None) is None:
        refused.append("no attention heads")
    refused += [
        name
        for name in ("num_kv_shared_layers", "use_bidirectional_attention", "alibi", "attention_chunk_size")
        if getattr(config, name, None)
    ]
    if refused:
        raise EngineError(
            f"the native engine cannot drive a {kind!r} network: it has {', '.join(refused)}; "
            "full or sliding-window attention in every layer was expected",
            hint="use a decoder such as llama, qwen2, qwen3, gemma, gemma2 or gemma3",
        )
    window = getattr(config, "sliding_window", None)
    if not getattr(config, "use_sliding_window", True) or (layer_types and "sliding_attention" not in layer_types):
        window = None
    if window is not None and window >= max_length:
        window = None
    return Masks(window, by_layer_type="sliding_attention" in layer_types)
