"""Rows become batches: each row once, units together, within the budget, nothing else in them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.training.batching import Row, make_batches, per_sequence, sequence_sums, weighted_row

CPU = torch.device("cpu")


def row(length, first_token=0):
    trainable = np.arange(length) % 3 != 0
    return Row(np.arange(first_token, first_token + length), trainable, {"value": np.arange(length, dtype=np.float32)})


def batches_of(rows, *, budget, layout, unit=1):
    return make_batches(
        rows,
        microbatch_tokens=budget,
        layout=layout,
        device=CPU,
        tokens_in_update=11,
        sequences_in_update=3,
        unit=unit,
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(2, 30), min_size=1, max_size=12).map(lambda some: some + some[: len(some) % 2]),
    st.integers(64, 200),
    st.sampled_from(["padded", "packed"]),
    st.sampled_from([1, 2]),
)
def test_every_row_is_in_one_batch_with_its_unit_and_within_the_budget(lengths, budget, layout, unit):
    rows = [row(length, 100 * i) for i, length in enumerate(lengths)]
    batches = batches_of(rows, budget=budget, layout=layout, unit=unit)
    seen = [index for batch in batches for index in batch.rows]
    assert sorted(seen) == list(range(len(rows)))
    for batch in batches:
        assert batch.token_ids.numel() <= budget or len(batch.rows) == unit
        firsts = batch.rows[::unit]
        assert all(first % unit == 0 for first in firsts)
        assert batch.rows == tuple(first + offset for first in firsts for offset in range(unit))
        longest = [max(lengths[first : first + unit]) for first in firsts]
        assert longest == sorted(longest, reverse=True)
        for index, ids, mask, value in zip(
            batch.rows,
            per_sequence(batch, batch.token_ids),
            per_sequence(batch, batch.trainable),
            per_sequence(batch, batch.columns["value"]),
            strict=True,
        ):
            assert ids.tolist() == rows[index].token_ids.tolist()
            assert mask.tolist() == rows[index].trainable.tolist()
            assert value.tolist() == rows[index].columns["value"].tolist()
        assert int(batch.trainable.sum()) == sum(int(rows[i].trainable.sum()) for i in batch.rows)


def test_a_padded_batch_by_hand():
    (batch,) = batches_of([row(2, 5), row(4, 7)], budget=64, layout="padded")
    assert batch.rows == (1, 0)
    assert batch.token_ids.tolist() == [[7, 8, 9, 10], [5, 6, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert batch.trainable.tolist() == [[False, True, True, False], [False, True, False, False]]
    # the first sequence has 2 trainable tokens, the second 1; padding has none
    assert batch.sequence_tokens.tolist() == [[2, 2, 2, 2], [1, 1, 0, 0]]
    assert batch.sequence_ids.tolist() == [[0, 0, 0, 0], [1, 1, 0, 0]]
    assert (batch.tokens_in_update, batch.sequences_in_update) == (11, 3)


def test_a_packed_batch_by_hand():
    (batch,) = batches_of([row(2, 5), row(4, 7)], budget=64, layout="packed")
    assert batch.rows == (1, 0)
    assert batch.lengths == (4, 2)
    assert batch.token_ids.tolist() == [[7, 8, 9, 10, 5, 6]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch.trainable.tolist() == [[False, True, True, False, False, True]]
    assert batch.sequence_tokens.tolist() == [[2, 2, 2, 2, 1, 1]]
    assert batch.sequence_ids.tolist() == [[0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_sums_over_a_sequence_are_the_same_in_both_layouts(layout):
    (batch,) = batches_of([row(2), row(4)], budget=64, layout=layout)
    # longest first: 0 + 1 + 2 + 3 and 0 + 1
    assert sequence_sums(batch, batch.columns["value"]).tolist() == [6.0, 1.0]


def test_padding_counts_towards_the_budget_only_where_there_is_padding():
    rows = [row(40), row(10), row(10)]
    # padded: 40 | 2 x 40 > 64, so the long row stands alone; packed: 40 + 10 + 10 = 60 fit.
    assert [b.rows for b in batches_of(rows, budget=64, layout="padded")] == [(0,), (1, 2)]
    assert [b.rows for b in batches_of(rows, budget=64, layout="packed")] == [(0, 1, 2)]


def test_a_row_above_the_budget_stands_alone():
    assert [b.rows for b in batches_of([row(5), row(100), row(6)], budget=64, layout="padded")] == [(1,), (2, 0)]


def test_no_rows_give_no_batch():
    assert batches_of([], budget=64, layout="padded") == []
    assert batches_of([], budget=64, layout="packed", unit=2) == []


def test_a_first_token_that_is_to_be_learned_is_our_own_mistake():
    with pytest.raises(AssertionError, match="nothing predicts the first token"):
        batches_of([Row(np.arange(3), np.array([True, True, True]))], budget=64, layout="padded")


def test_an_unknown_layout_is_no_silent_default():
    with pytest.raises(KeyError):
        batches_of([row(3)], budget=64, layout="paded")


def test_a_weighted_row_never_learns_its_first_token_nor_one_of_weight_zero():
    found = weighted_row(np.arange(4), [1.0, 0.0, 0.25, 1.0])
    assert found.trainable.tolist() == [False, False, True, True]
    assert found.columns["weights"].tolist() == [0.0, 0.0, 0.25, 1.0]
