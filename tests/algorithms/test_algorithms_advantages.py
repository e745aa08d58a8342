"""Advantages: hand-worked numbers, a loop as oracle, and what must not matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.advantages import ADVANTAGES, centred, group_std

NAN = float("nan")


def rewards_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def loop_oracle(name: str, rewards: list[list[float]], valid: list[list[bool]]) -> list[list[float]]:
    out = []
    for row, ok in zip(rewards, valid, strict=True):
        used = [r for r, v in zip(row, ok, strict=True) if v]
        if len(used) < 2:
            out.append([0.0] * len(row))
            continue
        mean = math.fsum(used) / len(used)
        scale = 1.0
        if name == "group_std":
            scale = math.sqrt(math.fsum((r - mean) ** 2 for r in used) / (len(used) - 1)) + 1e-4
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


@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_group_with_fewer_than_two_scored_completions_gets_zeros(name):
    rewards = rewards_of([1, NAN, NAN], [NAN, NAN, NAN])
    valid = torch.tensor([[True, False, False], [False, False, False]])
    assert ADVANTAGES[name](rewards, valid).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1, -7.7])
def test_equal_rewards_give_exact_zeros(name, value):
    rewards = torch.full((1, 7), value, dtype=torch.float32)
    assert ADVANTAGES[name](rewards, torch.ones(1, 7, dtype=torch.bool)).tolist() == [[0.0] * 7]


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
    return ADVANTAGES[name](torch.tensor(rewards, dtype=torch.float64), torch.tensor(valid))


@pytest.mark.parametrize("name", ADVANTAGES)
@given(group=groups())
def test_advantages_equal_the_loop(name, group):
    rewards, valid = group
    np.testing.assert_allclose(compute(name, rewards, valid), loop_oracle(name, rewards, valid), atol=1e-9)


@pytest.mark.parametrize("name", ADVANTAGES)
@given(group=groups(), data=st.data())
def test_permuting_a_group_permutes_its_advantages(name, group, data):
    rewards, valid = group
    order = data.draw(st.permutations(range(len(rewards[0]))))
    shuffled = compute(name, [[r[i] for i in order] for r in rewards], [[v[i] for i in order] for v in valid])
    np.testing.assert_allclose(shuffled, compute(name, rewards, valid)[:, list(order)], atol=1e-9)


@pytest.mark.parametrize("name", ADVANTAGES)
@given(group=groups(), constant=st.floats(-100, 100))
def test_adding_a_constant_to_a_groups_rewards_changes_nothing(name, group, constant):
    rewards, valid = group
    moved = compute(name, [[r + constant for r in row] for row in rewards], valid)
    np.testing.assert_allclose(moved, compute(name, rewards, valid), atol=1e-8)


@pytest.mark.parametrize("name", ADVANTAGES)
@given(group=groups())
def test_the_advantages_of_a_group_sum_to_zero_and_unscored_ones_are_zero(name, group):
    rewards, valid = group
    got = compute(name, rewards, valid)
    np.testing.assert_allclose(got.sum(dim=-1), 0, atol=1e-9)
    assert (got[~torch.tensor(valid)] == 0).all()


@pytest.mark.parametrize("name", ADVANTAGES)
@given(group=groups())
def test_what_stands_where_nothing_was_scored_does_not_matter(name, group):
    rewards, valid = group
    marked = [[r if v else NAN for r, v in zip(*rows, strict=True)] for rows in zip(rewards, valid, strict=True)]
    assert torch.equal(compute(name, marked, valid), compute(name, rewards, valid))
