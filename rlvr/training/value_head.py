"""A critic on the policy's own trunk: one linear map, trained in the policy's updates, with the policy.

B sequences, T tokens, N trainable tokens, H hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlvr.algorithms.values import value_loss
from rlvr.models.logprobs import token_logprobs
from rlvr.models.optim import Optimizer
from rlvr.training.batching import Batch, Row
from rlvr.training.measure import measure_tokens
from rlvr.types import FloatArray, Sample


class ValueHead:
    """Owns the map and its optimizer. The value of token t is that of the state before it is chosen.

    The trunk's gradient of the value loss goes to the policy's optimizer, with the policy's own; `coefficient` weighs
    it against that.
    """

    def __init__(
        self,
        policy: Any,
        head: nn.Linear,
        optimizer: Optimizer,
        *,
        coefficient: float,
        value_clip: float,
        microbatch_tokens: int,
        layout: str,
        dtype: str,
    ) -> None:
        self.head = head
        self.optimizer = optimizer
        self._policy = policy
        self._coefficient = coefficient
        self._value_clip = value_clip
        self._microbatch_tokens = microbatch_tokens
        self._layout = layout
        self._dtype = dtype

    def values(self, samples: Sequence[Sample]) -> tuple[FloatArray, ...]:
        """Gives each sample's values [T], 0 where not trainable. Raises TrainingError where one is not finite."""

        def read(batch: Batch) -> Tensor:
            found = token_logprobs(self._policy, batch.token_ids, batch.position_ids, batch.trainable)
            return self._spread(found.states, batch.trainable)

        return measure_tokens(
            self._policy,
            [Row(sample.token_ids, sample.trainable) for sample in samples],
            read,
            "value of the critic",
            microbatch_tokens=self._microbatch_tokens,
            layout=self._layout,
            dtype=self._dtype,
        )

    def loss(self, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Gives what is added to the policy's loss, and the sum of the value loss over the batch's tokens.

        `states` [N, H] are those before the trainable tokens, row by row.
        """
        columns = batch.columns
        values = self._spread(states, batch.trainable)
        found = value_loss(values, columns["old_values"], columns["returns"], value_clip=self._value_clip)
        total = (found * batch.trainable).sum()
        return self._coefficient * total / batch.tokens_in_update, total.detach()

    def _spread(self, states: Tensor, trainable: Tensor) -> Tensor:
        """Gives the values [B, T] of the states [N, H]; the head is not rounded under autocast."""
        with torch.autocast(states.device.type, enabled=False):
            values = self.head(states.to(self.head.weight.dtype))[:, 0]
        blank = torch.zeros(trainable.shape, dtype=values.dtype, device=values.device)
        return blank.index_put(trainable.nonzero(as_tuple=True), values)

    def state(self) -> dict[str, Any]:
        """Gives weights and optimizer."""
        return {"head": self.head.state_dict(), "optimizer": self.optimizer.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state that `state` gave."""
        self.head.load_state_dict(state["head"])
        self.optimizer.restore(state["optimizer"])
