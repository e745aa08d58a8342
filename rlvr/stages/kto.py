"""KTO: preference tuning on single completions that are desirable or not.

Its baseline is the policy's mean log-ratio on mismatched completions, under prompts that are not theirs. It is measured
on the whole update before the first microbatch, so that any split of the update gives the same gradient.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvr import keyed
from rlvr.algorithms.preference import kl_baseline
from rlvr.algorithms.preference import kto as kto_of
from rlvr.config.supervised import DpoConfig
from rlvr.errors import DataError
from rlvr.models.logprobs import token_logprobs
from rlvr.runs.folder import Run
from rlvr.stages.pairs import Labelled, halves, policy_completions, row_of, with_reference
from rlvr.stages.parts import Checkpoint, Parts, domains_of
from rlvr.stages.supervised import UpdateLoss, longest_sequence, train_supervised, which_fit
from rlvr.training.batching import Batch, Row, sequence_sums
from rlvr.training.measure import measure
from rlvr.training.update import LossFunction
from rlvr.types import IntArray

PARTNER_DRAWS = 16


def kto(parts: Parts, config: DpoConfig, run: Run) -> Checkpoint:
    """Trains the policy towards desirable completions and away from undesirable ones.

    From data, each preference gives one of each; from the policy, all its verified samples are used.
    """
    from_data = config.pairs == "data"
    given = halves(parts.load("preference", config.data)) if from_data else policy_completions(parts, config, run)
    max_length = longest_sequence(parts, config)
    rows = [row_of(parts.tokenizer, item.messages, item.completion) for item in given]
    kept = which_fit([(row,) for row in rows], max_length=max_length, what="completion", run=run)
    given = [given[index] for index in kept]
    desirable = [item.desirable for item in given]
    run.event("completions", desirable=sum(desirable), undesirable=len(desirable) - sum(desirable))
    if sum(desirable) in (0, len(desirable)):
        raise DataError(
            f"kto learns from completions of two kinds, and {sum(desirable)} of {len(desirable)} are desirable",
            hint='tasks of another difficulty, a larger group_size, or pairs = "data"',
        )
    mismatched = mismatched_rows(parts.tokenizer, given, seed=parts.seed, max_length=max_length)
    places = [index for index, row in enumerate(mismatched) if row is not None]
    own = [rows[index] for index in kept]
    ready = with_reference(parts, config, [*own, *(row for row in mismatched if row is not None)])
    others = dict(zip(places, ready[len(own) :], strict=True))
    loss = kto_loss(
        parts.policy,
        config,
        desirable=desirable,
        mismatched=[others.get(index) for index in range(len(own))],
        dtype=parts.dtype,
    )
    items = [(row,) for row in ready[: len(own)]]
    # Right and wrong completions often differ in length: updates of similar lengths would be of one kind.
    return train_supervised(parts, run, items, config, loss, domains_of(given), mixed=True)


def mismatched_rows(tokenizer: Any, given: Sequence[Labelled], *, seed: int, max_length: int) -> list[Row | None]:
    """Gives each item's prompt with the completion of another prompt, the same one throughout the stage.

    It is the first of PARTNER_DRAWS keyed draws that fits; None where none does. Raises DataError where none is found
    for any item.
    """
    draws = keyed.integers(
        seed, "kto/mismatch", len(given), np.arange(len(given))[:, None], np.arange(PARTNER_DRAWS)[None]
    )

    def partner(index: int) -> Row | None:
        for other in draws[index]:
            if given[other].messages != given[index].messages:
                row = row_of(tokenizer, given[index].messages, given[other].completion)
                if len(row.token_ids) <= max_length and row.trainable.any():
                    return row
        return None

    found = [partner(index) for index in range(len(given))]
    if all(row is None for row in found):
        raise DataError(
            f"kto's baseline needs completions under other prompts, and of {len(given)} none fits under another one",
            hint="give items with different prompts, or raise max_length",
        )
    return found


def kto_loss(
    model: Any, config: DpoConfig, *, desirable: Sequence[bool], mismatched: Sequence[Row | None], dtype: str
) -> UpdateLoss:
    """Gives the KTO loss of each update, averaged over its completions. `mismatched` is that of `mismatched_rows`,
    with `reference_logprobs`, as the rows of the batches have them.
    """
    labels = torch.tensor(desirable, device=model.device)

    def of_update(items: IntArray) -> LossFunction:
        others = [row for index in items if (row := mismatched[index]) is not None]
        baseline = _measured_baseline(model, others, config, dtype)
        mine = labels[torch.from_numpy(np.asarray(items)).to(model.device)]

        def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            found = token_logprobs(model, batch.token_ids, batch.position_ids, batch.trainable)
            ratios = sequence_sums(batch, found.logprobs - batch.columns["reference_logprobs"])
            loss, margins = kto_of(
                ratios,
                mine[list(batch.rows)],
                baseline=baseline,
                beta=config.beta,
                desirable_weight=config.desirable_weight,
                undesirable_weight=config.undesirable_weight,
            )
            with torch.no_grad():
                stats = {
                    "preference_accuracy": (margins > 0).float().sum(),
                    "preference_margin": margins.sum(),
                    "kl_baseline": torch.full_like(margins, baseline).sum(),
                }
            return loss.sum() / batch.sequences_in_update, stats

        return loss_of

    return of_update


def _measured_baseline(model: Any, rows: Sequence[Row], config: DpoConfig, dtype: str) -> float:
    def read(batch: Batch) -> Tensor:
        found = token_logprobs(model, batch.token_ids, batch.position_ids, batch.trainable)
        return found.logprobs - batch.columns["reference_logprobs"]

    measured = measure(
        model, rows, read, microbatch_tokens=config.microbatch_tokens, layout=config.batching, dtype=dtype
    )
    sums = [sequence_sums(batch, values) for batch, values in measured]
    return kl_baseline(torch.cat(sums)) if sums else 0.0
