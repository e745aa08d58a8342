"""Token losses: hand-worked numbers and gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.losses import (
    LOSSES,
    Bounds,
    clamped_weight,
    clip_counts,
    clipped,
    cross_entropy,
    entropy_bonus,
    ratio,
    reinforce,
)

CLIP = Bounds(clip_low=0.2, clip_high=0.28, dual_clip=0.0, weight_max=1.3)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


# r = 1.5, 1.5, .5, .5, 1.1 with A = 1, −1, 1, −1, 2 and bounds .8 and 1.28:
# −min(1.5, 1.28) = −1.28; −min(−1.5, −1.28) = 1.5; −min(.5, .8) = −.5; −min(−.5, −.8) = .8; −min(2.2, 2.2) = −2.2
RATIOS = (1.5, 1.5, 0.5, 0.5, 1.1)
ADVANTAGE = (1.0, -1.0, 1.0, -1.0, 2.0)


def test_the_clipped_loss_takes_the_worse_of_ratio_and_clipped_ratio():
    logprobs = row(*RATIOS).log()
    got = clipped(logprobs, logprobs, row(*ADVANTAGE), CLIP)
    np.testing.assert_allclose(got, [[-1.28, 1.5, -0.5, 0.8, -2.2]], rtol=1e-12)


def test_only_tokens_past_the_clip_in_the_direction_of_their_advantage_lose_their_gradient():
    logprobs = row(*RATIOS).log().requires_grad_()
    clipped(logprobs, logprobs, row(*ADVANTAGE), CLIP).sum().backward()
    # dℓ/dlogp = −r·A where not clipped
    np.testing.assert_allclose(logprobs.grad, [[0.0, 1.5, -0.5, 0.0, -2.2]], rtol=1e-12)


def test_clip_counts_count_each_side_on_trainable_tokens_only():
    logprobs = row(*RATIOS).log()
    everywhere = torch.ones(1, 5, dtype=torch.bool)
    counts = clip_counts("clipped", logprobs, row(*ADVANTAGE), everywhere, CLIP)
    assert {k: v.item() for k, v in counts.items()} == {"clipped_low_tokens": 1, "clipped_high_tokens": 1}
    first_only = torch.tensor([[True, False, False, False, False]])
    counts = clip_counts("clipped", logprobs, row(*ADVANTAGE), first_only, CLIP)
    assert {k: v.item() for k, v in counts.items()} == {"clipped_low_tokens": 0, "clipped_high_tokens": 1}


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-2, 2)), min_size=1, max_size=12),
    st.floats(0.01, 0.99),
    st.floats(0.01, 2.0),
)
def test_the_clipped_loss_equals_the_loop(tokens, low, high):
    now, then, advantage = (row(*column) for column in zip(*tokens, strict=True))
    expected = []
    for a, b, adv in tokens:
        r = math.exp(a - b)
        expected.append(-min(r * adv, min(max(r, 1 - low), 1 + high) * adv))
    got = clipped(now, now - then, advantage, CLIP._replace(clip_low=low, clip_high=high))
    np.testing.assert_allclose(got[0], expected, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@given(tokens=st.lists(st.tuples(st.floats(-9, 0), st.floats(-2, 2)), min_size=1, max_size=9))
def test_on_policy_the_gradient_of_every_loss_is_that_of_reinforce_whatever_the_bounds(loss, tokens):
    logprobs, advantage = (row(*column) for column in zip(*tokens, strict=True))
    logprobs.requires_grad_()
    LOSSES[loss](logprobs, logprobs - logprobs.detach(), advantage, CLIP).sum().backward()
    np.testing.assert_allclose(logprobs.grad, -advantage, atol=1e-12)


def test_the_dual_clip_ends_how_far_a_likelier_token_is_pushed_down():
    # r = 4, A = −1 and c = 3: max(4, …) is cut to 3; r = 2: stays 2; A > 0 is not touched: −min(4, 1.28)
    logprobs = row(4.0, 2.0, 4.0).log().requires_grad_()
    got = clipped(logprobs, logprobs, row(-1.0, -1.0, 1.0), CLIP._replace(dual_clip=3.0))
    np.testing.assert_allclose(got.detach(), [[3.0, 2.0, -1.28]], rtol=1e-12)
    got.sum().backward()
    np.testing.assert_allclose(logprobs.grad, [[0.0, 2.0, 0.0]], rtol=1e-12)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    counts = clip_counts("clipped", logprobs, row(-1.0, -1.0, 1.0), everywhere, CLIP._replace(dual_clip=3.0))
    assert {k: v.item() for k, v in counts.items()} == {"clipped_low_tokens": 0, "clipped_high_tokens": 2}


def test_a_clamped_weight_is_bounded_and_no_token_loses_its_gradient():
    # weights min(r, 1.3): 1.3, 1.3, .5, .5, 1.1; ℓ = −w·A·log π and dℓ/dlogp = −w·A
    logprobs, log_ratio = row(-1.0, -2.0, -1.0, -2.0, -3.0).requires_grad_(), row(*RATIOS).log()
    got = clamped_weight(logprobs, log_ratio, row(*ADVANTAGE), CLIP)
    np.testing.assert_allclose(got.detach(), [[1.3, -2.6, 0.5, -1.0, 6.6]], rtol=1e-12)
    got.sum().backward()
    np.testing.assert_allclose(logprobs.grad, [[-1.3, 1.3, -0.5, 0.5, -2.2]], rtol=1e-12)
    counts = clip_counts("clamped_weight", log_ratio, row(*ADVANTAGE), torch.ones(1, 5, dtype=torch.bool), CLIP)
    assert {k: v.item() for k, v in counts.items()} == {"clipped_low_tokens": 0, "clipped_high_tokens": 2}


def test_reinforce_is_the_log_probability_times_the_advantage_and_clips_nothing():
    got = reinforce(row(-1.0, -2.0), row(9.0, -9.0), row(2.0, -1.0), CLIP)
    assert got.tolist() == [[2.0, -2.0]]
    counts = clip_counts("reinforce", row(9.0, -9.0), row(2.0, -1.0), torch.ones(1, 2, dtype=torch.bool), CLIP)
    assert [v.item() for v in counts.values()] == [0, 0]


def test_the_entropy_bonus_lowers_the_loss_by_the_coefficient_times_the_entropy():
    assert entropy_bonus(row(2.0, 0.5), entropy_coefficient=0.1).tolist() == [[-0.2, -0.05]]


def test_an_enormous_ratio_stays_finite_and_a_vanishing_one_is_zero():
    got = ratio(torch.tensor([[1e4, -1e4]]))
    assert got[0, 0].item() == pytest.approx(math.exp(20), rel=1e-5)
    assert got[0, 1].item() == 0.0


def test_cross_entropy_is_minus_the_log_probability():
    assert cross_entropy(row(-1.5, -0.25)).tolist() == [[1.5, 0.25]]
