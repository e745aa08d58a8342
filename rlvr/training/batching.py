"""Rows of different lengths become microbatches: padded to similar lengths, or packed into one row.

B sequences, T tokens. The denominators of the whole optimizer update travel with every microbatch, so that any split
gives the same gradient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlvr.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence: `token_ids` and `trainable` [T], and named per-token `columns` [T]."""

    token_ids: IntArray
    trainable: BoolArray
    columns: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass.

    Tensors are [B,T] (padded: one sequence a row; packed: B = 1). `sequence_tokens` holds for each token the number of
    trainable tokens of its own sequence. `rows` are the sequences' indices in the list that was batched, `lengths`
    their tokens. `tokens_in_update` and `sequences_in_update` are the denominators of the whole optimizer update.
    """

    token_ids: Tensor
    position_ids: Tensor
    trainable: Tensor
    sequence_tokens: Tensor
    columns: Mapping[str, Tensor]
    rows: tuple[int, ...]
    lengths: tuple[int, ...]
    packed: bool
    tokens_in_update: float
    sequences_in_update: int


def weighted_row(token_ids: IntArray, weights: npt.ArrayLike) -> Row:
    """Gives the row whose tokens are learned with these weights [T]; the first is not: nothing stands before it."""
    given = np.array(weights, dtype=np.float32)
    given[:1] = 0.0
    return Row(token_ids, given > 0, {"weights": given})


def make_batches(
    rows: Sequence[Row],
    *,
    microbatch_tokens: int,
    layout: str,
    device: torch.device,
    tokens_in_update: float,
    sequences_in_update: int,
    unit: int = 1,
) -> list[Batch]:
    """Splits rows into batches of at most `microbatch_tokens` tokens, longest first, ties in order.

    `unit` consecutive rows stay together (a preference pair: 2). A unit that is longer than the limit gets a batch of
    its own. layout is "padded" or "packed".
    """
    build = {"padded": _padded, "packed": _packed}[layout]
    assert not any(row.trainable[:1].any() for row in rows), "nothing predicts the first token of a sequence"
    lengths = np.array([len(row.token_ids) for row in rows], dtype=np.int64).reshape(-1, unit)
    order = np.argsort(-lengths.max(axis=1), kind="stable")
    batches: list[Batch] = []
    chosen: list[int] = []
    width = used = 0
    for index in order:
        longest, total = int(lengths[index].max()), int(lengths[index].sum())
        cost = (len(chosen) + 1) * unit * max(width, longest) if layout == "padded" else used + total
        if chosen and cost > microbatch_tokens:
            batches.append(build(rows, chosen, unit, device, tokens_in_update, sequences_in_update))
            chosen, width, used = [], 0, 0
        chosen.append(int(index))
        width, used = max(width, longest), used + total
    if chosen:
        batches.append(build(rows, chosen, unit, device, tokens_in_update, sequences_in_update))
    return batches


def _members(chosen: Sequence[int], unit: int) -> list[int]:
    return [index * unit + offset for index in chosen for offset in range(unit)]


def _padded(
    rows: Sequence[Row], chosen: Sequence[int], unit: int, device: torch.device, tokens: float, sequences: int
) -> Batch:
    members = _members(chosen, unit)
    lengths = tuple(len(rows[m].token_ids) for m in members)
    shape = (len(members), max(lengths))

    def fill(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> Tensor:
        grid = np.zeros(shape, dtype=dtype)
        for line, part in zip(grid, parts, strict=True):
            line[: len(part)] = part
        return torch.from_numpy(grid).to(device)

    counts = [np.full(len(rows[m].token_ids), rows[m].trainable.sum()) for m in members]
    return Batch(
        token_ids=fill([rows[m].token_ids for m in members], np.int64),
        position_ids=torch.arange(shape[1], device=device).expand(shape),
        trainable=fill([rows[m].trainable for m in members], np.bool_),
        sequence_tokens=fill(counts, np.float32),
        columns={name: fill([rows[m].columns[name] for m in members], np.float32) for name in rows[members[0]].columns},
        rows=tuple(members),
        lengths=lengths,
        packed=False,
        tokens_in_update=tokens,
        sequences_in_update=sequences,
    )


def _packed(
    rows: Sequence[Row], chosen: Sequence[int], unit: int, device: torch.device, tokens: float, sequences: int
) -> Batch:
    members = _members(chosen, unit)
    lengths = tuple(len(rows[m].token_ids) for m in members)

    def join(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype))[None].to(device)

    counts = [np.full(len(rows[m].token_ids), rows[m].trainable.sum()) for m in members]
    return Batch(
        token_ids=join([rows[m].token_ids for m in members], np.int64),
        position_ids=join([np.arange(length) for length in lengths], np.int64),
        trainable=join([rows[m].trainable for m in members], np.bool_),
        sequence_tokens=join(counts, np.float32),
        columns={name: join([rows[m].columns[name] for m in members], np.float32) for name in rows[members[0]].columns},
        rows=tuple(members),
        lengths=lengths,
        packed=True,
        tokens_in_update=tokens,
        sequences_in_update=sequences,
    )


def per_sequence(batch: Batch, values: Tensor) -> list[Tensor]:
    """Gives the values [B,T] of each sequence without padding, in the order of `batch.rows`."""
    if batch.packed:
        return list(torch.split(values[0], list(batch.lengths)))
    return [line[:length] for line, length in zip(values, batch.lengths, strict=True)]


def sequence_sums(batch: Batch, values: Tensor) -> Tensor:
    """Gives the sum of the values [B,T] over each sequence; they must be 0 where they do not count."""
    if batch.packed:
        return torch.stack([part.sum() for part in per_sequence(batch, values)])
    return values.sum(dim=-1)
