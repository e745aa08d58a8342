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

    Tensors are [B,T] (padded: one sequence a row; packed: B = 1). `sequence_ids` numbers the sequences of this batch
    from 0, `sequence_tokens` holds for each token the number of trainable tokens of its own sequence. `rows` are the
    sequences' indices in the list that was batched, `lengths` their tokens. `tokens_in_update` and
    `sequences_in_update` are the denominators of the whole optimizer update.
    """

    token_ids: Tensor
    position_ids: Tensor
    trainable: Tensor
    sequence_ids: Tensor
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
    assert not any(row.trainable[:1].any() for row in rows), "nothing predicts the first token of a sequence"
    return [
        _build(rows, members, layout, device, tokens_in_update, sequences_in_update)
        for members in _split(rows, microbatch_tokens, layout, unit)
    ]


def _split(rows: Sequence[Row], microbatch_tokens: int, layout: str, unit: int) -> list[list[int]]:
    """Gives the row indices of each batch."""
    lengths = np.array([len(row.token_ids) for row in rows], dtype=np.int64).reshape(-1, unit)
    split: list[list[int]] = []
    width = used = 0
    for index in np.argsort(-lengths.max(axis=1), kind="stable"):
        longest, total = int(lengths[index].max()), int(lengths[index].sum())
        full = (
            not split
            or ((len(split[-1]) + unit) * max(width, longest) if layout == "padded" else used + total)
            > microbatch_tokens
        )
        if full:
            split.append([])
            width = used = 0
        split[-1] += [int(index) * unit + offset for offset in range(unit)]
        width, used = max(width, longest), used + total
    return split


def _build(
    rows: Sequence[Row],
    members: Sequence[int],
    layout: str,
    device: torch.device,
    tokens_in_update: float,
    sequences_in_update: int,
) -> Batch:
    lengths = tuple(len(rows[m].token_ids) for m in members)
    join = {"padded": grid, "packed": _line}[layout]

    def tensor(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> Tensor:
        return torch.from_numpy(join(parts, dtype)).to(device)

    # On padding, positions go on: a position that restarts would begin another packed sequence.
    positions = [np.arange(max(lengths) if layout == "padded" else length) for length in lengths]
    return Batch(
        token_ids=tensor([rows[m].token_ids for m in members], np.int64),
        position_ids=tensor(positions, np.int64),
        trainable=tensor([rows[m].trainable for m in members], np.bool_),
        sequence_ids=tensor([np.full(length, place) for place, length in enumerate(lengths)], np.int64),
        sequence_tokens=tensor(
            [np.full(length, rows[m].trainable.sum()) for m, length in zip(members, lengths, strict=True)], np.float32
        ),
        columns={
            name: tensor([rows[m].columns[name] for m in members], np.float32) for name in rows[members[0]].columns
        },
        rows=tuple(members),
        lengths=lengths,
        packed=layout == "packed",
        tokens_in_update=tokens_in_update,
        sequences_in_update=sequences_in_update,
    )


def grid(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    """Gives all parts in one [B, T], one row each, filled up with zeros."""
    rows = np.zeros((len(parts), max(len(part) for part in parts)), dtype=dtype)
    for line, part in zip(rows, parts, strict=True):
        line[: len(part)] = part
    return rows


def _line(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    """All in one row, one after the other."""
    return np.concatenate(parts).astype(dtype)[None]


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
