"""Preference tuning, on given preferences or on right and wrong samples of the policy itself: DPO and its kin."""

from typing import Any

import torch
from torch import Tensor

from rlvr.algorithms.preference import PREFERENCE_LOSSES, nll_term
from rlvr.config.preference import LOSS_ROWS
from rlvr.config.supervised import DpoConfig
from rlvr.models.logprobs import token_logprobs
from rlvr.runs.folder import Run
from rlvr.stages.kto import kto
from rlvr.stages.pairs import pair_rows, preference_pairs, with_reference
from rlvr.stages.parts import Checkpoint, Parts, domains_of
from rlvr.stages.supervised import fitting, longest_sequence, train_supervised
from rlvr.training.batching import Batch, Row, sequence_sums
from rlvr.training.update import LossFunction


def dpo(parts: Parts, config: DpoConfig, run: Run) -> Checkpoint:
    """Trains the policy to prefer `chosen` over `rejected`, with the loss of the recipe.

    The reference is the weights that the stage began with; it is neither loaded nor measured where the loss has none.
    """
    row = LOSS_ROWS[config.loss]
    if not row.paired:
        return kto(parts, config, run)
    pairs = preference_pairs(parts, config, run)
    items: list[tuple[Row, ...]] = [pair_rows(parts.tokenizer, pair) for pair in pairs]
    items = fitting(items, max_length=longest_sequence(parts, config), what="preference pair", run=run)
    if row.reference:
        ready = with_reference(parts, config, [row for item in items for row in item])
        items = list(zip(ready[0::2], ready[1::2], strict=True))
    loss = preference_loss(parts.policy, config)
    return train_supervised(parts, run, items, config, lambda _: loss, domains_of(pairs))


def preference_loss(model: Any, config: DpoConfig) -> LossFunction:
    """Gives the loss of a batch whose rows are chosen, rejected, chosen, rejected, …, averaged over the update's pairs.

    Rows carry `reference_logprobs` where the loss has a reference.
    """
    row = LOSS_ROWS[config.loss]
    cells = {key: getattr(config, key) for key in ("beta", *row.own)}

    def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        found = token_logprobs(model, batch.token_ids, batch.position_ids, batch.trainable)
        sums = sequence_sums(batch, found.logprobs)
        tokens = sequence_sums(batch, batch.trainable.float())
        # The difference per token is small; that of two long sums would lose digits.
        rewards = sequence_sums(batch, found.logprobs - batch.columns["reference_logprobs"]) if row.reference else sums
        loss, margins = PREFERENCE_LOSSES[config.loss](
            rewards[0::2], rewards[1::2], tokens[0::2], tokens[1::2], **cells
        )
        loss = loss + nll_term(sums[0::2], tokens[0::2], nll_coefficient=config.nll_coefficient)
        with torch.no_grad():
            stats = {"preference_accuracy": (margins > 0).float().sum(), "preference_margin": margins.sum()}
        return loss.sum() / batch.sequences_in_update, stats

    return loss_of
