"""Any split into microbatches, padded or packed, gives the gradient of a preference loss that a loop gives."""

import numpy as np
import pytest
import torch
from splits import compare_splits, model64, one_update, preference_rows
from tiny import CPU, full_logprobs, gradients, worst_gap

from rlvr.config.supervised import DpoConfig
from rlvr.stages.dpo import preference_loss
from rlvr.stages.kto import kto_loss
from rlvr.training.batching import Row, make_batches

PREFERENCE_CASES = [
    {"loss": "sigmoid", "nll_coefficient": 0.5},
    {"loss": "sigmoid", "label_smoothing": 0.2},
    {"loss": "sigmoid", "label_smoothing": 0.2, "robust": True},
    {"loss": "sigmoid_norm", "nll_coefficient": 0.5},
    {"loss": "sigmoid_norm", "label_smoothing": 0.2, "robust": True},
    {"loss": "ipo", "nll_coefficient": 0.5},
    {"loss": "hinge"},
    {"loss": "simpo", "target_margin": 0.4, "nll_coefficient": 0.5},
]


def preference_config(**changes):
    return DpoConfig.model_validate({"kind": "dpo", "data": ["x"], "beta": 0.3, **changes})


def sums_by_a_loop(model, row):
    """Sum of the policy's log-probs, of the reference's, and tokens of one completion."""
    table = full_logprobs(model, row.token_ids)
    ours = sum(table[t - 1, int(row.token_ids[t])] for t in np.flatnonzero(row.trainable))
    return ours, float(row.columns["reference_logprobs"].sum(dtype="float64")), int(row.trainable.sum())


def pair_by_a_loop(config, chosen, rejected):
    """The loss of one pair from the papers' formulas."""
    (lc, rc, nc), (lr, rr, nr) = chosen, rejected
    gap = {
        "sigmoid": (lc - rc) - (lr - rr),
        "sigmoid_norm": (lc - rc) / nc - (lr - rr) / nr,
        "ipo": (lc - rc) / nc - (lr - rr) / nr,
        "hinge": (lc - rc) - (lr - rr),
        "simpo": lc / nc - lr / nr,
    }[config.loss]
    e = config.label_smoothing
    right = -torch.log(torch.sigmoid(config.beta * gap - config.target_margin))
    flipped = -torch.log(torch.sigmoid(-config.beta * gap))
    if config.loss == "ipo":
        value = (gap - 1 / (2 * config.beta)) ** 2
    elif config.loss == "hinge":
        value = torch.clamp(1 - config.beta * gap, min=0)
    elif config.robust:
        value = ((1 - e) * right - e * flipped) / (1 - 2 * e)
    else:
        value = (1 - e) * right + e * flipped
    return value - config.nll_coefficient * lc / nc


@pytest.mark.parametrize("changes", PREFERENCE_CASES)
def test_the_preference_loss_does_not_depend_on_the_split_and_equals_a_loop(changes):
    model, config = model64(), preference_config(**changes)
    rows = preference_rows(model)
    found, grads = compare_splits(
        lambda layout, budget: one_update(
            model, rows, preference_loss(model, config), layout=layout, budget=budget, unit=2
        )
    )
    model.zero_grad()
    sums = [sums_by_a_loop(model, row) for row in rows]
    total = sum(pair_by_a_loop(config, *both) for both in zip(sums[0::2], sums[1::2], strict=True)) / 3
    total.backward()
    assert found == pytest.approx(float(total.detach()), abs=1e-9)
    assert worst_gap(gradients(model), grads) < 1e-9


def test_kto_does_not_depend_on_the_split_and_equals_a_loop():
    model, desirable = model64(), [True, False, False, True, True, False]
    rows = preference_rows(model)
    # other rows, with a reference that is a nat per token less likely, so that the baseline is above 0; one has none
    others = [
        Row(row.token_ids[::-1].copy(), row.trainable, {"reference_logprobs": column})
        for row in rows
        for column in [np.where(row.trainable, row.columns["reference_logprobs"] - 1, 0).astype(np.float32)]
    ]
    others[2] = None
    weights = {"desirable_weight": 1.3, "undesirable_weight": 0.6, "loss": "kto"}

    def run(layout, budget):
        config = preference_config(**weights, batching=layout, microbatch_tokens=max(64, budget))
        loss_for = kto_loss(model, config, desirable=desirable, mismatched=others, dtype="float32")
        return one_update(model, rows, loss_for(np.arange(6)), layout=layout, budget=budget)

    found, grads = compare_splits(run)
    with torch.no_grad():
        apart = [sums_by_a_loop(model, row) for row in others if row is not None]
    baseline = float(sum(ours - reference for ours, reference, _ in apart)) / 5
    assert baseline > 1
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for row, good in zip(rows, desirable, strict=True):
        ours, reference, _ = sums_by_a_loop(model, row)
        margin = 0.3 * (ours - reference - baseline)
        total = total + (1.3 * (1 - torch.sigmoid(margin)) if good else 0.6 * (1 - torch.sigmoid(-margin)))
    (total / 6).backward()
    assert found == pytest.approx(float(total.detach()) / 6, abs=1e-9)
    assert worst_gap(gradients(model), grads) < 1e-9


def test_the_baseline_of_kto_is_that_of_the_update_and_its_labels_follow_its_items():
    model = model64()
    rows = preference_rows(model)
    # the mean log-ratio of a row against a reference that is 2, 4, 6, … nats less likely in sum
    with torch.no_grad():
        exact = [float(sums_by_a_loop(model, row)[0]) for row in rows]
    others = [
        Row(row.token_ids, row.trainable, {"reference_logprobs": row.trainable * np.float32((total - 2 * i) / n)})
        for i, (row, total) in enumerate(zip(rows, exact, strict=True), start=1)
        for n in [row.trainable.sum()]
    ]
    config = preference_config(loss="kto")
    loss_for = kto_loss(model, config, desirable=[True] * 5 + [False], mismatched=others, dtype="float32")
    # items 5 and 1: (12 + 4) / 2 = 8; the first row of the update is the undesirable one
    update = np.array([5, 1])
    batch = make_batches(
        [rows[i] for i in update],
        microbatch_tokens=999,
        layout="packed",
        device=CPU,
        tokens_in_update=1,
        sequences_in_update=2,
    )[0]
    loss, stats = loss_for(update)(batch)
    assert float(stats["kl_baseline"]) / 2 == pytest.approx(8.0, abs=1e-5)
    margins = [
        0.3 * (sums_by_a_loop(model, rows[i])[0].item() - rows[i].columns["reference_logprobs"].sum() - 8)
        for i in update
    ]
    # 1 − σ of the distance on its own side
    expected = (1 / (1 + np.exp(-margins[0])) + 1 / (1 + np.exp(margins[1]))) / 2
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-5)
