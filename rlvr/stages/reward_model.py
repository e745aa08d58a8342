"""A reward model from preferences: the policy's trunk with a head that learns to score the chosen completion higher.

Its checkpoint is no policy: the stage after it goes on with the weights from before it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvr import keyed
from rlvr.algorithms.reward import bradley_terry, centring_term
from rlvr.config.supervised import RewardModelConfig
from rlvr.data.split import problem_hash, problem_of
from rlvr.errors import DataError, TrainingError
from rlvr.models.heads import create_value_model, load_value_model, token_values
from rlvr.runs.folder import Run
from rlvr.runs.publish import latest_whole
from rlvr.stages.pairs import pair_rows, preference_pairs
from rlvr.stages.parts import Checkpoint, Parts
from rlvr.stages.supervised import longest_sequence, train_supervised, which_fit
from rlvr.statistics.intervals import Interval, rate_interval
from rlvr.training.batching import Batch, Row, sequence_sums
from rlvr.training.reward_scores import measure_rewards, scored_row
from rlvr.training.update import LossFunction
from rlvr.types import Preference

PAIRWISE = "pairwise"
"""The run inside the stage's that holds pairwise accuracy: before training as step 0, after it as step 1."""
TIMES = ("before", "after")


@dataclass(frozen=True, slots=True)
class PairwiseAccuracy:
    """How often the chosen completion of a held-out pair gets the higher reward; equal rewards count half.

    `accuracy` is over prompts, each with the share of its pairs; `margin` the mean of chosen minus rejected reward.
    """

    num_pairs: int
    num_prompts: int
    accuracy: Interval
    margin: float


def reward_model(parts: Parts, config: RewardModelConfig, run: Run) -> Checkpoint:
    """Trains a reward model from the policy's weights; pairwise accuracy is measured before and after."""
    given = preference_pairs(parts, config, run)
    rows = [_scored(parts.tokenizer, pair) for pair in given]
    kept = which_fit(rows, max_length=longest_sequence(parts, config), what="preference pair", run=run)
    pairs = [(given[index], rows[index]) for index in kept]
    out = held_out([pair for pair, _ in pairs], config.held_out_share)
    measured = [pair for pair, is_out in zip(pairs, out, strict=True) if is_out]
    items = [row for (_, row), is_out in zip(pairs, out, strict=True) if not is_out]
    model = _model(parts, run)
    own = replace(parts, policy=model)
    _measure(own, config, run, "before", measured)
    loss = reward_loss(model, config)
    made = train_supervised(own, run, items, config, lambda _: loss, domains=())
    _measure(own, config, run, "after", measured)
    return made


def reward_loss(model: Any, config: RewardModelConfig) -> LossFunction:
    """Gives the loss of a batch whose rows are chosen, rejected, chosen, rejected, …, averaged over all pairs.

    A row's reward is read at its one trainable token.
    """

    def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        values = token_values(model, batch.token_ids, batch.position_ids, batch.trainable)
        rewards = sequence_sums(batch, values)
        chosen, rejected = rewards[0::2], rewards[1::2]
        loss = bradley_terry(chosen, rejected, margin=config.margin)
        loss = loss + centring_term(chosen, rejected, centring_coefficient=config.centring_coefficient)
        with torch.no_grad():
            stats = {
                "pairwise_accuracy": _wins(chosen - rejected).sum(),
                "reward_margin": (chosen - rejected).sum(),
                "reward_mean": (chosen + rejected).sum() / 2,
            }
        return loss.sum() / batch.sequences_in_update, stats

    return loss_of


def held_out(pairs: Sequence[Preference], share: float) -> list[bool]:
    """Says for each pair whether it is held out: by the hash of its prompt alone, so that no prompt is on both sides.

    The same prompts at every seed, and with them more at a larger share. Raises DataError where that leaves no pair
    to train on, or none to measure on although a share was asked for.
    """
    hashes = [int(problem_hash(problem_of(pair.messages))[:13], 16) for pair in pairs]
    out = [bool(value < share) for value in keyed.uniform(0, "reward_model/held_out", np.array(hashes, dtype=np.int64))]
    if all(out) or (share > 0 and not any(out)):
        side = "trained on" if all(out) else "held out"
        raise DataError(
            f"held_out_share = {share:g} leaves no pair to be {side}, of {len(pairs)} pairs of "
            f"{len(set(hashes))} prompts",
            hint="more pairs, another held_out_share, or 0 to measure nothing",
        )
    return out


def read_accuracy(run: Run) -> dict[str, PairwiseAccuracy]:
    """Gives what the stage measured by now, by time ("before", "after"); empty where nothing was held out."""
    return {
        time: _read(run.child(PAIRWISE), time) for time in TIMES if (run.path / PAIRWISE / f"{time}.json").is_file()
    }


def accuracy_line(found: dict[str, PairwiseAccuracy]) -> str:
    """Gives pairwise accuracy before and after as one line for people."""
    first = next(iter(found.values()))
    rates = ", ".join(
        f"{100 * accuracy.mean:.1f}% [{100 * accuracy.low:.0f}, {100 * accuracy.high:.0f}] {time}"
        for time, accuracy in ((time, one.accuracy) for time, one in found.items())
    )
    return f"pairwise accuracy on {first.num_pairs} held-out pairs of {first.num_prompts} prompts: {rates}"


def _scored(tokenizer: Any, pair: Preference) -> tuple[Row, ...]:
    """The reward is read at the last trainable token, which is the completion's stop token."""
    return tuple(
        scored_row(row.token_ids, int(np.flatnonzero(row.trainable)[-1])) for row in pair_rows(tokenizer, pair)
    )


def _model(parts: Parts, run: Run) -> Any:
    """Gives the reward model of the run's last whole checkpoint, or a new one from the policy's weights."""
    device = parts.policy.device
    if found := latest_whole(run.checkpoints):
        model = load_value_model(found[0], tokenizer=parts.tokenizer, device=device)
    else:
        model = create_value_model(parts.origin, head="drawn", seed=parts.seed, device=device)
    if parts.policy.is_activation_checkpointing:
        model.activation_checkpointing_enable()
    return model


def _measure(
    parts: Parts,
    config: RewardModelConfig,
    run: Run,
    time: str,
    pairs: Sequence[tuple[Preference, tuple[Row, ...]]],
) -> None:
    """Measures pairwise accuracy, once per run."""
    if not pairs or time in read_accuracy(run):
        return
    place, step = run.child(PAIRWISE), TIMES.index(time)
    place.rewind(step)
    with place.step(step) as record:
        rewards = measure_rewards(
            parts.policy,
            [row for _, rows in pairs for row in rows],
            microbatch_tokens=config.microbatch_tokens,
            layout=config.batching,
            dtype=parts.dtype,
        )
        found = accuracy_of([pair for pair, _ in pairs], rewards[0::2], rewards[1::2])
        record.metrics({"eval/pairwise_accuracy": found.accuracy.mean, "eval/reward_margin": found.margin})
    place.write_json(f"{time}.json", asdict(found))


def accuracy_of(
    pairs: Sequence[Preference], chosen_rewards: Sequence[float], rejected_rewards: Sequence[float]
) -> PairwiseAccuracy:
    """Gives pairwise accuracy from the rewards of each pair. Raises TrainingError for a reward that is not finite."""
    differences = np.asarray(chosen_rewards, dtype=np.float64) - np.asarray(rejected_rewards, dtype=np.float64)
    for pair, difference in zip(pairs, differences.tolist(), strict=True):
        if not math.isfinite(difference):
            raise TrainingError(
                f"the reward model gave no finite number for the held-out pair {pair.id!r}",
                hint="lower optimizer.learning_rate, or train in model.dtype=float32",
            )
    wins: dict[str, list[float]] = {}
    for pair, win in zip(pairs, _wins(torch.from_numpy(differences)).tolist(), strict=True):
        wins.setdefault(problem_hash(problem_of(pair.messages)), []).append(win)
    rates = [sum(found) / len(found) for found in wins.values()]
    return PairwiseAccuracy(len(pairs), len(rates), rate_interval(rates), float(differences.mean()))


def _wins(differences: Tensor) -> Tensor:
    """1 where the chosen completion has the higher reward, 1/2 where both have the same."""
    return (differences.sign() + 1) / 2


def _read(place: Run, time: str) -> PairwiseAccuracy:
    stored = place.read_json(f"{time}.json")
    return PairwiseAccuracy(**{**stored, "accuracy": Interval(**stored["accuracy"])})
