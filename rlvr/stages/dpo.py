"""Direct preference optimisation, on given pairs or on pairs that a verifier made from the policy's own samples."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlvr import keyed
from rlvr.algorithms.preference import PREFERENCE_LOSSES, nll_term
from rlvr.config.schema import DpoConfig, RewardModelConfig
from rlvr.data.chat import encode_completion
from rlvr.data.stream import Draw
from rlvr.errors import DataError
from rlvr.models.logprobs import token_logprobs
from rlvr.runs.folder import Run
from rlvr.stages.parts import Checkpoint, Parts, domains_of, sample_groups, usable_tasks
from rlvr.stages.supervised import fitting, longest_sequence, train_supervised
from rlvr.training.batching import Batch, Row, sequence_sums
from rlvr.training.intake import Intake
from rlvr.training.learner import measure_logprobs
from rlvr.training.rollout import MAX_UNSCORED_RATE, refuse_unscored
from rlvr.training.update import LossFunction
from rlvr.types import Group, Preference

PAIRS_FILE = "pairs.json"


def dpo(parts: Parts, config: DpoConfig, run: Run) -> Checkpoint:
    """Trains the policy to prefer `chosen` over `rejected`, relative to the weights that the stage began with."""
    pairs = preference_pairs(parts, config, run)
    items: list[tuple[Row, ...]] = [pair_rows(parts.tokenizer, pair) for pair in pairs]
    items = fitting(items, max_length=longest_sequence(parts, config), what="preference pair", run=run)
    items = _with_reference(parts, config, items)
    return train_supervised(parts, run, items, config, preference_loss(parts.policy, config), domains_of(pairs))


def preference_loss(model: Any, config: DpoConfig) -> LossFunction:
    """Gives the DPO loss of a batch whose rows are chosen, rejected, chosen, rejected, …, averaged over all pairs."""

    def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        found = token_logprobs(model, batch.token_ids, batch.position_ids, batch.trainable)
        sums = sequence_sums(batch, found.logprobs)
        tokens = sequence_sums(batch, batch.trainable.float())
        # The difference per token is small; that of two long sums would lose digits.
        ratios = sequence_sums(batch, found.logprobs - batch.columns["reference_logprobs"])
        loss, margins = PREFERENCE_LOSSES[config.loss](
            ratios[0::2], ratios[1::2], tokens[0::2], tokens[1::2], beta=config.beta
        )
        loss = loss + nll_term(sums[0::2], tokens[0::2], nll_coefficient=config.nll_coefficient)
        with torch.no_grad():
            stats = {"preference_accuracy": (margins > 0).float().sum(), "preference_margin": margins.sum()}
        return loss.sum() / batch.sequences_in_update, stats

    return loss_of


def preference_pairs(parts: Parts, config: DpoConfig | RewardModelConfig, run: Run) -> list[Preference]:
    """Gives the preferences to learn from: those of the data, or the policy's own."""
    return parts.load("preference", config.data) if config.pairs == "data" else policy_pairs(parts, config, run)


def policy_pairs(parts: Parts, config: DpoConfig | RewardModelConfig, run: Run) -> list[Preference]:
    """Gives one pair, right against wrong, for each task on which the policy's own samples differ.

    Which right and which wrong completion is a keyed draw. The pairs are stored in the run, so that a resumed stage
    uses the same ones; all samples are stored as rollouts.
    """
    sampling_run = run.child("pairs")
    if (sampling_run.path / PAIRS_FILE).exists():
        stored = sampling_run.read_json(PAIRS_FILE)["pairs"]
        return [Preference(**{**pair, "messages": tuple(pair["messages"])}) for pair in stored]
    sampling_run.rewind(0)
    intake = usable_tasks(parts, parts.load("task", config.data), config.max_completion_tokens)
    with sampling_run.step(0) as record:
        groups = _sampled(parts, config, intake)
        record.rollouts(groups, split="pairs")
        refuse_unscored(groups, MAX_UNSCORED_RATE)
    pairs = [_pair(group, parts.seed) for group in groups if group.informative]
    if not pairs:
        raise DataError(
            f"no preference pair: on none of {len(groups)} tasks were the policy's {config.group_size} samples "
            "partly right and partly wrong",
            hint='easier tasks, a larger group_size, or pairs = "data"',
        )
    sampling_run.write_json(PAIRS_FILE, {"pairs": [_plain(pair) for pair in pairs], "tasks": len(groups)})
    return pairs


def _sampled(parts: Parts, config: DpoConfig | RewardModelConfig, intake: Intake) -> list[Group]:
    return sample_groups(
        parts,
        parts.make_engine(intake.longest_prompt + config.max_completion_tokens),
        [Draw(index, task) for index, task in enumerate(intake.tasks)],
        intake.prompts,
        group_size=config.group_size,
        temperature=1.0,
        max_completion_tokens=config.max_completion_tokens,
        seed=parts.seed,
        purpose="pairs",
    )


def _pair(group: Group, seed: int) -> Preference:
    solved = [v.outcome is not None and v.outcome >= group.task.threshold for v in group.verdicts]
    right = [c for c, ok in zip(group.completions, solved, strict=True) if ok]
    wrong = [
        c
        for c, ok, v in zip(group.completions, solved, group.verdicts, strict=True)
        if not ok and v.outcome is not None
    ]
    pick = keyed.uniform(seed, "pairs/pick", group.draw_index, [0, 1])
    return Preference(
        id=group.task.id,
        messages=group.task.messages,
        chosen=right[int(pick[0] * len(right))].text,
        rejected=wrong[int(pick[1] * len(wrong))].text,
        domain=group.task.domain,
    )


def _plain(pair: Preference) -> dict[str, Any]:
    return {
        "id": pair.id,
        "messages": json.loads(json.dumps([dict(message) for message in pair.messages])),
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "domain": pair.domain,
    }


def pair_rows(tokenizer: Any, pair: Preference) -> tuple[Row, Row]:
    """Gives the prompt with the chosen completion, and with the rejected one; only the completion is trainable."""
    chosen, rejected = (encode_completion(tokenizer, pair.messages, text) for text in (pair.chosen, pair.rejected))
    return Row(*chosen), Row(*rejected)


def _with_reference(parts: Parts, config: DpoConfig, items: Sequence[tuple[Row, ...]]) -> list[tuple[Row, ...]]:
    """Measures the reference's log-probabilities once, before training."""
    rows = [row for item in items for row in item]
    measured = measure_logprobs(
        parts.make_reference(),
        rows,
        temperature=1.0,
        microbatch_tokens=config.microbatch_tokens,
        layout=config.batching,
        dtype=parts.dtype,
    )
    ready = [
        Row(row.token_ids, row.trainable, {"reference_logprobs": logprobs})
        for row, logprobs in zip(rows, measured, strict=True)
    ]
    return list(zip(ready[0::2], ready[1::2], strict=True))
