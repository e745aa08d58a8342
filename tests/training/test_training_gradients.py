"""Any split into microbatches, padded or packed, gives the gradient that a plain loop over tokens gives (float64)."""

import numpy as np
import pytest
import torch
from splits import SPLITS, compare_splits, model64, one_update, preference_rows
from tiny import CPU, VOCABULARY, full_logprobs, gradients, worst_gap

from rlvr.algorithms.presets import resolve
from rlvr.stages.supervised import next_token_loss
from rlvr.training.batching import make_batches, sequence_sums, weighted_row
from rlvr.training.learner import Learner
from rlvr.training.update import accumulate
from rlvr.types import Sample, read_only

LIMIT = 9
TEMPERATURE = 0.8


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


class Descent:
    """Plain gradient descent in the place of the optimizer; keeps every gradient."""

    learning_rate = 0.05

    def __init__(self, model):
        self.model, self.gradients, self.skipped = model, [], 0

    def step(self):
        self.gradients.append(gradients(self.model))
        with torch.no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter -= self.learning_rate * parameter.grad
                parameter.grad = None
        return 1.0

    def skip(self):
        self.skipped += 1


def samples_of(groups=3, size=3, *, silent_group=True):
    """Samples with advantages; the second group has none, one sequence has nothing to train on."""
    rng, samples = np.random.default_rng(5), []
    for g in range(groups):
        for i in range(size):
            prompt, length = int(rng.integers(2, 5)), int(rng.integers(2, LIMIT + 1))
            ids = rng.integers(5, VOCABULARY, prompt + length)
            trainable = np.arange(prompt + length) >= prompt
            if (g, i) == (2, 1):
                trainable[:] = False
            value = 0.0 if silent_group and g == 1 else float(rng.normal())
            samples.append(
                Sample(
                    token_ids=read_only(ids, np.int64),
                    trainable=read_only(trainable, np.bool_),
                    logprobs=read_only(np.where(trainable, -1.0, 0.0), np.float32),
                    advantages=read_only(np.where(trainable, value, 0.0), np.float32),
                    reward=value,
                    group_id=10 + g,
                    policy_version=0,
                )
            )
    return samples


ROWS = {
    "grpo": resolve("grpo"),
    "grpo, kl k2, 3 updates": resolve("grpo", kl_estimator="k2", kl_coefficient=0.3, updates_per_step=3),
    "dr_grpo": resolve("dr_grpo", updates_per_step=1),
    "dr_grpo, 3 updates, tight clip": resolve("dr_grpo", updates_per_step=3, clip_low=1e-4, clip_high=1e-4),
    "dapo, 2 updates": resolve("dapo", updates_per_step=2),
}


def learner_of(model, row, *, layout="padded", budget=64):
    optimizer = Descent(model)
    learner = Learner(
        model,
        optimizer,
        row=row,
        reference=model64(seed=1) if row.needs_reference else None,
        max_completion_tokens=LIMIT,
        temperature=TEMPERATURE,
        microbatch_tokens=budget,
        layout=layout,
        dtype="float32",
    )
    return learner, optimizer


def token_table(model, sample):
    table = full_logprobs(model, sample.token_ids, temperature=TEMPERATURE)
    return [table[t - 1, int(sample.token_ids[t])] for t in np.flatnonzero(sample.trainable)]


def by_a_loop(row, samples, measured):
    """The losses and gradients of all updates from the papers' formulas, one token after the other."""
    model = model64()
    groups = list(dict.fromkeys(s.group_id for s in samples))
    updates = [list(part) for part in np.array_split(groups, row.updates_per_step)]
    losses, grads = [], []
    for members in updates:
        part = [(i, s) for i, s in enumerate(samples) if s.group_id in members]
        tokens = sum(int(s.trainable.sum()) for _, s in part)
        sequences = sum(bool(s.trainable.any()) for _, s in part)
        total = torch.zeros((), dtype=torch.float64)
        for i, sample in part:
            places = np.flatnonzero(sample.trainable)
            for t, logprob in zip(places, token_table(model, sample) if len(places) else [], strict=True):
                proximal = (
                    float(measured.columns["proximal_logprobs"][i][t]) if row.needs_proximal else logprob.detach()
                )
                ratio, a = torch.exp(logprob - proximal), float(sample.advantages[t])
                value = -torch.minimum(ratio * a, ratio.clamp(1 - row.clip_low, 1 + row.clip_high) * a)
                if row.needs_reference:
                    x = logprob - float(measured.columns["reference_logprobs"][i][t])
                    value = value + row.kl_coefficient * (
                        x**2 / 2 if row.kl_estimator == "k2" else torch.exp(-x) + x - 1
                    )
                weight = {
                    "token_mean": 1 / tokens,
                    "sequence_mean": 1 / (len(places) * sequences),
                    "constant": 1 / (sequences * LIMIT),
                }[row.aggregation]
                total = total + value * weight
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
    row, samples = ROWS[name], samples_of(silent_group=ROWS[name].updates_per_step == 1 or ROWS[name].needs_reference)
    measured = learner_of(model64(), row)[0].measure(samples)
    results = []
    for layout, budget in SPLITS:
        learner, optimizer = learner_of(model64(), row, layout=layout, budget=budget)
        report = learner.update(samples, measured)
        results.append((report.loss, optimizer.gradients))
    assert len(results[0][1]) == row.updates_per_step
    for loss, grads in results[1:]:
        assert abs(loss - results[0][0]) < 1e-10
        assert all(worst_gap(a, b) < 1e-10 for a, b in zip(results[0][1], grads, strict=True))
    losses, grads = by_a_loop(row, samples, measured)
    assert results[0][0] == pytest.approx(float(np.mean(losses)), abs=1e-6)
    for ours, theirs in zip(results[0][1], grads, strict=True):
        assert worst_gap(theirs, ours) < 2e-5


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
