"""Advantages: hand-worked numbers, a loop as oracle, and what must not matter."""

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.advantages import (
    GROUP_ADVANTAGES,
    TOKEN_ADVANTAGES,
    batch_std,
    centred,
    generalised,
    group_std,
    leave_one_out,
    whitened,
)

NAN = float("nan")


def rewards_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def loop_oracle(name: str, rewards: list[list[float]], valid: list[list[bool]]) -> list[list[float]]:
    out = []
    everything = [r for row, ok in zip(rewards, valid, strict=True) for r, v in zip(row, ok, strict=True) if v]
    for row, ok in zip(rewards, valid, strict=True):
        used = [r for r, v in zip(row, ok, strict=True) if v]
        if len(used) < 2:
            out.append([0.0] * len(row))
            continue
        mean = math.fsum(used) / len(used)
        scale = 1.0
        if name == "group_std":
            scale = statistics.stdev(used) + 1e-4
        if name == "batch_std":
            scale = statistics.stdev(everything) + 1e-4
        if name == "leave_one_out":
            others = [(r, math.fsum(used) - r) for r in row]
            out.append([r - rest / (len(used) - 1) if v else 0.0 for (r, rest), v in zip(others, ok, strict=True)])
            continue
        out.append([(r - mean) / scale if v else 0.0 for r, v in zip(row, ok, strict=True)])
    return out


def test_centred_of_one_right_in_four_is_three_quarters_and_minus_a_quarter():
    # mean(1, 0, 0, 0) = .25
    got = centred(rewards_of([1, 0, 0, 0]), torch.ones(1, 4, dtype=torch.bool))
    assert got.tolist() == [[0.75, -0.25, -0.25, -0.25]]


def test_group_std_divides_by_the_unbiased_standard_deviation():
    # squares .5625 + 3 · .0625 = .75; / (4 − 1) = .25; √ = .5; .75/.5 = 1.5 and −.25/.5 = −.5.
    # The biased convention would give √(.75 / 4) = .4330 and 1.7321.
    got = group_std(rewards_of([1, 0, 0, 0]), torch.ones(1, 4, dtype=torch.bool), epsilon=0.0)
    np.testing.assert_allclose(got, [[1.5, -0.5, -0.5, -0.5]], rtol=1e-12)


def test_the_default_epsilon_is_one_ten_thousandth_added_to_the_standard_deviation():
    got = group_std(rewards_of([1, 0, 0, 0]), torch.ones(1, 4, dtype=torch.bool))
    assert got[0, 0].item() == pytest.approx(0.75 / 0.5001, rel=1e-12)


def test_an_unscored_completion_leaves_mean_and_std_and_gets_zero():
    # Valid are 1 and 0: mean .5, squares .25 + .25 = .5, / (2 − 1), √ = .7071; .5/.7071 = .7071
    valid = torch.tensor([[True, True, False]])
    assert centred(rewards_of([1, 0, NAN]), valid).tolist() == [[0.5, -0.5, 0.0]]
    np.testing.assert_allclose(
        group_std(rewards_of([1, 0, NAN]), valid, epsilon=0.0), [[0.70710678, -0.70710678, 0.0]], rtol=1e-8
    )


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
def test_a_group_with_fewer_than_two_scored_completions_gets_zeros(name):
    rewards = rewards_of([1, NAN, NAN], [NAN, NAN, NAN])
    valid = torch.tensor([[True, False, False], [False, False, False]])
    assert GROUP_ADVANTAGES[name](rewards, valid).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1, -7.7])
def test_equal_rewards_give_exact_zeros(name, value):
    rewards = torch.full((1, 7), value, dtype=torch.float32)
    assert GROUP_ADVANTAGES[name](rewards, torch.ones(1, 7, dtype=torch.bool)).tolist() == [[0.0] * 7]


@st.composite
def groups(draw):
    num_groups, size = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    reward = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 3))
    row = st.lists(reward, min_size=size, max_size=size)
    mask = st.lists(st.booleans(), min_size=size, max_size=size)
    return (
        draw(st.lists(row, min_size=num_groups, max_size=num_groups)),
        draw(st.lists(mask, min_size=num_groups, max_size=num_groups)),
    )


def compute(name, rewards, valid):
    return GROUP_ADVANTAGES[name](torch.tensor(rewards, dtype=torch.float64), torch.tensor(valid))


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
@given(group=groups())
def test_advantages_equal_the_loop(name, group):
    rewards, valid = group
    np.testing.assert_allclose(compute(name, rewards, valid), loop_oracle(name, rewards, valid), atol=1e-9)


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
@given(group=groups(), data=st.data())
def test_permuting_a_group_permutes_its_advantages(name, group, data):
    rewards, valid = group
    order = data.draw(st.permutations(range(len(rewards[0]))))
    shuffled = compute(name, [[r[i] for i in order] for r in rewards], [[v[i] for i in order] for v in valid])
    np.testing.assert_allclose(shuffled, compute(name, rewards, valid)[:, list(order)], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in GROUP_ADVANTAGES if name != "batch_std"])
@given(group=groups(), constant=st.floats(-100, 100))
def test_adding_a_constant_to_a_groups_rewards_changes_nothing(name, group, constant):
    rewards, valid = group
    moved = compute(name, [[r + constant for r in row] for row in rewards], valid)
    np.testing.assert_allclose(moved, compute(name, rewards, valid), atol=1e-8)


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
@given(group=groups())
def test_the_advantages_of_a_group_sum_to_zero_and_unscored_ones_are_zero(name, group):
    rewards, valid = group
    got = compute(name, rewards, valid)
    np.testing.assert_allclose(got.sum(dim=-1), 0, atol=1e-9)
    assert (got[~torch.tensor(valid)] == 0).all()


@pytest.mark.parametrize("name", GROUP_ADVANTAGES)
@given(group=groups())
def test_what_stands_where_nothing_was_scored_does_not_matter(name, group):
    rewards, valid = group
    marked = [[r if v else NAN for r, v in zip(*rows, strict=True)] for rows in zip(rewards, valid, strict=True)]
    assert torch.equal(compute(name, marked, valid), compute(name, rewards, valid))


def test_leave_one_out_compares_with_the_mean_of_the_others():
    # 1 − 0 = 1; 0 − (1 + 0 + 0)/3 = −1/3
    got = leave_one_out(rewards_of([1, 0, 0, 0]), torch.ones(1, 4, dtype=torch.bool))
    np.testing.assert_allclose(got, [[1, -1 / 3, -1 / 3, -1 / 3]], rtol=1e-12)


def test_batch_std_has_one_unit_for_all_groups():
    # all: 1, 0, 1, 1; mean .75, squares .0625 · 3 + .5625 = .75, / 3 = .25, √ = .5; .5/.5 = 1
    got = batch_std(rewards_of([1, 0], [1, 1]), torch.ones(2, 2, dtype=torch.bool), epsilon=0.0)
    np.testing.assert_allclose(got, [[1, -1], [0, 0]], rtol=1e-12)


def test_gae_of_a_reward_at_the_end_and_a_critic_that_says_one_half():
    # δ = .5 − .5 = 0 twice, and 1 − .5 = .5 at the end; A = [.95² · .5, .95 · .5, .5]
    got = generalised(
        rewards_of([0, 0, 1]), rewards_of([0.5, 0.5, 0.5]), torch.ones(1, 3, dtype=torch.bool), gamma=1, gae_lambda=0.95
    )
    np.testing.assert_allclose(got, [[0.45125, 0.475, 0.5]], rtol=1e-12)


def test_returns_are_what_is_still_to_come_and_pass_over_the_tokens_of_a_tool():
    # γ = .5; tokens 0, 2, 3 are trained: 3; −1 + .5 · 3 = .5; 1 + .5 · .5 = 1.25
    trainable = torch.tensor([[True, False, True, True]])
    rewards = rewards_of([1, 0, -1, 3])
    got = TOKEN_ADVANTAGES["returns"](rewards, torch.zeros_like(rewards), trainable, gamma=0.5)
    assert got.tolist() == [[1.25, 0.0, 0.5, 3.0]]


def gae_by_a_loop(rewards, values, trainable, gamma, lam):
    places = [t for t, there in enumerate(trainable) if there]
    out = [0.0] * len(rewards)
    for i, t in enumerate(places):
        # Σ_k (γλ)^k · δ of the k-th trained token from here on
        for k, u in enumerate(places[i:]):
            after = values[places[i + k + 1]] if i + k + 1 < len(places) else 0.0
            out[t] += (gamma * lam) ** k * (rewards[u] + gamma * after - values[u])
    return out


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.booleans()), min_size=1, max_size=9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_gae_equals_its_sum_of_discounted_surprises(tokens, gamma, lam):
    rewards, values, trainable = (list(column) for column in zip(*tokens, strict=True))
    got = generalised(rewards_of(rewards), rewards_of(values), torch.tensor([trainable]), gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(got[0], gae_by_a_loop(rewards, values, trainable, gamma, lam), atol=1e-9)


def test_whitening_gives_mean_0_and_deviation_1_over_trained_tokens_alone():
    # 1, 3, 5: mean 3, unbiased std 2
    trainable = torch.tensor([[True, True, False], [True, False, False]])
    got = whitened(rewards_of([1, 3, 99], [5, 99, 99]), trainable, epsilon=0.0)
    assert got.tolist() == [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize("tokens", [[True, False], [True, True]])
def test_whitening_of_equal_advantages_or_one_alone_leaves_nothing(tokens):
    assert whitened(rewards_of([0.1, 0.1]), torch.tensor([tokens])).tolist() == [[0.0, 0.0]]
