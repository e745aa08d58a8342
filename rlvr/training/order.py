"""Which items make up each optimizer update of supervised training."""

from collections.abc import Sequence

import numpy as np

from rlvr import keyed
from rlvr.types import IntArray

WINDOW_UPDATES = 16


def update_order(lengths: Sequence[int], *, seed: int, sequences_per_update: int, epochs: float) -> list[IntArray]:
    """Gives the item indices of every update.

    Each epoch is a permutation keyed by (seed, epoch). Within windows of WINDOW_UPDATES updates, items are sorted by
    length, cut into updates, and the updates are put in a keyed order: little padding, still a random order.
    The last update of an epoch may be smaller. `epochs` may be a fraction; at least one update is made.
    """
    sizes = np.asarray(lengths)
    updates: list[IntArray] = []
    whole = int(np.ceil(epochs))
    per_epoch = int(np.ceil(len(sizes) / sequences_per_update))
    for epoch in range(whole):
        items = keyed.permutation(seed, "order", epoch, len(sizes))
        window = sequences_per_update * WINDOW_UPDATES
        for start in range(0, len(items), window):
            part = items[start : start + window]
            part = part[np.argsort(sizes[part], kind="stable")]
            cuts = [part[i : i + sequences_per_update] for i in range(0, len(part), sequences_per_update)]
            place = keyed.permutation(seed, "order/window", epoch * 2**20 + start // window, len(cuts))
            updates.extend(cuts[i] for i in place)
    return updates[: max(1, round(per_epoch * epochs))]
