"""Length bias: how much each aggregation makes a token count by how long its completion is, right and wrong apart.

A step is taken as one update over all of its completions. N completions, K bins of length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlvr.algorithms.advantages import GROUP_ADVANTAGES, whitened
from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.algorithm import Algorithm
from rlvr.errors import DataError

BINS = 5
WINDOWS = 20
SIDES = ("right", "wrong")

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Completions:
    """What is known of the N completions of a run's training rollouts that have an outcome.

    `step` and `group` number their step and prompt, `tokens` are those that can be trained, `right` says whether the
    task is solved, `reward` is what the advantage reads. `learned` is False for those that are in no update and yet
    in their group's baseline, `kept` for those whose group has no advantage, and counts all the same.
    """

    step: Numbers
    group: Numbers
    tokens: Numbers
    right: Numbers
    reward: Numbers
    learned: Numbers
    kept: Numbers


@dataclass(frozen=True, slots=True)
class LengthReport:
    """Length and what it weighs, by bin of length; each side ("right", "wrong") has K numbers, NaN for an empty bin.

    `bins` are the shortest and longest completion of each; `counts` how many there are. `weights` has for every
    aggregation the mean weight of a token, in units of the run's mean over all tokens. `shares` has what part of all
    that pushes the tokens of a side, |advantage| · weight, falls into each bin; all NaN where nothing does.
    `windows` are the last steps, counted from 1, of equal parts of the run; `lengths` is each side's mean there.
    """

    own: str
    bins: tuple[tuple[int, int], ...]
    counts: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, Mapping[str, tuple[float, ...]]]
    shares: Mapping[str, Mapping[str, tuple[float, ...]]]
    windows: tuple[int, ...]
    lengths: Mapping[str, tuple[float, ...]]


def length_report(found: Completions, row: Algorithm, *, max_completion_tokens: int) -> LengthReport:
    """Gives the report of a run with that row.

    Where the row's advantage is one per token, the reward minus the group's mean stands for it. Where one per
    completion is whitened over the step's tokens it is so here, and groups without a signal push too. Raises
    DataError where there are no completions.
    """
    if not found.learned.any():
        raise DataError("no completion that is learned from, so no length to analyse")
    pull = np.where(found.kept, np.abs(_advantages(found, row)), 0.0)[found.learned]
    found = Completions(**{item.name: getattr(found, item.name)[found.learned] for item in fields(found)})
    highest = np.unique(np.quantile(found.tokens, np.linspace(0, 1, BINS + 1)[1:], method="nearest"))
    place, num_bins = np.searchsorted(highest, found.tokens), len(highest)
    sides = {"right": found.right, "wrong": ~found.right}
    members = {side: [mask & (place == k) for k in range(num_bins)] for side, mask in sides.items()}
    weights, shares = {}, {}
    for name in AGGREGATIONS:
        weight = _weights(found, name, max_completion_tokens)
        weight = weight * found.tokens.sum() / (weight * found.tokens).sum()
        weights[name] = {side: tuple(_mean(weight[m]) for m in bins) for side, bins in members.items()}
        push = pull * weight * found.tokens
        shares[name] = {side: _shares([float(push[m].sum()) for m in bins]) for side, bins in members.items()}
    windows = np.array_split(np.unique(found.step), min(WINDOWS, len(np.unique(found.step))))
    inside = [(found.step >= part[0]) & (found.step <= part[-1]) for part in windows]
    return LengthReport(
        own=row.aggregation,
        bins=tuple(_ends(found.tokens[place == k]) for k in range(num_bins)),
        counts={side: tuple(int(m.sum()) for m in bins) for side, bins in members.items()},
        weights=weights,
        shares=shares,
        windows=tuple(int(part[-1]) + 1 for part in windows),
        lengths={side: tuple(_mean(found.tokens[mask & m]) for m in inside) for side, mask in sides.items()},
    )


def _weights(found: Completions, aggregation: str, max_completion_tokens: int) -> Numbers:
    """Gives the weight of one token of each completion [N] in its step's update."""
    weights = np.zeros(len(found.tokens))
    for step in np.unique(found.step):
        inside = found.step == step
        tokens = torch.from_numpy(found.tokens[inside])[:, None]
        weights[inside] = AGGREGATIONS[aggregation](
            torch.ones_like(tokens, dtype=torch.float64),
            tokens,
            tokens_in_update=max(1, int(tokens.sum())),
            sequences_in_update=len(tokens),
            max_completion_tokens=max_completion_tokens,
        )[:, 0].numpy()
    return weights


def _advantages(found: Completions, row: Algorithm) -> Numbers:
    """Gives the advantage of each completion [N] against its group, those of a step at once."""
    advantage = GROUP_ADVANTAGES[row.advantage if row.per_completion else "centred"]
    advantages = np.zeros(len(found.reward))
    for step in np.unique(found.step):
        inside = np.flatnonzero(found.step == step)
        groups = [inside[found.group[inside] == group] for group in np.unique(found.group[inside])]
        rewards = torch.full((len(groups), max(map(len, groups))), torch.nan, dtype=torch.float64)
        for line, members in zip(rewards, groups, strict=True):
            line[: len(members)] = torch.from_numpy(found.reward[members])
        given = advantage(rewards.nan_to_num(0.0), ~rewards.isnan())
        for line, members in zip(given, groups, strict=True):
            advantages[members] = line[: len(members)].numpy()
    return _whitened(found, advantages) if row.per_completion and row.whiten else advantages


def _whitened(found: Completions, advantages: Numbers) -> Numbers:
    """Gives the advantages [N] whitened over the tokens of their step, each as many times as it has tokens."""
    white = np.zeros(len(advantages))
    for step in np.unique(found.step):
        inside = np.flatnonzero((found.step == step) & found.learned & found.kept)
        tokens = torch.from_numpy(found.tokens[inside])[:, None]
        there = torch.arange(int(tokens.max()) if len(inside) else 1)[None] < tokens
        each = torch.from_numpy(advantages[inside])[:, None].expand_as(there)
        white[inside] = whitened(each, there)[:, 0].numpy()
    return white


def _shares(sums: list[float]) -> tuple[float, ...]:
    total = sum(sums)
    return tuple(part / total if total else float("nan") for part in sums)


def _mean(values: Numbers) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ends(values: Numbers) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if len(values) else (0, 0)
