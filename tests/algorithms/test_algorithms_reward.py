"""Losses of a reward model: hand-worked numbers, a loop, and gradients."""

import math

import pytest
import torch

from rlvr.algorithms.reward import bradley_terry, centring_term

CHOSEN = torch.tensor([2.0, 0.5, -1.0, 300.0], dtype=torch.float64)
REJECTED = torch.tensor([1.0, 0.5, 1.0, -500.0], dtype=torch.float64)


def test_bradley_terry_by_hand():
    # differences 1, 0, -2, 800: ln(1 + e^-1) = .3132617, ln 2, ln(1 + e^2) = 2.1269280, 0
    assert bradley_terry(CHOSEN, REJECTED, margin=0.0).tolist() == pytest.approx(
        [0.31326168751822286, math.log(2), 2.1269280110429727, 0.0], abs=1e-15
    )
    # with margin 1: 0, -1, -3, 799
    assert bradley_terry(CHOSEN, REJECTED, margin=1.0).tolist() == pytest.approx(
        [math.log(2), 1.3132616875182228, 3.0485873515737424, 0.0], abs=1e-15
    )


def test_a_hopeless_pair_gives_a_finite_loss_and_gradient():
    rejected = REJECTED.clone().requires_grad_(True)
    loss = bradley_terry(-CHOSEN * 1e4, rejected, margin=0.0)
    assert loss[3].item() == pytest.approx(3_000_000 - 500)
    loss.sum().backward()
    assert rejected.grad[3].item() == 1.0


def test_the_centring_term_by_hand():
    # sums 3, 1, 0, -200: 0.01 · 9, 0.01, 0, 400
    found = centring_term(CHOSEN, REJECTED, centring_coefficient=0.01)
    assert found.tolist() == pytest.approx([0.09, 0.01, 0.0, 400.0], abs=1e-12)
    assert centring_term(CHOSEN, REJECTED, centring_coefficient=0.0).tolist() == [0.0] * 4


def test_the_gradients_are_those_of_the_formulas():
    chosen = CHOSEN[:3].clone().requires_grad_(True)
    rejected = REJECTED[:3].clone().requires_grad_(True)
    loss = bradley_terry(chosen, rejected, margin=0.5) + centring_term(chosen, rejected, centring_coefficient=0.1)
    loss.sum().backward()
    for c, r, gc, gr in zip(CHOSEN.tolist(), REJECTED.tolist(), chosen.grad.tolist(), rejected.grad.tolist()):  # noqa: B905
        # d/dr_c of -ln σ(x) is -σ(-x); of c (r_c + r_r)² it is 2 c (r_c + r_r)
        pull = 1 / (1 + math.exp(c - r - 0.5))
        assert gc == pytest.approx(-pull + 0.2 * (c + r), abs=1e-12)
        assert gr == pytest.approx(pull + 0.2 * (c + r), abs=1e-12)
