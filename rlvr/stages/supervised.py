"""The loop that pretraining, SFT, DPO and reward models share: ordered updates over items of one or two rows."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rlvr.algorithms.losses import cross_entropy
from rlvr.config.supervised import DpoConfig, PretrainConfig, RewardModelConfig, SftConfig
from rlvr.errors import DataError, RunError
from rlvr.models.logprobs import token_logprobs
from rlvr.models.optim import Optimizer
from rlvr.models.policy import context_length
from rlvr.runs.folder import Run
from rlvr.stages.parts import Checkpoint, Parts, restore, save
from rlvr.training.batching import Batch, Row, make_batches
from rlvr.training.order import update_order
from rlvr.training.update import LossFunction, accumulate
from rlvr.types import IntArray

UpdateLoss = Callable[[IntArray], LossFunction]
"""Gives the loss of the update that has the items of these indices; what it measures for it, it measures here."""

log = logging.getLogger(__name__)

SupervisedConfig = PretrainConfig | SftConfig | DpoConfig | RewardModelConfig


def longest_sequence(parts: Parts, config: SupervisedConfig) -> int:
    """Gives how many tokens a sequence may have: the recipe's max_length, at most what the model can read."""
    return min(config.max_length, context_length(parts.policy))


def fitting(items: Sequence[tuple[Row, ...]], *, max_length: int, what: str, run: Run) -> list[tuple[Row, ...]]:
    """Gives the items whose rows all have at most `max_length` tokens and something to learn, as `which_fit` does."""
    return [items[index] for index in which_fit(items, max_length=max_length, what=what, run=run)]


def which_fit(items: Sequence[tuple[Row, ...]], *, max_length: int, what: str, run: Run) -> list[int]:
    """Gives the indices of the items whose rows all have at most `max_length` tokens and something to learn; notes the
    others.

    Raises DataError when none is left.
    """
    fits = [all(len(row.token_ids) <= max_length and row.trainable.any() for row in item) for item in items]
    good = [index for index, fit in enumerate(fits) if fit]
    if not good:
        longest = max((len(row.token_ids) for item in items for row in item), default=0)
        raise DataError(
            f"no {what} is left to train on: {len(items)} given, the longest has {longest} tokens, "
            f"max_length is {max_length}",
            hint="raise max_length, or check the data",
        )
    if len(good) < len(items):
        number, first = len(items) - len(good), fits.index(False)
        log.warning(
            "%d of %d %ss left out, longer than %d tokens or nothing to learn; first: number %d with %d tokens",
            *(number, len(items), what, max_length, first + 1),
            max(len(row.token_ids) for row in items[first]),
        )
        run.event("left_out", what=what, number=number, first=first, max_length=max_length)
    return good


def next_token_loss(model: Any) -> LossFunction:
    """Gives the loss of pretraining and SFT: the weighted mean of the negative log-likelihood over the update."""

    def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        found = token_logprobs(model, batch.token_ids, batch.position_ids, batch.trainable)
        return (cross_entropy(found.logprobs) * batch.columns["weights"]).sum() / batch.tokens_in_update, {}

    return loss_of


def train_supervised(
    parts: Parts,
    run: Run,
    items: Sequence[tuple[Row, ...]],
    config: SupervisedConfig,
    loss_for: UpdateLoss,
    domains: tuple[str, ...],
    *,
    mixed: bool = False,
) -> Checkpoint:
    """Trains on the items in keyed order, from the run's last whole checkpoint where there is one.

    Items of similar length share an update; with `mixed` any do, for a loss to which it matters what stands together.
    A row's place in an update is that of its item in the indices that `loss_for` gets. The loss function's statistics
    are sums over items; their means over the update's items become metrics.
    """
    unit = len(items[0])
    order = update_order(
        [0 if mixed else max(len(row.token_ids) for row in item) for item in items],
        seed=parts.seed,
        sequences_per_update=config.sequences_per_update,
        epochs=config.epochs,
    )
    optimizer = parts.make_optimizer(parts.policy, config.optimizer, len(order))
    first, path, state = restore(run)
    data = _fingerprint(items)
    if state:
        _refuse_other_data(run, state["data"], data)
        optimizer.restore(state["optimizer"])
    parts.announce(len(order), first)
    parts.policy.train()
    for step in range(first, len(order)):
        with run.step(step) as record:
            rows = [row for index in order[step] for row in items[index]]
            batches = _batches(rows, unit, config, parts.policy.device)
            record.metrics(_one_update(parts, optimizer, batches, loss_for(order[step]), rows, len(order[step])))
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == len(order):
            path = save(parts, run, step + 1, {"optimizer": optimizer.state(), "data": data})
    assert path is not None, "there is at least one update, and the last one is saved"
    return Checkpoint(path, len(order), domains)


def _one_update(
    parts: Parts,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    loss_of: LossFunction,
    rows: Sequence[Row],
    num_items: int,
) -> dict[str, float]:
    """Takes one optimizer step and gives its metrics."""
    rate = optimizer.learning_rate
    loss, sums = accumulate(batches, loss_of, networks=[parts.policy], dtype=parts.dtype)
    return {
        "train/loss": loss,
        "train/grad_norm": optimizer.step(),
        "train/learning_rate": rate,
        "train/tokens": float(sum(len(row.token_ids) for row in rows)),
        **{f"train/{name}": value / num_items for name, value in sums.items()},
    }


def _refuse_other_data(run: Run, before: str, now: str) -> None:
    if before != now:
        raise RunError(
            f"{run.path} was trained on other data than its sources give now",
            hint="bring the data back, or start a new run",
        )


def _fingerprint(items: Sequence[tuple[Row, ...]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        for row in item:
            digest.update(row.token_ids.tobytes())
            digest.update(row.trainable.tobytes())
    return digest.hexdigest()


def _batches(rows: Sequence[Row], unit: int, config: SupervisedConfig, device: torch.device) -> list[Batch]:
    return make_batches(
        rows,
        microbatch_tokens=config.microbatch_tokens,
        layout=config.batching,
        device=device,
        tokens_in_update=float(sum(row.columns.get("weights", row.trainable).sum() for row in rows)),
        sequences_in_update=len(rows) // unit,
        unit=unit,
    )
