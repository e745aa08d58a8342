"""One optimizer update, split into microbatches in several ways, that the tests of gradients share (float64)."""

import numpy as np
import torch
from tiny import CPU, VOCABULARY, full_logprobs, gradients, make_model, worst_gap

from rlvr.training.batching import Row, make_batches
from rlvr.training.update import accumulate

SPLITS = [("padded", 64), ("padded", 999), ("packed", 64), ("packed", 999), ("packed", 30), ("padded", 1)]


def model64(seed=0):
    return make_model(seed=seed, dtype=torch.float64)


def one_update(model, rows, loss_of, *, layout, budget, unit=1):
    """Gives loss and gradients of one optimizer update over all rows."""
    batches = make_batches(
        rows,
        microbatch_tokens=budget,
        layout=layout,
        device=CPU,
        tokens_in_update=float(sum(row.columns.get("weights", row.trainable).sum() for row in rows)),
        sequences_in_update=len(rows) // unit,
        unit=unit,
    )
    model.zero_grad()
    loss, _ = accumulate(batches, loss_of, networks=[model], dtype="float32")
    return len(batches), loss, gradients(model)


def compare_splits(run):
    """Asserts that every split gives one loss and one gradient; gives them."""
    found = [run(layout, budget) for layout, budget in SPLITS]
    assert len({count for count, _, _ in found}) > 2, "the splits must differ for this to test anything"
    for _, loss, grads in found[1:]:
        assert abs(loss - found[0][1]) < 1e-10
        assert worst_gap(found[0][2], grads) < 1e-10
    return found[0][1:]


def preference_rows(model):
    """Three pairs whose reference log-probs are those of another model."""
    rng, reference, rows = np.random.default_rng(3), model64(seed=1), []
    for length in (9, 6, 14, 5, 11, 16):
        ids, trainable = rng.integers(5, VOCABULARY, length), np.arange(length) >= 3
        with torch.no_grad():
            table = full_logprobs(reference, ids)
        column = np.zeros(length, dtype=np.float32)
        column[1:] = table[torch.arange(length - 1), torch.tensor(ids[1:])].numpy() * trainable[1:]
        rows.append(Row(ids, trainable, {"reference_logprobs": column}))
    return rows
