"""Groups become samples, and rewards become advantages.

P groups, G completions per group, B = P·G sequences, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlvr.algorithms.advantages import GROUP_ADVANTAGES, TOKEN_ADVANTAGES, whitened
from rlvr.algorithms.algorithm import Algorithm
from rlvr.algorithms.kl import KL_ESTIMATORS
from rlvr.training.batching import grid
from rlvr.types import FloatArray, Group, Sample, read_only


@dataclass(frozen=True, slots=True)
class Measured:
    """Per-sample arrays [T] by name, measured before the first update of a step: `reference_logprobs`,
    `proximal_logprobs`, `values`; only what the row needs is there."""

    columns: Mapping[str, tuple[FloatArray, ...]]


def to_samples(groups: Sequence[Group], *, drop_truncated: bool) -> list[Sample]:
    """Joins prompt and completion of every completion, in group and sample order; advantages are 0 so far.

    Tokens of a completion without an outcome are not trainable: it leaves every denominator. With `drop_truncated`
    nor are those of a completion that the length limit cut.
    """
    return [_sample(group, index, drop_truncated) for group in groups for index in range(len(group.completions))]


def _sample(group: Group, index: int, drop_truncated: bool) -> Sample:
    completion = group.completions[index]
    prompt = len(group.prompt_ids)
    ids = np.concatenate([group.prompt_ids, completion.token_ids])
    learn = group.verdicts[index].outcome is not None and not (drop_truncated and completion.finish == "length")
    trainable = np.zeros(len(ids), dtype=np.bool_)
    trainable[prompt:] = completion.trainable & learn
    logprobs = np.zeros(len(ids), dtype=np.float32)
    logprobs[prompt:] = completion.logprobs
    nothing = read_only(np.zeros(len(ids)), np.float32)
    return Sample(
        token_ids=read_only(ids, np.int64),
        trainable=read_only(trainable, np.bool_),
        logprobs=read_only(logprobs, np.float32),
        advantages=nothing,
        returns=nothing,
        reward=group.rewards[index],
        group_id=group.draw_index,
        policy_version=completion.policy_version,
        domain=group.task.domain,
    )


def token_kl(samples: Sequence[Sample], row: Algorithm, measured: Measured) -> list[Tensor]:
    """Gives each sample's KL to the reference per token [T], float64, of the policy before the first update."""
    columns = measured.columns["proximal_logprobs"], measured.columns["reference_logprobs"]
    return [
        torch.where(
            torch.tensor(sample.trainable),
            KL_ESTIMATORS[row.kl_estimator](*(torch.tensor(values, dtype=torch.float64) for values in pair)),
            0.0,
        )
        for sample, *pair in zip(samples, *columns, strict=True)
    ]


def with_advantages(
    samples: Sequence[Sample],
    row: Algorithm,
    weights: Mapping[int, float],
    measured: Measured,
    *,
    kl_coefficient: float,
) -> list[Sample]:
    """Gives the samples with the row's advantages, times their group's weight, on their trainable tokens.

    The weight comes after the row's normalisation, which would undo that of a reward. A group without one, which the
    filter refused, has advantages of 0 and no part in whitening, and still counts in the update's denominators, unless
    another was drawn in its place. With a KL in the reward, `kl_coefficient` times it is taken off.
    Samples of one group must be neighbours, and all groups of one size.
    """
    if not samples:
        return []
    penalties = None
    if row.kl_place == "reward":
        penalties = [kl_coefficient * kl for kl in token_kl(samples, row, measured)]
    if row.per_completion and not row.whiten:
        return _weighed(samples, _against_the_group(samples, row, penalties).tolist(), weights)
    trainable = _grid([sample.trainable for sample in samples])
    if row.per_completion:
        advantages, returns = _against_the_group(samples, row, penalties)[:, None].expand_as(trainable), None
    else:
        advantages, returns = _forward_looking(samples, row, penalties, measured, trainable)
    if row.whiten:
        kept = torch.tensor([sample.group_id in weights for sample in samples])
        advantages = whitened(advantages, trainable & kept[:, None])
    lines = [line[: len(s.token_ids)].numpy() for s, line in zip(samples, advantages, strict=True)]
    found = _weighed(samples, lines, weights)
    if returns is None:
        return found
    return [
        replace(sample, returns=read_only(line[: len(sample.token_ids)].numpy(), np.float32))
        for sample, line in zip(found, returns, strict=True)
    ]


def _against_the_group(samples: Sequence[Sample], row: Algorithm, penalties: Sequence[Tensor] | None) -> Tensor:
    """Gives one advantage [B] per sample; a KL in the reward counts with its sum over the completion.

    The groups of a domain with cells of its own are compared with each other only.
    """
    size = sum(sample.group_id == samples[0].group_id for sample in samples)
    rewards = torch.tensor([sample.reward for sample in samples], dtype=torch.float64)
    if penalties is not None:
        rewards = rewards - torch.stack([penalty.sum() for penalty in penalties])
    rewards = rewards.reshape(-1, size)
    owners = [sample.domain if sample.domain in row.domains else "" for sample in samples[::size]]
    advantages = torch.zeros_like(rewards)
    for owner in dict.fromkeys(owners):
        its = torch.tensor([domain == owner for domain in owners])
        valid = ~rewards[its].isnan()
        advantages[its] = GROUP_ADVANTAGES[row.of(owner).advantage](rewards[its].nan_to_num(0.0), valid)
    return advantages.reshape(-1)


def _forward_looking(
    samples: Sequence[Sample],
    row: Algorithm,
    penalties: Sequence[Tensor] | None,
    measured: Measured,
    trainable: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gives the advantages [B, T] of tokens from what comes after them, and the returns; the reward is on the last."""
    rewards = torch.zeros(trainable.shape, dtype=torch.float64)
    if penalties is not None:
        rewards -= _grid([penalty.numpy() for penalty in penalties])
    for line, sample in zip(rewards, samples, strict=True):
        places = np.flatnonzero(sample.trainable)
        if len(places):
            line[places[-1]] += sample.reward
    values = torch.zeros_like(rewards)
    if row.needs_values:
        values = _grid([column.astype(np.float64) for column in measured.columns["values"]])
    numbers = {"gamma": row.gamma, **({"gae_lambda": row.gae_lambda} if row.advantage == "gae" else {})}
    advantages = TOKEN_ADVANTAGES[row.advantage](rewards, values, trainable, **numbers)
    return advantages, torch.where(trainable, advantages + values, 0.0)


def _weighed(
    samples: Sequence[Sample], advantages: Sequence[npt.ArrayLike], weights: Mapping[int, float]
) -> list[Sample]:
    """Gives the samples with these advantages, one number or [T] each, times their group's weight, where trainable."""
    weighed = [
        np.multiply(values, weights.get(sample.group_id, 0.0))
        for sample, values in zip(samples, advantages, strict=True)
    ]
    return [
        replace(sample, advantages=read_only(np.where(sample.trainable, values, 0.0), np.float32))
        for sample, values in zip(samples, weighed, strict=True)
    ]


def _grid(lines: Sequence[npt.NDArray[Any]]) -> Tensor:
    return torch.from_numpy(grid(lines, lines[0].dtype))
