"""What a network says of sequences before they are learned from: forward passes without a gradient.

B sequences, T tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvr.errors import TrainingError
from rlvr.training.batching import Batch, Row, make_batches, per_sequence
from rlvr.training.update import autocast
from rlvr.types import FloatArray

Read = Callable[[Batch], Tensor]
"""Gives a number for each token [B,T] of a batch."""


@torch.no_grad()
def measure(
    model: Any, rows: Sequence[Row], read: Read, *, microbatch_tokens: int, layout: str, dtype: str
) -> list[tuple[Batch, Tensor]]:
    """Gives the batches of the rows with what `read` says of each, `model` being in evaluation mode."""
    was_training = model.training
    model.eval()
    found = []
    for batch in make_batches(
        rows,
        microbatch_tokens=microbatch_tokens,
        layout=layout,
        device=model.device,
        tokens_in_update=1,
        sequences_in_update=1,
    ):
        with autocast(model.device, dtype):
            found.append((batch, read(batch)))
    model.train(was_training)
    return found


def measure_tokens(
    model: Any, rows: Sequence[Row], read: Read, what: str, *, microbatch_tokens: int, layout: str, dtype: str
) -> tuple[FloatArray, ...]:
    """Gives each row's numbers [T] as `measure` does. Raises TrainingError, naming `what` they are, for one not finite:
    what is made of it would be silently wrong.
    """
    found: list[FloatArray] = [np.zeros(len(row.token_ids), dtype=np.float32) for row in rows]
    for batch, values in measure(model, rows, read, microbatch_tokens=microbatch_tokens, layout=layout, dtype=dtype):
        if not bool(values.isfinite().all()):
            raise TrainingError(
                f"a {what} is not finite; the network gives numbers that cannot be learned from",
                hint="rlvr resume goes on from the last checkpoint; lower optimizer.learning_rate, "
                "or model.dtype=float32",
            )
        for index, part in zip(batch.rows, per_sequence(batch, values.float().cpu()), strict=True):
            found[index] = part.numpy()
    return tuple(found)
