"""Token losses: hand-worked numbers and gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.losses import clip_counts, clipped, cross_entropy, ratio

CLIP = {"clip_low": 0.2, "clip_high": 0.28}


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


# r = 1.5, 1.5, .5, .5, 1.1 with A = 1, −1, 1, −1, 2 and bounds .8 and 1.28:
# −min(1.5, 1.28) = −1.28; −min(−1.5, −1.28) = 1.5; −min(.5, .8) = −.5; −min(−.5, −.8) = .8; −min(2.2, 2.2) = −2.2
RATIOS = (1.5, 1.5, 0.5, 0.5, 1.1)
ADVANTAGE = (1.0, -1.0, 1.0, -1.0, 2.0)


def test_the_clipped_loss_takes_the_worse_of_ratio_and_clipped_ratio():
    logprobs = row(*RATIOS).log()
    got = clipped(logprobs, torch.zeros_like(logprobs), row(*ADVANTAGE), **CLIP)
    np.testing.assert_allclose(got, [[-1.28, 1.5, -0.5, 0.8, -2.2]], rtol=1e-12)


def test_only_tokens_past_the_clip_in_the_direction_of_their_advantage_lose_their_gradient():
    logprobs = row(*RATIOS).log().requires_grad_()
    clipped(logprobs, torch.zeros(1, 5, dtype=torch.float64), row(*ADVANTAGE), **CLIP).sum().backward()
    # dℓ/dlogp = −r·A where not clipped
    np.testing.assert_allclose(logprobs.grad, [[0.0, 1.5, -0.5, 0.0, -2.2]], rtol=1e-12)


def test_clip_counts_count_each_side_on_trainable_tokens_only():
    logprobs = row(*RATIOS).log()
    everywhere = torch.ones(1, 5, dtype=torch.bool)
    counts = clip_counts(logprobs, torch.zeros_like(logprobs), row(*ADVANTAGE), everywhere, **CLIP)
    assert {k: v.item() for k, v in counts.items()} == {"clipped_low_tokens": 1, "clipped_high_tokens": 1}
    first_only = torch.tensor([[True, False, False, False, False]])
    counts = clip_counts(logprobs, torch.zeros_like(logprobs), row(*ADVANTAGE), first_only, **CLIP)
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
    np.testing.assert_allclose(clipped(now, then, advantage, clip_low=low, clip_high=high)[0], expected, atol=1e-12)


@given(st.lists(st.tuples(st.floats(-9, 0), st.floats(-2, 2)), min_size=1, max_size=9))
def test_on_policy_the_gradient_is_that_of_reinforce_whatever_the_clip(tokens):
    logprobs, advantage = (row(*column) for column in zip(*tokens, strict=True))
    logprobs.requires_grad_()
    clipped(logprobs, logprobs.detach(), advantage, **CLIP).sum().backward()
    np.testing.assert_allclose(logprobs.grad, -advantage, atol=1e-12)


def test_an_enormous_ratio_stays_finite_and_a_vanishing_one_is_zero():
    got = ratio(torch.tensor([[0.0, -1e4]]), torch.tensor([[-1e4, 0.0]]))
    assert got[0, 0].item() == pytest.approx(math.exp(20), rel=1e-5)
    assert got[0, 1].item() == 0.0


def test_cross_entropy_is_minus_the_log_probability():
    assert cross_entropy(row(-1.5, -0.25)).tolist() == [[1.5, 0.25]]
