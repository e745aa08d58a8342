"""Ratios of tokens and of completions, and weights for a mismatched sampler: by hand, padded and packed alike."""

import math

import numpy as np
import pytest
import torch

from rlvr.algorithms.mismatch import MISMATCHES
from rlvr.algorithms.ratios import RATIOS, over_sequence, sequence, sequence_token, token

# Two sequences of 3 and 2 tokens; the first token of each is a prompt's.
PADDED = {
    "trainable": torch.tensor([[False, True, True], [False, True, False]]),
    "sequence_ids": torch.tensor([[0, 0, 0], [1, 1, 0]]),
    "sequence_tokens": torch.tensor([[2.0, 2.0, 2.0], [1.0, 1.0, 0.0]]),
}
PACKED = {name: torch.cat([value[0], value[1, :2]])[None] for name, value in PADDED.items()}


def padded(first, second):
    return torch.tensor([first, [*second, 0.0]], dtype=torch.float64)


def packed(first, second):
    return torch.tensor([[*first, *second]], dtype=torch.float64)


def test_a_sum_over_a_sequence_takes_its_trained_tokens_alone_and_stands_at_each_of_them():
    got = over_sequence(padded([9, 1, 2], [9, 5]), PADDED["trainable"], PADDED["sequence_ids"])
    assert got.tolist() == [[3, 3, 3], [5, 5, 3]]
    got = over_sequence(packed([9, 1, 2], [9, 5]), PACKED["trainable"], PACKED["sequence_ids"])
    assert got.tolist() == [[3, 3, 3, 5, 5]]


def test_the_ratio_of_a_completion_is_the_geometric_mean_of_its_tokens():
    now, then = padded([0, -1.0, -2.0], [0, -3.0]), padded([0, -1.5, -1.7], [0, -2.0])
    # log-ratios .5 and −.3, mean .1; −1
    assert token(now, then, **PADDED)[0].tolist() == pytest.approx([0, 0.5, -0.3])
    got = sequence(now, then, **PADDED)
    assert got[0].tolist() == pytest.approx([0.1] * 3)
    assert got[1, :2].tolist() == pytest.approx([-1.0] * 2)
    assert torch.equal(sequence_token(now, then, **PADDED)[0], got[0])


def test_with_one_advantage_the_completion_s_ratio_has_one_gradient_however_it_is_shared_out():
    then, gradients = padded([0, -1.5, -1.7], [0, -2.0]), []
    for name in ("sequence", "sequence_token"):
        now = padded([0, -1.0, -2.0], [0, -3.0]).requires_grad_()
        level = RATIOS[name](now, then, **PADDED).exp()
        # each completion weighs 1, shared over its tokens
        weights = torch.where(PADDED["trainable"], 1 / PADDED["sequence_tokens"].clamp(min=1), 0.0)
        (level * weights * torch.tensor([[2.0], [-1.0]])).sum().backward()
        gradients.append(now.grad)
    # e^.1 · 2 / 2 at each token of the first, −e^−1 at the second's
    expected = [[0, math.exp(0.1), math.exp(0.1)], [0, -math.exp(-1), 0]]
    for gradient in gradients:
        np.testing.assert_allclose(gradient, expected, rtol=1e-12)


# ρ = 1.5 and 4 (product 6, geometric mean √6 = 2.449); ρ = .25
RHO = ([9.0, 1.5, 4.0], [9.0, 0.25])


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("none", [1, 1], 1),
        ("token_truncate", [1.5, 3], 0.25),
        ("sequence_truncate", [3, 3], 0.25),
        ("token_mask", [1.5, 0], 0),
        ("sequence_mask", [0, 0], 0),
        ("geometric_mask", [1, 1], 0),
    ],
)
def test_mismatch_weights_by_hand(name, first, second):
    for layout, place in ((padded, PADDED), (packed, PACKED)):
        got = MISMATCHES[name](layout(*RHO).log(), **place, low=0.5, high=3.0)
        np.testing.assert_allclose(got[place["trainable"]], [*first, second], rtol=1e-12)
        assert not got.requires_grad


def test_equal_numerics_give_weight_one_under_every_correction():
    for name, function in MISMATCHES.items():
        got = function(padded([0, 0, 0], [0, 0]), **PADDED, low=0.5, high=2.0)
        assert got.tolist() == [[1, 1, 1], [1, 1, 1]], name


def test_an_enormous_gap_stays_finite():
    for function in MISMATCHES.values():
        assert function(padded([0, 1e4, 1e4], [0, -1e4]), **PADDED, low=0.0, high=3.0).isfinite().all()
