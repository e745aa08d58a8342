"""The learner: measures what an algorithm's row needs, then updates the policy and, where there is one, the critic.

B sequences, T tokens.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.algorithm import Algorithm
from rlvr.algorithms.kl import KL_ESTIMATORS, adapted
from rlvr.algorithms.losses import LOSSES, Bounds, clip_counts, entropy_bonus
from rlvr.algorithms.mismatch import MISMATCHES
from rlvr.algorithms.ratios import RATIOS
from rlvr.models.logprobs import token_logprobs
from rlvr.models.optim import Optimizer
from rlvr.training.batching import Batch, Row, make_batches
from rlvr.training.critic import Critic, explained
from rlvr.training.measure import measure_tokens
from rlvr.training.samples import Measured, token_kl
from rlvr.training.update import accumulate
from rlvr.training.value_head import ValueHead
from rlvr.types import FloatArray, Sample, StepReport


class Learner:
    """Owns policy and optimizer during RLVR, and with them the critic, the reference and the KL's coefficient."""

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        *,
        row: Algorithm,
        reference: Any | None,
        critic: Critic | ValueHead | None,
        max_completion_tokens: int,
        temperature: float,
        microbatch_tokens: int,
        layout: str,
        dtype: str,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.kl_coefficient = row.kl_coefficient
        self._row = row
        self._reference = reference
        self._critic = critic
        self._reference_renewed = False
        self._max_completion_tokens = max_completion_tokens
        self._temperature = temperature
        self._microbatch_tokens = microbatch_tokens
        self._layout = layout
        self._dtype = dtype

    def measure(self, samples: Sequence[Sample]) -> Measured:
        """Runs the forward passes that the row needs: reference for a KL, policy for several updates, critic for GAE.

        With one update per step the proximal policy is the policy itself, and no pass is needed.
        """
        columns: dict[str, tuple[FloatArray, ...]] = {}
        if self._row.needs_reference:
            columns["reference_logprobs"] = self._logprobs(self._reference, samples)
        if self._row.needs_proximal:
            columns["proximal_logprobs"] = self._logprobs(self.model, samples)
        if self._critic is not None:
            columns["values"] = self._critic.values(samples)
        return Measured(columns)

    def update(self, samples: Sequence[Sample], measured: Measured, *, policy: bool = True) -> StepReport:
        """Applies the row's updates on whole groups in order and gives loss, gradient norm, KL, clip rate and more.

        An update in which no token has an advantage (and no KL is asked for), or for which no group is left, changes
        nothing and is counted: the learning rate's schedule goes on. With `policy` False only the critic learns.
        """
        start = time.perf_counter()
        self.model.train()
        totals: dict[str, float] = {}
        losses, norms, idle = [], [], 0
        rate = self.optimizer.learning_rate
        parts = _minibatches(samples, self._row.updates_per_step) * self._row.epochs_per_step
        for part in parts if policy else ():
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
        if isinstance(self._critic, Critic):
            stats |= self._critic.update(samples, measured, parts)
        if self._critic is not None:
            stats["train/value_explained"] = explained(samples, measured)
        if self._row.kl_place == "reward":
            stats |= self._kl_in_reward(samples, measured, adapt=policy)
        return StepReport(float(np.mean(losses)) if losses else 0.0, stats, time.perf_counter() - start)

    def renew_reference(self) -> None:
        """Makes the policy as it is the reference."""
        assert self._reference is not None, "only a row with a KL renews its reference"
        self._reference.load_state_dict(self.model.state_dict())
        self._reference_renewed = True

    def state(self) -> dict[str, Any]:
        """Gives what the policy's weights, saved apart, do not hold: optimizer, critic, coefficient, new reference."""
        renewed = self._reference is not None and self._reference_renewed
        return {
            "optimizer": self.optimizer.state(),
            "kl_coefficient": self.kl_coefficient,
            "critic": {} if self._critic is None else self._critic.state(),
            "reference": self._reference.state_dict() if self._reference is not None and renewed else {},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state that `state` gave."""
        self.optimizer.restore(state["optimizer"])
        self.kl_coefficient = state["kl_coefficient"]
        if self._critic is not None:
            self._critic.restore(state["critic"])
        if self._reference is not None and state["reference"]:
            self._reference.load_state_dict(state["reference"])
            self._reference_renewed = True

    def pull_to_here(self) -> None:
        """Makes the weights as they are now those that the optimizers pull back to."""
        self.optimizer.pull_to_here()
        if self._critic is not None:
            self._critic.optimizer.pull_to_here()

    def begin_schedule(self) -> None:
        """Counts updates from 0 again, so that the learning rates are those of a stage that begins."""
        self.optimizer.update_index = 0
        if self._critic is not None:
            self._critic.optimizer.update_index = 0

    def _kl_in_reward(self, samples: Sequence[Sample], measured: Measured, *, adapt: bool) -> dict[str, float]:
        """Says how large the KL in the reward was, and moves its coefficient where the row has a target."""
        learned = [index for index, sample in enumerate(samples) if sample.trainable.any()]
        if not learned:
            return {}
        sums = [float(kl.sum()) for kl in token_kl(samples, self._row, measured)]
        tokens = sum(int(samples[index].trainable.sum()) for index in learned)
        stats = {"train/kl": sum(sums) / tokens, "train/kl_coefficient": self.kl_coefficient}
        if self._row.kl_target > 0 and adapt:
            self.kl_coefficient = adapted(
                self.kl_coefficient,
                sum(sums) / len(learned),
                target=self._row.kl_target,
                horizon=self._row.kl_horizon,
                completions=len(learned),
            )
        return stats

    def _one_update(
        self, samples: Sequence[Sample], measured: Measured, indices: Sequence[int]
    ) -> tuple[float, float | None, dict[str, float]]:
        head = self._critic if isinstance(self._critic, ValueHead) else None
        rows: dict[str, list[Row]] = {}
        for i, sample in zip(indices, samples, strict=True):
            own = self._row.of(sample.domain)
            everywhere = own.kl_place == "loss" or own.entropy_coefficient > 0 or head is not None
            if sample.trainable.any() and (everywhere or sample.advantages.any()):
                domain = sample.domain if sample.domain in self._row.domains else ""
                rows.setdefault(domain, []).append(_row(sample, measured, i, with_values=head is not None))
        pulls = any(self._pulls(self._row.of(domain)) for domain in rows)
        if not rows or not (pulls or head or any(sample.advantages.any() for sample in samples)):
            self.optimizer.skip()
            if head is not None:
                head.optimizer.skip()
            return 0.0, None, {}
        batches = [
            (self._row.of(domain), batch)
            for domain, lines in rows.items()
            for batch in make_batches(
                lines,
                microbatch_tokens=self._microbatch_tokens,
                layout=self._layout,
                device=self.model.device,
                tokens_in_update=sum(int(sample.trainable.sum()) for sample in samples),
                sequences_in_update=sum(bool(sample.trainable.any()) for sample in samples),
            )
        ]
        networks = [self.model, *([head.head] if head else [])]
        loss, sums = accumulate(batches, self._loss, networks=networks, dtype=self._dtype)
        norm = self.optimizer.step()
        if head is not None:
            head.optimizer.step()
        return loss, norm, sums

    @staticmethod
    def _pulls(row: Algorithm) -> bool:
        """Whether a row moves the weights where no token has an advantage."""
        return (row.kl_place == "loss" and row.kl_coefficient > 0) or row.entropy_coefficient > 0

    def _loss(self, part: tuple[Algorithm, Batch]) -> tuple[Tensor, dict[str, Tensor]]:
        row, batch = part
        mask = batch.trainable
        found = token_logprobs(
            self.model,
            batch.token_ids,
            batch.position_ids,
            mask,
            temperature=self._temperature,
            entropy_gradient=row.entropy_coefficient > 0,
        )
        logprobs, sampler = found.logprobs, batch.columns["logprobs"]
        proximal = batch.columns.get("proximal_logprobs", logprobs.detach()).to(logprobs.dtype)
        place = (mask, batch.sequence_ids, batch.sequence_tokens)
        log_ratio = RATIOS[row.ratio](logprobs, proximal, *place)
        bounds = Bounds(row.clip_low, row.clip_high, row.dual_clip, row.weight_max)
        loss = LOSSES[row.loss](logprobs, log_ratio, batch.columns["advantages"], bounds)
        clipped = clip_counts(row.loss, log_ratio, batch.columns["advantages"], mask, bounds)
        sums = {
            "tokens": mask.sum(),
            "clip_low_rate": clipped["clipped_low_tokens"],
            "clip_high_rate": clipped["clipped_high_tokens"],
            "entropy": (found.entropy * mask).sum(),
            "sampler_gap": ((proximal - sampler).abs() * mask).sum(),
        }
        if row.mismatch != "none":
            weights = MISMATCHES[row.mismatch](proximal - sampler, *place, low=row.mismatch_low, high=row.mismatch_high)
            loss = loss * weights
            sums["mismatch_cut_rate"] = (((weights == 0) | (weights == row.mismatch_high)) & mask).sum()
        if row.kl_place == "loss":
            divergence = KL_ESTIMATORS[row.kl_estimator](logprobs, batch.columns["reference_logprobs"])
            loss = loss + row.kl_coefficient * divergence
            sums["kl"] = (divergence.detach() * mask).sum()
        if row.entropy_coefficient > 0:
            loss = loss + entropy_bonus(found.entropy, entropy_coefficient=row.entropy_coefficient)
        weights = AGGREGATIONS[row.aggregation](
            mask.to(loss.dtype),
            batch.sequence_tokens,
            tokens_in_update=batch.tokens_in_update,
            sequences_in_update=batch.sequences_in_update,
            max_completion_tokens=self._max_completion_tokens,
        )
        total = (loss * weights).sum()
        if isinstance(self._critic, ValueHead):
            added, sums["value_loss"] = self._critic.loss(found.states, batch)
            total = total + added
        return total, sums

    def _logprobs(self, model: Any, samples: Sequence[Sample]) -> tuple[FloatArray, ...]:
        return measure_logprobs(
            model,
            [Row(sample.token_ids, sample.trainable) for sample in samples],
            temperature=self._temperature,
            microbatch_tokens=self._microbatch_tokens,
            layout=self._layout,
            dtype=self._dtype,
        )


def _row(sample: Sample, measured: Measured, index: int, *, with_values: bool) -> Row:
    """Gives the sample's line of a microbatch, with what was measured of it."""
    columns = {name: arrays[index] for name, arrays in measured.columns.items() if name != "values"}
    if with_values:
        columns |= {"old_values": measured.columns["values"][index], "returns": sample.returns}
    return Row(
        sample.token_ids, sample.trainable, {"logprobs": sample.logprobs, "advantages": sample.advantages, **columns}
    )


def measure_logprobs(
    model: Any, rows: Sequence[Row], *, temperature: float, microbatch_tokens: int, layout: str, dtype: str
) -> tuple[FloatArray, ...]:
    """Gives each row's token log-probabilities [T] under `model` in evaluation mode, 0 where not trainable.

    Raises TrainingError where one is not finite.
    """

    def read(batch: Batch) -> Tensor:
        return token_logprobs(
            model, batch.token_ids, batch.position_ids, batch.trainable, temperature=temperature
        ).logprobs

    return measure_tokens(
        model, rows, read, "log-probability", microbatch_tokens=microbatch_tokens, layout=layout, dtype=dtype
    )


def _minibatches(samples: Sequence[Sample], updates: int) -> list[list[int]]:
    """Splits the samples into that many runs of whole groups, in order, as equal as can be; the last may be empty."""
    groups: dict[int, list[int]] = {}
    for index, sample in enumerate(samples):
        groups.setdefault(sample.group_id, []).append(index)
    parts = np.array_split(np.arange(len(groups)), updates)
    members = list(groups.values())
    return [[i for g in part for i in members[g]] for part in parts]
