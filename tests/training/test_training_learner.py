"""What a learner reports, and what it does when there is nothing to learn."""

import numpy as np
import pytest
import torch
from tiny import completion, full_logprobs, make_model, task

from rlvr.algorithms.presets import resolve
from rlvr.errors import TrainingError
from rlvr.models.optim import Optimizer
from rlvr.training.batching import Row
from rlvr.training.learner import Learner, measure_logprobs
from rlvr.training.samples import Measured, to_samples, with_advantages
from rlvr.types import Group, Verdict, read_only

OPTIMIZER = {
    "name": "adamw",
    "learning_rate": 0.01,
    "adamw_rate": 0.15,
    "weight_decay": 0.0,
    "start_pull": 0.0,
    "betas": (0.9, 0.95),
    "epsilon": 1e-8,
    "frozen": (),
    "clip_norm": 1.0,
    "updates": 20,
    "schedule": "linear",
    "warmup_share": 0.0,
    "decay_share": 1.0,
    "final_share": 0.0,
}


def learner_of(row, model=None, reference=None):
    model = model or make_model()
    return Learner(
        model,
        Optimizer(model, **OPTIMIZER),
        row=row,
        reference=reference or (make_model(seed=1) if row.needs_reference else None),
        critic=None,
        max_completion_tokens=8,
        temperature=1.0,
        microbatch_tokens=64,
        layout="padded",
        dtype="float32",
    )


def samples_of(row, outcomes_of_groups):
    groups = []
    for index, outcomes in enumerate(outcomes_of_groups):
        completions = tuple(completion([5 + i, 9 + index, 2]) for i in range(len(outcomes)))
        verdicts = tuple(Verdict(o, "ok") for o in outcomes)
        rewards = tuple(float("nan") if o is None else o for o in outcomes)
        groups.append(Group(task(index), index, read_only([1, 3, 9, 2, 4], "int64"), completions, verdicts, rewards))
    weights = {group.draw_index: 1.0 for group in groups}
    samples = to_samples(groups, drop_truncated=row.drop_truncated)
    return with_advantages(samples, row, weights, Measured({}), kl_coefficient=0.0)


def weights(learner):
    return {key: value.clone() for key, value in learner.model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def test_an_update_without_a_signal_changes_nothing_and_is_counted():
    row = resolve("dr_grpo", updates_per_step=2)
    learner = learner_of(row)
    before = weights(learner)
    samples = samples_of(row, [(1.0, 1.0), (0.0, 0.0)])
    report = learner.update(samples, learner.measure(samples))
    assert same(before, weights(learner))
    assert report.stats["train/idle_updates"] == 2.0
    assert report.stats["train/grad_norm"] == 0.0
    assert report.loss == 0.0
    assert learner.optimizer.update_index == 2


def test_one_idle_update_beside_one_that_learns_is_counted_too():
    row = resolve("dr_grpo", updates_per_step=2)
    learner = learner_of(row)
    before = weights(learner)
    samples = samples_of(row, [(1.0, 1.0), (1.0, 0.0)])
    report = learner.update(samples, learner.measure(samples))
    assert not same(before, weights(learner))
    assert report.stats["train/idle_updates"] == 1.0
    assert report.stats["train/grad_norm"] > 0
    assert learner.optimizer.update_index == 2


def test_no_group_at_all_is_reported_and_the_schedule_goes_on():
    row = resolve("dapo", updates_per_step=3)
    learner = learner_of(row)
    before = weights(learner)
    report = learner.update([], learner.measure([]))
    assert same(before, weights(learner))
    assert report.stats["train/idle_updates"] == 3.0
    # linear over 20 updates: 1 - 3/21 after three
    assert learner.optimizer.learning_rate == pytest.approx(0.01 * (1 - 4 / 21))


def test_fewer_groups_than_updates_leave_the_last_updates_idle():
    row = resolve("dr_grpo", updates_per_step=4)
    learner = learner_of(row)
    samples = samples_of(row, [(1.0, 0.0), (0.0, 1.0)])
    report = learner.update(samples, learner.measure(samples))
    assert report.stats["train/idle_updates"] == 2.0
    assert learner.optimizer.update_index == 4


def test_unscored_completions_leave_every_denominator():
    row = resolve("dapo", updates_per_step=1)
    with_none = samples_of(row, [(1.0, 0.0, None)])
    without = samples_of(row, [(1.0, 0.0)])
    losses = []
    for samples in (with_none, without):
        learner = learner_of(row)
        learner.update(samples, learner.measure(samples))
        losses.append(weights(learner))
    assert same(*losses)


def test_a_group_without_a_signal_keeps_its_share_of_the_denominator():
    row = resolve("dr_grpo", updates_per_step=1)
    norms = []
    for outcomes in ([(1.0, 0.0)], [(1.0, 0.0), (1.0, 1.0)]):
        learner = learner_of(row)
        samples = samples_of(row, outcomes)
        norms.append(learner.update(samples, learner.measure(samples)).stats["train/grad_norm"])
    # twice the sequences, half the gradient
    assert norms[1] == pytest.approx(norms[0] / 2, rel=1e-4)


def test_only_what_the_row_needs_is_measured():
    samples = samples_of(resolve("grpo"), [(1.0, 0.0)])
    assert set(learner_of(resolve("dr_grpo", updates_per_step=1)).measure(samples).columns) == set()
    assert set(learner_of(resolve("grpo")).measure(samples).columns) == {"reference_logprobs"}
    both = learner_of(resolve("grpo", updates_per_step=2)).measure(samples).columns
    assert set(both) == {"reference_logprobs", "proximal_logprobs"}


def test_the_kl_of_a_policy_to_itself_is_zero_and_to_another_is_the_mean_of_k3():
    row = resolve("grpo")
    samples = samples_of(row, [(1.0, 0.0)])
    same_model = learner_of(row, reference=make_model())
    report = same_model.update(samples, same_model.measure(samples))
    assert report.stats["train/kl"] == pytest.approx(0.0, abs=1e-9)
    learner = learner_of(row)
    policy, reference = make_model(), make_model(seed=1)
    values = []
    for sample in samples:
        ours, theirs = (full_logprobs(model, sample.token_ids) for model in (policy, reference))
        for t in np.flatnonzero(sample.trainable):
            x = float((ours - theirs)[t - 1, int(sample.token_ids[t])].detach())
            values.append(np.exp(-x) + x - 1)
    assert learner.update(samples, learner.measure(samples)).stats["train/kl"] == pytest.approx(
        np.mean(values), rel=1e-4
    )


def test_a_loss_that_is_not_finite_stops_training_before_the_weights_change():
    row = resolve("dr_grpo", updates_per_step=1)
    learner = learner_of(row)
    samples = samples_of(row, [(1.0, 0.0)])
    with torch.no_grad():
        learner.model.model.norm.weight[0] = float("nan")
    before = weights(learner)
    with pytest.raises(TrainingError, match="not finite"):
        learner.update(samples, learner.measure(samples))
    assert all(
        torch.equal(a.nan_to_num(), b.nan_to_num())
        for a, b in zip(before.values(), weights(learner).values(), strict=True)
    )


def test_a_loss_that_is_not_finite_stops_training_though_its_gradient_is():
    row = resolve("grpo")
    learner = learner_of(row)
    samples = samples_of(row, [(1.0, 0.0)])
    measured = learner.measure(samples)
    # k3 at x = inf is inf, and its gradient is 1
    columns = measured.columns["reference_logprobs"]
    lowest = tuple(np.where(column != 0, -np.inf, 0).astype(np.float32) for column in columns)
    before = weights(learner)
    with pytest.raises(TrainingError, match="the loss of the update is not finite"):
        learner.update(samples, Measured({"reference_logprobs": lowest}))
    assert same(before, weights(learner))


def test_a_loss_that_is_not_finite_in_a_later_update_says_no_more_than_that_this_one_was_not_applied():
    row = resolve("grpo", updates_per_step=2)
    learner = learner_of(row)
    samples = samples_of(row, [(1.0, 0.0), (1.0, 0.0)])
    columns = dict(learner.measure(samples).columns)
    lowest = np.where(columns["reference_logprobs"][2] != 0, -np.inf, 0).astype(np.float32)
    columns["reference_logprobs"] = (*columns["reference_logprobs"][:2], lowest, lowest)
    before = weights(learner)
    with pytest.raises(TrainingError, match=r"the update was not applied, and the last checkpoint.* is whole"):
        learner.update(samples, Measured(columns))
    # the first of the two was
    assert learner.optimizer.update_index == 1
    assert not same(before, weights(learner))


def test_a_reference_that_gives_no_numbers_stops_training_when_it_is_measured():
    row, broken = resolve("grpo"), make_model(seed=1)
    with torch.no_grad():
        broken.model.norm.weight[0] = float("nan")
    learner = learner_of(row, reference=broken)
    with pytest.raises(TrainingError, match="a log-probability is not finite"):
        learner.measure(samples_of(row, [(1.0, 0.0)]))


def test_a_kl_that_is_only_measured_changes_nothing_where_no_token_has_an_advantage():
    row = resolve("grpo", kl_coefficient=0.0, updates_per_step=2)
    learner = learner_of(row)
    samples = samples_of(row, [(1.0, 0.0), (1.0, 1.0)])
    report = learner.update(samples, learner.measure(samples))
    assert report.stats["train/idle_updates"] == 1.0


def test_measuring_leaves_the_mode_alone_and_gives_each_row_its_own_log_probs():
    model = make_model().train()
    rng = np.random.default_rng(0)
    rows = [Row(rng.integers(5, 32, n), np.arange(n) >= 2) for n in (4, 11, 7)]
    for layout in ("padded", "packed"):
        found = measure_logprobs(model, rows, temperature=1.0, microbatch_tokens=16, layout=layout, dtype="float32")
        assert model.training
        for row, values in zip(rows, found, strict=True):
            table = full_logprobs(model, row.token_ids).detach()
            expected = [float(table[t - 1, int(row.token_ids[t])]) if t >= 2 else 0.0 for t in range(len(values))]
            assert values.tolist() == pytest.approx(expected, abs=1e-5)
            assert values.dtype == np.float32
