"""Groups become samples, and rewards become advantages.

P groups, G completions per group, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from rlvr.algorithms.advantages import ADVANTAGES
from rlvr.algorithms.presets import Algorithm
from rlvr.types import Group, Sample, read_only


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
    return Sample(
        token_ids=read_only(ids, np.int64),
        trainable=read_only(trainable, np.bool_),
        logprobs=read_only(logprobs, np.float32),
        advantages=read_only(np.zeros(len(ids)), np.float32),
        reward=group.rewards[index],
        group_id=group.draw_index,
        policy_version=completion.policy_version,
    )


def with_advantages(samples: Sequence[Sample], row: Algorithm, weights: Mapping[int, float]) -> list[Sample]:
    """Gives the samples with each group's advantages, times its weight, on their trainable tokens; 0 without a weight.

    The weight comes after the row's normalisation, which would undo that of a reward. A group without one, which the
    filter refused, still counts in the update's denominators, unless another was drawn in its place.
    Samples of one group must be neighbours, and all groups of one size.
    """
    if not samples:
        return []
    size = sum(sample.group_id == samples[0].group_id for sample in samples)
    rewards = torch.tensor([sample.reward for sample in samples], dtype=torch.float64).reshape(-1, size)
    valid = ~rewards.isnan()
    advantages = ADVANTAGES[row.advantage](rewards.nan_to_num(0.0), valid).reshape(-1).tolist()
    weighed = [
        value * weights[sample.group_id] if sample.group_id in weights else 0.0
        for sample, value in zip(samples, advantages, strict=True)
    ]
    return [
        replace(sample, advantages=read_only(np.where(sample.trainable, value, 0.0), np.float32))
        for sample, value in zip(samples, weighed, strict=True)
    ]
