"""The loss of a critic. B sequences (1 row when packed), T tokens."""

import torch
from torch import Tensor


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, value_clip: float) -> Tensor:
    """Gives half the squared error of each value, or of the value cut near its old one where that is worse.

    ½ · max((V − G)², (clip(V, V_old − value_clip, V_old + value_clip) − G)²); value_clip 0: ½ · (V − G)²

    Shapes: all [B, T] -> [B, T]; `old_values` and `returns` carry no gradient.
    Source: as PPO's implementations clip it (Engstrom and others, arXiv:2005.12729, name it a trick of the code); the
    PPO paper has the squared error alone.
    """
    error = (values - returns).square()
    if value_clip > 0:
        near = torch.maximum(torch.minimum(values, old_values + value_clip), old_values - value_clip)
        error = torch.maximum(error, (near - returns).square())
    return error / 2
