"""The critic: a network that says what each token's state is worth, and learns it from what was earned.

B sequences, T tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvr.algorithms.values import value_loss
from rlvr.models.heads import token_values
from rlvr.models.optim import Optimizer
from rlvr.training.batching import Batch, Row, make_batches
from rlvr.training.measure import measure_tokens
from rlvr.training.samples import Measured
from rlvr.training.update import accumulate
from rlvr.types import FloatArray, Sample


class Critic:
    """Owns the value model and its optimizer. The value of token t is that of the state before it is chosen."""

    def __init__(
        self, model: Any, optimizer: Optimizer, *, value_clip: float, microbatch_tokens: int, layout: str, dtype: str
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._value_clip = value_clip
        self._microbatch_tokens = microbatch_tokens
        self._layout = layout
        self._dtype = dtype

    def values(self, samples: Sequence[Sample]) -> tuple[FloatArray, ...]:
        """Gives each sample's values [T], 0 where not trainable. Raises TrainingError where one is not finite."""
        return measure_tokens(
            self.model,
            [Row(sample.token_ids, sample.trainable) for sample in samples],
            self._values,
            "value of the critic",
            microbatch_tokens=self._microbatch_tokens,
            layout=self._layout,
            dtype=self._dtype,
        )

    def update(self, samples: Sequence[Sample], measured: Measured, parts: Sequence[Sequence[int]]) -> dict[str, float]:
        """Moves the values towards the returns, in one update for each part; gives the loss and what was foreseen.

        An update without a token changes nothing.
        """
        self.model.train()
        losses, norms = [], []
        for part in parts:
            rows = [
                Row(
                    samples[i].token_ids,
                    samples[i].trainable,
                    {"returns": samples[i].returns, "old_values": measured.columns["values"][i]},
                )
                for i in part
                if samples[i].trainable.any()
            ]
            if not rows:
                self.optimizer.skip()
                continue
            batches = make_batches(
                rows,
                microbatch_tokens=self._microbatch_tokens,
                layout=self._layout,
                device=self.model.device,
                tokens_in_update=sum(int(row.trainable.sum()) for row in rows),
                sequences_in_update=len(rows),
            )
            loss, _ = accumulate(batches, self._loss, networks=[self.model], dtype=self._dtype)
            losses.append(loss)
            norms.append(self.optimizer.step())
        return {
            "train/value_loss": float(np.mean(losses)) if losses else 0.0,
            "train/value_grad_norm": float(np.mean(norms)) if norms else 0.0,
        }

    def state(self) -> dict[str, Any]:
        """Gives weights and optimizer."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state that `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.restore(state["optimizer"])

    def _values(self, batch: Batch) -> Tensor:
        """Gives the values [B, T]: token t's is read where the network has seen all before it."""
        before = torch.zeros_like(batch.trainable)
        before[:, :-1] = batch.trainable[:, 1:]
        read = token_values(self.model, batch.token_ids, batch.position_ids, before)
        values = torch.zeros_like(read)
        values[:, 1:] = read[:, :-1]
        return values

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        columns = batch.columns
        loss = value_loss(self._values(batch), columns["old_values"], columns["returns"], value_clip=self._value_clip)
        return (loss * batch.trainable).sum() / batch.tokens_in_update, {}


def explained(samples: Sequence[Sample], measured: Measured) -> float:
    """Gives the share of the returns' variance that the values foresaw: 1 all of it, 0 none, below 0 it misleads."""
    pairs = zip(samples, measured.columns["values"], strict=True)
    there = [(sample.returns[sample.trainable], values[sample.trainable]) for sample, values in pairs]
    returns, values = (np.concatenate([[], *column]) for column in zip(([], []), *there, strict=True))
    variance = float(np.var(returns)) if len(returns) else 0.0
    return 1 - float(np.var(returns - values)) / variance if variance > 0 else 0.0
