"""Supervised order: every item once an epoch, similar lengths together, keyed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.training.order import WINDOW_UPDATES, update_order


def order_of(lengths, *, seed=3, size=4, epochs=1.0):
    return [update.tolist() for update in update_order(lengths, seed=seed, sequences_per_update=size, epochs=epochs)]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 9), st.integers(1, 3))
def test_each_item_comes_once_in_every_epoch(lengths, size, epochs):
    updates = order_of(lengths, size=size, epochs=epochs)
    per_epoch = -(-len(lengths) // size)
    assert len(updates) == per_epoch * epochs
    assert all(1 <= len(update) <= size for update in updates)
    for epoch in range(epochs):
        part = updates[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(i for update in part for i in update) == list(range(len(lengths)))
        assert sum(len(update) < size for update in part) <= 1


@pytest.mark.parametrize(("epochs", "updates"), [(0.5, 5), (1.5, 15), (2.0, 20), (0.01, 1)])
def test_a_fraction_of_an_epoch_is_that_share_of_its_updates(epochs, updates):
    # 40 items, 4 an update: 10 updates an epoch
    found = order_of([5] * 40, epochs=epochs)
    assert len(found) == updates
    assert found == order_of([5] * 40, epochs=9.0)[:updates]


def test_epochs_and_seeds_differ_and_the_same_seed_does_not():
    lengths = list(range(1, 81))
    first = order_of(lengths, epochs=2.0)
    assert first == order_of(lengths, epochs=2.0)
    assert first[:20] != first[20:]
    assert first != order_of(lengths, seed=4, epochs=2.0)


def test_an_update_holds_neighbours_in_length_but_updates_do_not_come_by_length():
    lengths = np.random.default_rng(0).permutation(np.arange(4 * WINDOW_UPDATES))
    updates = order_of(lengths)
    # one window: each update is 4 consecutive lengths
    spreads = [max(lengths[update]) - min(lengths[update]) for update in map(np.array, updates)]
    assert spreads == [3] * WINDOW_UPDATES
    means = [float(np.mean(lengths[np.array(update)])) for update in updates]
    assert means != sorted(means)
