"""Any split into microbatches, padded or packed, gives the gradient that a plain loop over tokens gives (float64)."""

import math

import numpy as np
import pytest
import torch
from rows import LIMIT, ROWS, TEMPERATURE, Descent, learner_of, samples_of
from splits import SPLITS, compare_splits, model64, one_update, preference_rows
from tiny import CPU, VOCABULARY, full_logprobs, gradients, worst_gap

from rlvr.algorithms.presets import resolve
from rlvr.stages.supervised import next_token_loss
from rlvr.training.batching import make_batches, sequence_sums, weighted_row
from rlvr.training.update import accumulate


def supervised_rows(lengths=(9, 4, 17, 12, 5, 17)):
    rng = np.random.default_rng(2)
    return [
        weighted_row(rng.integers(5, VOCABULARY, n), rng.integers(0, 3, n) / 2 + (np.arange(n) == n - 1))
        for n in lengths
    ]


def test_the_next_token_loss_does_not_depend_on_the_split_and_equals_a_loop():
    model, rows = model64(), supervised_rows()
    loss, grads = compare_splits(
        lambda layout, budget: one_update(model, rows, next_token_loss(model), layout=layout, budget=budget)
    )
    model.zero_grad()
    total, weight = torch.zeros((), dtype=torch.float64), 0.0
    for row in rows:
        table = full_logprobs(model, row.token_ids)
        for t, w in enumerate(row.columns["weights"].tolist()):
            if w > 0:
                total, weight = total - w * table[t - 1, int(row.token_ids[t])], weight + w
    (total / weight).backward()
    assert loss == pytest.approx(float(total.detach()) / weight, abs=1e-6)
    assert worst_gap(grads, gradients(model)) < 1e-6


CLIPPING = (
    "grpo, 3 updates", "dr_grpo, 3 updates", "dr_grpo, dual clip", "dapo", "gspo", "gspo, gradient per token", "cispo",
    "reinforce_pp", "reinforce_pp_baseline", "ppo", "tulu3",
)  # fmt: skip


def mismatch_weight(row, rhos, rho):
    """The weight of one token of a completion whose tokens have the ratios `rhos` of learner to sampler."""
    product, low, high = math.prod(rhos), row.mismatch_low, row.mismatch_high
    mean = product ** (1 / len(rhos))
    return {
        "none": 1.0,
        "token_truncate": min(rho, high),
        "sequence_truncate": min(product, high),
        "token_mask": rho if low <= rho <= high else 0.0,
        "sequence_mask": product if low <= product <= high else 0.0,
        "geometric_mask": 1.0 if low <= mean <= high else 0.0,
    }[row.mismatch]


def token_loss(row, logprob, log_ratio, a):
    ratio = torch.exp(log_ratio)
    if row.loss == "reinforce":
        return -a * logprob
    if row.loss == "clamped_weight":
        return -min(float(ratio.detach()), row.weight_max) * a * logprob
    value = -torch.minimum(ratio * a, ratio.clamp(1 - row.clip_low, 1 + row.clip_high) * a)
    if row.dual_clip and a < 0 and float(value.detach()) > -row.dual_clip * a:
        return torch.tensor(-row.dual_clip * a, dtype=torch.float64)
    return value


def sample_loss(row, model, sample, columns, denominators):
    """The share of one completion in its update's loss, from the papers' formulas, one token after the other."""
    places, total = np.flatnonzero(sample.trainable), torch.zeros((), dtype=torch.float64)
    if not len(places):
        return total
    # One forward pass for both: the norms of the network compute in float32, so that gradients of two passes differ.
    table = full_logprobs(model, sample.token_ids, temperature=TEMPERATURE)
    logprobs = [table[t - 1, int(sample.token_ids[t])] for t in places]
    proximal = [p.detach() for p in logprobs]
    if row.needs_proximal:
        proximal = [torch.tensor(float(columns["proximal_logprobs"][t]), dtype=torch.float64) for t in places]
    log_ratios = [now - then for now, then in zip(logprobs, proximal, strict=True)]
    mean = sum(log_ratios) / len(log_ratios)
    if row.ratio == "sequence":
        log_ratios = [mean] * len(log_ratios)
    if row.ratio == "sequence_token":
        log_ratios = [mean.detach() + now - now.detach() for now in logprobs]
    rhos = [math.exp(float(p) - float(sample.logprobs[t])) for p, t in zip(proximal, places, strict=True)]
    spread = [-(table[t - 1].exp() * table[t - 1]).sum() for t in places]
    for i, t in enumerate(places):
        a = float(sample.advantages[t])
        value = token_loss(row, logprobs[i], log_ratios[i], a) * mismatch_weight(row, rhos, rhos[i])
        if row.kl_place == "loss":
            x = logprobs[i] - float(columns["reference_logprobs"][t])
            k2, k3 = x**2 / 2, torch.exp(-x) + x - 1
            value = (
                value + row.kl_coefficient * {"k2": k2, "k3": k3, "k3_k2": k2 + (k3 - k2).detach()}[row.kl_estimator]
            )
        value = value - row.entropy_coefficient * spread[i]
        total = (
            total
            + value / {**denominators, "sequence_mean": len(places) * denominators["sequence_sum"]}[row.aggregation]
        )
    return total


def by_a_loop(row, samples, measured):
    """The losses and gradients of all updates, and how many tokens the bounds held back."""
    model = model64()
    groups = list(dict.fromkeys(s.group_id for s in samples))
    updates = [list(part) for part in np.array_split(groups, row.updates_per_step)] * row.epochs_per_step
    losses, grads = [], []
    for members in updates:
        part = [(i, s) for i, s in enumerate(samples) if s.group_id in members]
        sequences = sum(bool(s.trainable.any()) for _, s in part)
        denominators = {
            "token_mean": sum(int(s.trainable.sum()) for _, s in part),
            "sequence_sum": sequences,
            "constant": sequences * LIMIT,
        }
        total = torch.zeros((), dtype=torch.float64)
        for i, sample in part:
            columns = {name: arrays[i] for name, arrays in measured.columns.items()}
            total = total + sample_loss(row.of(sample.domain), model, sample, columns, denominators)
        total.backward()
        losses.append(float(total.detach()))
        grads.append(gradients(model))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= Descent.learning_rate * parameter.grad
                parameter.grad = None
    return losses, grads


@pytest.mark.parametrize("name", ROWS)
def test_the_learner_does_not_depend_on_the_split_and_equals_the_papers_formulas(name):
    row = ROWS[name]
    samples = samples_of(silent_group=row.updates_per_step == 1 or row.kl_place == "loss")
    measured = learner_of(model64(), row)[0].measure(samples)
    results, held_back = [], []
    for layout, budget in SPLITS:
        learner, optimizer = learner_of(model64(), row, layout=layout, budget=budget)
        report = learner.update(samples, measured)
        results.append((report.loss, optimizer.gradients))
        held_back.append(report.stats["train/clip_low_rate"] + report.stats["train/clip_high_rate"])
    assert len(results[0][1]) == row.updates_per_step * row.epochs_per_step
    # Several updates that clip do clip here, so that the bounds are compared too.
    if row.epochs_per_step * row.updates_per_step > 1 and name in CLIPPING:
        assert min(held_back) > 0
    for loss, grads in results[1:]:
        assert abs(loss - results[0][0]) < 1e-10
        assert all(worst_gap(a, b) < 1e-10 for a, b in zip(results[0][1], grads, strict=True))
    losses, grads = by_a_loop(row, samples, measured)
    assert results[0][0] == pytest.approx(float(np.mean(losses)), abs=1e-9)
    for ours, theirs in zip(results[0][1], grads, strict=True):
        assert worst_gap(theirs, ours) < 1e-9


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo"])
def test_sequences_without_an_advantage_are_skipped_without_changing_the_gradient(name, layout, monkeypatch):
    cells = {"kl_place": "none"} if name == "grpo" else {}
    row = resolve(name, updates_per_step=1, **cells)
    # with a KL of coefficient 0 nothing is skipped and nothing is added
    everything = resolve(name, updates_per_step=1, kl_place="loss", kl_coefficient=0.0)
    samples = samples_of()
    found, passes = [], []
    for cells_of in (row, everything):
        learner, optimizer = learner_of(model64(), cells_of, layout=layout, budget=1)
        measured = learner.measure(samples)
        calls = []
        monkeypatch.setattr("rlvr.training.learner.accumulate", counting(calls))
        learner.update(samples, measured)
        found.append(optimizer.gradients[0])
        passes.append(calls[0])
    # 9 samples: 1 has nothing to train, 3 more have no advantage
    assert passes == [5, 8]
    assert worst_gap(found[0], found[1]) < 1e-13


def counting(calls):
    def run(batches, *arguments, **options):
        calls.append(len(batches))
        return accumulate(batches, *arguments, **options)

    return run


def test_whole_groups_go_to_each_update_in_order():
    row = resolve("dr_grpo", updates_per_step=2)
    samples = samples_of(groups=3, silent_group=False)
    learner, optimizer = learner_of(model64(), row)
    learner.update(samples, learner.measure(samples))
    first, second = optimizer.gradients
    alone, optimizer_alone = learner_of(model64(), resolve("dr_grpo", updates_per_step=1))
    # 3 groups over 2 updates: the first update has 2 of them
    alone.update(samples[:6], alone.measure(samples[:6]))
    assert worst_gap(first, optimizer_alone.gradients[0]) < 1e-6
    assert worst_gap(first, second) > 1e-3


def test_packed_sums_per_sequence_feed_the_same_loss():
    model = model64()
    rows = preference_rows(model)
    sums = {}
    for layout in ("padded", "packed"):
        for batch in make_batches(
            rows, microbatch_tokens=64, layout=layout, device=CPU, tokens_in_update=1, sequences_in_update=1
        ):
            values = sequence_sums(batch, batch.columns["reference_logprobs"].double()).tolist()
            sums.setdefault(layout, {}).update(zip(batch.rows, values, strict=True))
    assert sums["padded"] == pytest.approx(sums["packed"])
