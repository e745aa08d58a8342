"""The learner: measures what an algorithm's row needs, then updates the policy.

B sequences, T tokens.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.kl import KL_ESTIMATORS
from rlvr.algorithms.losses import LOSSES, clip_counts
from rlvr.algorithms.presets import Algorithm
from rlvr.models.logprobs import token_logprobs
from rlvr.models.optim import Optimizer
from rlvr.training.batching import Batch, Row, make_batches, per_sequence
from rlvr.training.update import accumulate, autocast
from rlvr.types import FloatArray, Sample, StepReport


@dataclass(frozen=True, slots=True)
class Measured:
    """Per-sample arrays [T] by name, measured before the first update of a step: `reference_logprobs`,
    `proximal_logprobs`; only what the row needs is there."""

    columns: Mapping[str, tuple[FloatArray, ...]]


class Learner:
    """Owns policy and optimizer during RLVR."""

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        *,
        row: Algorithm,
        reference: Any | None,
        max_completion_tokens: int,
        temperature: float,
        microbatch_tokens: int,
        layout: str,
        dtype: str,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._row = row
        self._reference = reference
        self._max_completion_tokens = max_completion_tokens
        self._temperature = temperature
        self._microbatch_tokens = microbatch_tokens
        self._layout = layout
        self._dtype = dtype

    def measure(self, samples: Sequence[Sample]) -> Measured:
        """Runs the forward passes that the row needs: the reference for a KL, the proximal policy for several updates.

        With one update per step the proximal policy is the policy itself, and no pass is needed.
        """
        columns: dict[str, tuple[FloatArray, ...]] = {}
        if self._row.needs_reference:
            columns["reference_logprobs"] = self._logprobs(self._reference, samples)
        if self._row.needs_proximal:
            columns["proximal_logprobs"] = self._logprobs(self.model, samples)
        return Measured(columns)

    def update(self, samples: Sequence[Sample], measured: Measured) -> StepReport:
        """Applies the row's updates on whole groups in order and gives loss, gradient norm, KL, clip rate and more.

        An update in which no token has an advantage (and no KL is asked for), or for which no group is left, changes
        nothing and is counted: the learning rate's schedule goes on.
        """
        start = time.perf_counter()
        self.model.train()
        totals: dict[str, float] = {}
        losses, norms, idle = [], [], 0
        rate = self.optimizer.learning_rate
        for part in _minibatches(samples, self._row.updates_per_step):
            loss, norm, sums = self._one_update([samples[i] for i in part], measured, part)
            losses.append(loss)
            idle += norm is None
            norms.extend([] if norm is None else [norm])
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + value
        tokens = max(1.0, totals.get("tokens", 0.0))
        stats = {f"train/{name}": totals[name] / tokens for name in totals if name != "tokens"}
        stats["train/grad_norm"] = float(np.mean(norms)) if norms else 0.0
        stats["train/learning_rate"] = rate
        stats["train/learned_tokens"] = totals.get("tokens", 0.0)
        stats["train/idle_updates"] = float(idle)
        return StepReport(float(np.mean(losses)) if losses else 0.0, stats, time.perf_counter() - start)

    def state(self) -> dict[str, Any]:
        """Gives the optimizer's state; the weights are saved apart."""
        return self.optimizer.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state that `state` gave."""
        self.optimizer.restore(state)

    def _one_update(
        self, samples: Sequence[Sample], measured: Measured, indices: Sequence[int]
    ) -> tuple[float, float | None, dict[str, float]]:
        everywhere = self._row.needs_reference
        rows = [
            Row(
                sample.token_ids,
                sample.trainable,
                {
                    "logprobs": sample.logprobs,
                    "advantages": sample.advantages,
                    **{name: arrays[i] for name, arrays in measured.columns.items()},
                },
            )
            for i, sample in zip(indices, samples, strict=True)
            if sample.trainable.any() and (everywhere or sample.advantages.any())
        ]
        if not rows:
            self.optimizer.skip()
            return 0.0, None, {}
        batches = make_batches(
            rows,
            microbatch_tokens=self._microbatch_tokens,
            layout=self._layout,
            device=self.model.device,
            tokens_in_update=sum(int(sample.trainable.sum()) for sample in samples),
            sequences_in_update=sum(bool(sample.trainable.any()) for sample in samples),
        )
        loss, sums = accumulate(batches, self._loss, device=self.model.device, dtype=self._dtype)
        return loss, self.optimizer.step(), sums

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        row, mask = self._row, batch.trainable
        measured = token_logprobs(self.model, batch.token_ids, batch.position_ids, mask, temperature=self._temperature)
        logprobs = measured.logprobs
        proximal = batch.columns.get("proximal_logprobs", logprobs.detach())
        advantages = batch.columns["advantages"]
        clip = {"clip_low": row.clip_low, "clip_high": row.clip_high}
        loss = LOSSES[row.loss](logprobs, proximal, advantages, **clip)
        clipped = clip_counts(logprobs, proximal, advantages, mask, **clip)
        sums = {
            "tokens": mask.sum(),
            "clip_low_rate": clipped["clipped_low_tokens"],
            "clip_high_rate": clipped["clipped_high_tokens"],
            "entropy": (measured.entropy * mask).sum(),
            "sampler_gap": ((proximal - batch.columns["logprobs"]).abs() * mask).sum(),
        }
        if row.needs_reference:
            divergence = KL_ESTIMATORS[row.kl_estimator](logprobs, batch.columns["reference_logprobs"])
            loss = loss + row.kl_coefficient * divergence
            sums["kl"] = (divergence.detach() * mask).sum()
        weights = AGGREGATIONS[row.aggregation](
            mask,
            batch.sequence_tokens,
            tokens_in_update=batch.tokens_in_update,
            sequences_in_update=batch.sequences_in_update,
            max_completion_tokens=self._max_completion_tokens,
        )
        return (loss * weights).sum(), sums

    def _logprobs(self, model: Any, samples: Sequence[Sample]) -> tuple[FloatArray, ...]:
        return measure_logprobs(
            model,
            [Row(sample.token_ids, sample.trainable) for sample in samples],
            temperature=self._temperature,
            microbatch_tokens=self._microbatch_tokens,
            layout=self._layout,
            dtype=self._dtype,
        )


@torch.no_grad()
def measure_logprobs(
    model: Any, rows: Sequence[Row], *, temperature: float, microbatch_tokens: int, layout: str, dtype: str
) -> tuple[FloatArray, ...]:
    """Gives each row's token log-probabilities [T] under `model` in evaluation mode, 0 where not trainable."""
    was_training = model.training
    model.eval()
    found: list[FloatArray] = [np.zeros(len(row.token_ids), dtype=np.float32) for row in rows]
    for batch in make_batches(
        rows,
        microbatch_tokens=microbatch_tokens,
        layout=layout,
        device=model.device,
        tokens_in_update=1,
        sequences_in_update=1,
    ):
        with autocast(model.device, dtype):
            values = token_logprobs(
                model, batch.token_ids, batch.position_ids, batch.trainable, temperature=temperature
            ).logprobs
        for index, part in zip(batch.rows, per_sequence(batch, values.float().cpu()), strict=True):
            found[index] = part.numpy()
    model.train(was_training)
    return tuple(found)


def _minibatches(samples: Sequence[Sample], updates: int) -> list[list[int]]:
    """Splits the samples into that many runs of whole groups, in order, as equal as can be; the last may be empty."""
    groups: dict[int, list[int]] = {}
    for index, sample in enumerate(samples):
        groups.setdefault(sample.group_id, []).append(index)
    parts = np.array_split(np.arange(len(groups)), updates)
    members = list(groups.values())
    return [[i for g in part for i in members[g]] for part in parts]
