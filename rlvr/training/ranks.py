"""Data-parallel ranks: each takes its share of an update's microbatches, and all have the whole update's gradient.

Every process of the group is given the same samples and weights, so that all cut the same microbatches with the same
denominators; only the forward and backward passes of an update are shared out. Without a group there is one rank.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import distributed, nn

Part = TypeVar("Part")
"""A microbatch, with whatever belongs to it."""

Totals = tuple[float, dict[str, float]]
"""A loss, and named sums over tokens or sequences."""


def num_ranks() -> int:
    """Gives how many processes share the work of an update."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def own_share(batches: Iterable[Part]) -> list[Part]:
    """Gives every num_ranks-th microbatch, so that each rank has long and short ones; it may be none."""
    ranks = num_ranks()
    return [batch for place, batch in enumerate(batches) if ranks == 1 or place % ranks == distributed.get_rank()]


def sum_gradients(networks: Sequence[nn.Module]) -> None:
    """Gives every rank the sum of all ranks' gradients. A parameter that no rank has a gradient of keeps none."""
    if num_ranks() == 1:
        return
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    reached = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    distributed.all_reduce(reached, distributed.ReduceOp.MAX)
    for parameter, is_reached in zip(parameters, reached.tolist(), strict=True):
        if not is_reached:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)


def sum_totals(loss: float, sums: dict[str, float]) -> Totals:
    """Gives loss and sums over all ranks, added in the order of the ranks, so that all have the same bits."""
    if num_ranks() == 1:
        return loss, sums
    found: list[Totals] = [(0.0, {})] * num_ranks()
    distributed.all_gather_object(found, (loss, sums))
    names = dict.fromkeys(name for _, of_rank in found for name in of_rank)
    return (
        sum(of_rank for of_rank, _ in found),
        {name: sum(of_rank.get(name, 0.0) for _, of_rank in found) for name in names},
    )
