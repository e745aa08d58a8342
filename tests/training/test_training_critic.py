"""The critic: whose state a value is of, its loss and gradient against a loop, and that it learns what was earned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CPU, VOCABULARY, gradients, worst_gap, write_base

from rlvr.algorithms.values import value_loss
from rlvr.errors import TrainingError
from rlvr.models.heads import create_value_model
from rlvr.training.critic import Critic, explained
from rlvr.training.samples import Measured
from rlvr.types import Sample, read_only

SPLITS = [("padded", 64), ("padded", 999), ("packed", 64), ("packed", 30), ("padded", 1)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base")


def value_model(base, *, head="drawn"):
    return create_value_model(base, head=head, seed=3, device=CPU).double()


class Descent:
    """Keeps the gradient of each update and goes down it."""

    def __init__(self, model, rate=0.0):
        self.model, self.rate, self.gradients, self.skipped = model, rate, [], 0

    def step(self):
        self.gradients.append(gradients(self.model))
        with torch.no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter -= self.rate * parameter.grad
                parameter.grad = None
        return 1.0

    def skip(self):
        self.skipped += 1


def critic_of(model, *, layout="padded", budget=64, value_clip=0.2, rate=0.0):
    optimizer = Descent(model, rate)
    critic = Critic(model, optimizer, value_clip=value_clip, microbatch_tokens=budget, layout=layout, dtype="float32")
    return critic, optimizer


def samples_of(count=6):
    rng, samples = np.random.default_rng(5), []
    for i in range(count):
        prompt, length = int(rng.integers(2, 5)), int(rng.integers(2, 9))
        trainable = np.arange(prompt + length) >= prompt
        if i == 2:
            trainable[:] = False
        samples.append(
            Sample(
                token_ids=read_only(rng.integers(5, VOCABULARY, prompt + length), np.int64),
                trainable=read_only(trainable, np.bool_),
                logprobs=read_only(np.zeros(prompt + length), np.float32),
                advantages=read_only(np.zeros(prompt + length), np.float32),
                returns=read_only(np.where(trainable, rng.normal(size=prompt + length), 0), np.float32),
                reward=0.0,
                group_id=i,
                policy_version=0,
            )
        )
    return samples


def values_by_a_loop(model, sample):
    """The value of token t is made of the tokens before it, and of none after."""
    values = {}
    for t in np.flatnonzero(sample.trainable):
        ids = torch.tensor(sample.token_ids[:t].copy())[None]
        values[int(t)] = model.score(model.base_model(input_ids=ids).last_hidden_state[0, -1])[0]
    return values


@pytest.mark.parametrize(("layout", "budget"), SPLITS)
def test_the_value_of_a_token_is_that_of_the_state_before_it_was_chosen(layout, budget, base):
    model, samples = value_model(base), samples_of()
    found = critic_of(model, layout=layout, budget=budget)[0].values(samples)
    for sample, values in zip(samples, found, strict=True):
        expected = values_by_a_loop(model, sample)
        assert {t: float(v) for t, v in enumerate(values) if sample.trainable[t]} == pytest.approx(
            {t: float(v.detach()) for t, v in expected.items()}, abs=1e-5
        )
        assert not values[~sample.trainable].any()


def test_a_new_critic_with_a_head_of_zeros_values_everything_at_0(base):
    found = critic_of(value_model(base, head="zero"))[0].values(samples_of())
    assert all(not values.any() for values in found)


def test_the_value_loss_takes_the_worse_of_the_value_and_the_value_cut_near_the_old_one():
    def row(*values):
        return torch.tensor([values], dtype=torch.float64)

    # returns 1; V = .9 from .2, cut to .4: max(.01, .36) / 2; V = .3 from .2: .49 / 2; V = 2 from 1.9: 1 / 2
    got = value_loss(row(0.9, 0.3, 2.0), row(0.2, 0.2, 1.9), row(1.0, 1.0, 1.0), value_clip=0.2)
    np.testing.assert_allclose(got, [[0.18, 0.245, 0.5]], rtol=1e-12)
    got = value_loss(row(0.9), row(0.2), row(1.0), value_clip=0.0)
    np.testing.assert_allclose(got, [[0.005]], rtol=1e-12)


def test_the_critic_s_gradient_does_not_depend_on_the_split_and_equals_a_loop(base):
    samples = samples_of()
    rng = np.random.default_rng(1)
    # Old values that differ from the present ones, so that the clip of the value holds here and there.
    old = tuple(np.where(s.trainable, rng.normal(size=len(s.trainable)), 0).astype(np.float32) for s in samples)
    results = []
    for layout, budget in SPLITS:
        model = value_model(base)
        critic, optimizer = critic_of(model, layout=layout, budget=budget)
        stats = critic.update(samples, Measured({"values": old}), [range(len(samples))])
        results.append((stats["train/value_loss"], optimizer.gradients[0]))
    for loss, grads in results[1:]:
        assert loss == pytest.approx(results[0][0], abs=1e-10)
        assert worst_gap(results[0][1], grads) < 1e-10
    model = value_model(base)
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for sample, before in zip(samples, old, strict=True):
        for t, value in values_by_a_loop(model, sample).items():
            target, was = float(sample.returns[t]), float(before[t])
            near = min(max(value, was - 0.2), was + 0.2)
            total = total + max((value - target) ** 2, (near - target) ** 2) / 2
            tokens += 1
    (total / tokens).backward()
    assert results[0][0] == pytest.approx(float(total.detach()) / tokens, abs=1e-6)
    assert worst_gap(gradients(model), results[0][1]) < 1e-5


def test_the_critic_learns_the_returns_and_says_how_much_it_foresaw(base):
    samples = samples_of()
    critic, _ = critic_of(value_model(base), value_clip=0.0, rate=0.02)
    first = explained(samples, Measured({"values": critic.values(samples)}))
    for _ in range(150):
        critic.update(samples, Measured({"values": critic.values(samples)}), [range(len(samples))])
    last = explained(samples, Measured({"values": critic.values(samples)}))
    assert first < 0.3
    assert last > 0.9


def test_returns_that_are_not_finite_stop_training_before_the_critic_changes(base):
    model = value_model(base)
    critic, optimizer = critic_of(model, rate=1.0)
    given = samples_of()
    broken = [replace(given[0], returns=np.where(given[0].trainable, np.inf, 0).astype(np.float32)), *given[1:]]
    with pytest.raises(TrainingError, match=r"loss of the update is not finite \(inf\); the update was not applied"):
        critic.update(broken, Measured({"values": critic.values(given)}), [range(6)])
    assert optimizer.gradients == []


def test_an_update_without_a_token_is_skipped(base):
    samples = samples_of()
    critic, optimizer = critic_of(value_model(base))
    measured = Measured({"values": critic.values(samples)})
    critic.update(samples, measured, [[2], [0, 1]])
    assert (optimizer.skipped, len(optimizer.gradients)) == (1, 1)


def test_values_that_foresee_nothing_or_everything():
    (sample,) = [s for s in samples_of() if s.trainable.any()][:1]
    assert explained([sample], Measured({"values": (sample.returns,)})) == 1.0
    assert explained([sample], Measured({"values": (np.zeros_like(sample.returns),)})) == pytest.approx(0.0)
