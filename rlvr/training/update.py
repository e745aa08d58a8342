"""One optimizer update from any number of microbatches."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from rlvr.errors import TrainingError
from rlvr.training.batching import Batch
from rlvr.training.ranks import Part, own_share, sum_gradients, sum_totals

LossFunction = Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
"""Gives a microbatch's share of the update's loss, and named sums over its tokens or sequences."""


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Gives the context in which forward passes run: plain for float32, autocast for bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")


def accumulate(
    batches: Iterable[Part],
    loss_of: Callable[[Part], tuple[Tensor, dict[str, Tensor]]],
    *,
    networks: Sequence[nn.Module],
    dtype: str,
) -> tuple[float, dict[str, float]]:
    """Adds the gradients of all microbatches to those of the networks; gives the summed loss and the summed statistics.

    The first network is the one that runs; the others, such as a head, take part in its loss. In a process group each
    rank runs its share of the microbatches, and all end with the same gradients, loss and statistics.

    The losses are already divided by the update's global denominators, so their sum is the loss of the update.
    Raises TrainingError for one that is not finite: its gradient may be, and would be applied.
    """
    loss_sum, device = 0.0, next(networks[0].parameters()).device
    sums: dict[str, float] = {}
    for batch in own_share(batches):
        with autocast(device, dtype):
            loss, stats = loss_of(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += float(loss.detach())
        for name, value in stats.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    loss_sum, sums = sum_totals(loss_sum, sums)
    if not math.isfinite(loss_sum):
        raise TrainingError(
            f"the loss of the update is not finite ({loss_sum}); the update was not applied, and the last checkpoint, "
            "from before its step, is whole",
            hint="rlvr resume goes on from the last checkpoint; lower optimizer.learning_rate, or model.dtype=float32",
        )
    sum_gradients(networks)
    return loss_sum, sums
