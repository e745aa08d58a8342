"""Preference losses: hand-worked numbers, and losses and gradients against a loop of plain Python numbers."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from rlvr.algorithms.preference import (
    PREFERENCE_LOSSES,
    hinge,
    ipo,
    kl_baseline,
    kto,
    nll_term,
    sigmoid,
    sigmoid_norm,
    simpo,
    smoothed,
)
from rlvr.config.preference import LOSS_ROWS, LossName


def pair(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# log-ratios 2 over 4 tokens and −1 over 2 tokens: Δ = 2 − (−1) = 3; per token 2/4 − (−1/2) = 1
PAIR = (pair(2.0), pair(-1.0), pair(4.0), pair(2.0))


def test_dpo_of_a_log_ratio_gap_of_three_at_beta_one_tenth():
    # β·Δ = .3; −log σ(.3) = log(1 + e^−.3) = log(1.740818) = .554355
    loss, margins = sigmoid(*PAIR, beta=0.1)
    assert margins.tolist() == pytest.approx([0.3])
    assert loss.tolist() == pytest.approx([0.554355], abs=1e-6)


def test_the_normalised_dpo_divides_each_log_ratio_by_its_own_length():
    # gap 1; β = 5: log(1 + e^−5) = .006715
    loss, margins = sigmoid_norm(*PAIR, beta=5.0)
    assert margins.tolist() == pytest.approx([5.0])
    assert loss.tolist() == pytest.approx([0.006715], abs=1e-6)


def test_label_smoothing_mixes_both_orders_of_the_pair():
    # −log σ(.3) = .554355, −log σ(−.3) = .854355; .9 · .554355 + .1 · .854355 = .498920 + .085436 = .584355
    loss, margins = sigmoid(*PAIR, beta=0.1, label_smoothing=0.1)
    assert loss.tolist() == pytest.approx([0.584355], abs=1e-6)
    assert margins.tolist() == pytest.approx([0.3])


def test_the_robust_form_subtracts_the_other_order_and_scales_up():
    # (.9 · .554355 − .1 · .854355) / (1 − .2) = (.498920 − .085436) / .8 = .516855
    loss, _ = sigmoid(*PAIR, beta=0.1, label_smoothing=0.1, robust=True)
    assert loss.tolist() == pytest.approx([0.516855], abs=1e-6)
    # per token: −log σ(.5) = .474077, −log σ(−.5) = .974077; (.8 · .474077 − .2 · .974077) / .6 = .307410
    loss, _ = sigmoid_norm(*PAIR, beta=0.5, label_smoothing=0.2, robust=True)
    assert loss.tolist() == pytest.approx([0.307410], abs=1e-6)


@pytest.mark.parametrize("margin", [-3.0, 0.0, 0.7])
def test_the_robust_form_over_flipped_labels_has_the_mean_of_clean_ones(margin):
    # .8 of the pairs keep their order, .2 come the other way round
    as_labelled, flipped = smoothed(pair(margin, -margin), label_smoothing=0.2, robust=True).tolist()
    assert 0.8 * as_labelled + 0.2 * flipped == pytest.approx(math.log(1 + math.exp(-margin)), abs=1e-12)


def test_the_conservative_form_is_least_where_the_pair_is_as_sure_as_its_label():
    # σ(m) = 1 − ε: m = log(.9 / .1)
    margin = pair(math.log(9.0)).requires_grad_()
    smoothed(margin, label_smoothing=0.1, robust=False).sum().backward()
    assert margin.grad.tolist() == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("robust", [False, True])
def test_without_smoothing_both_forms_are_the_plain_loss_to_the_last_bit(robust):
    margins = torch.linspace(-40, 40, 161)
    expected = -torch.nn.functional.logsigmoid(margins)
    assert smoothed(margins, label_smoothing=0.0, robust=robust).equal(expected)


def test_ipo_is_the_squared_distance_of_the_gap_per_token_from_its_target():
    # gap 1, target 1 / (2 · .4) = 1.25: (1 − 1.25)² = .0625; margin .4 · 1
    loss, margins = ipo(*PAIR, beta=0.4)
    assert loss.tolist() == pytest.approx([0.0625])
    assert margins.tolist() == pytest.approx([0.4])
    # a margin of 1/2 is the aim whatever β: gap 1 at β = .5
    assert ipo(*PAIR, beta=0.5)[0].tolist() == pytest.approx([0.0], abs=1e-15)


def test_the_hinge_leaves_a_pair_alone_whose_margin_has_reached_one():
    # 1 − .1 · 3 = .7; β = .5: margin 1.5, past 1
    assert hinge(*PAIR, beta=0.1)[0].tolist() == pytest.approx([0.7])
    loss, margins = hinge(*PAIR, beta=0.5)
    assert (loss.tolist(), margins.tolist()) == ([0.0], [1.5])


def test_simpo_asks_the_log_probability_per_token_to_exceed_by_the_target():
    # −6/4 − (−5/2) = 1; β = 2: margin 2, past γ = 1 by 1: log(1 + e^−1) = .313262
    loss, margins = simpo(pair(-6.0), pair(-5.0), pair(4.0), pair(2.0), beta=2.0, target_margin=1.0)
    assert loss.tolist() == pytest.approx([0.313262], abs=1e-6)
    assert margins.tolist() == pytest.approx([2.0])


def test_kto_pulls_each_kind_to_its_own_side_of_the_baseline_with_its_own_weight():
    # x − z = 2.5 − .5 = 2; β = .1: σ(.2) = .549834.
    # desirable: 2 · (1 − .549834) = .900332; undesirable: .5 · (1 − σ(−.2)) = .5 · .549834 = .274917
    loss, margins = kto(
        pair(2.5, 2.5),
        torch.tensor([True, False]),
        baseline=0.5,
        beta=0.1,
        desirable_weight=2.0,
        undesirable_weight=0.5,
    )
    assert loss.tolist() == pytest.approx([0.900332, 0.274917], abs=1e-6)
    assert margins.tolist() == pytest.approx([0.2, -0.2])


def test_the_baseline_of_kto_is_a_mean_that_is_never_negative():
    # (1 − 3 + 5) / 3 = 1; (1 − 3) / 2 = −1 → 0
    assert kl_baseline(pair(1.0, -3.0, 5.0)) == 1.0
    assert kl_baseline(pair(1.0, -3.0)) == 0.0
    assert kl_baseline(pair()) == 0.0


def test_the_nll_term_is_the_coefficient_times_the_loss_per_token_of_the_chosen():
    # .5 · 6/3
    assert nll_term(pair(-6.0), pair(3.0), nll_coefficient=0.5).tolist() == [1.0]


def test_every_name_in_a_recipe_has_a_row_and_every_paired_one_a_loss():
    assert list(LOSS_ROWS) == list(get_args(LossName))
    assert list(PREFERENCE_LOSSES) == [name for name, row in LOSS_ROWS.items() if row.paired]


def cells(name: str) -> dict[str, float]:
    return {"beta": 0.4, **{key: value for key, value in LOSS_ROWS[name].own.items() if key != "beta"}}


# −log σ(0) = ln 2; (1 / (2 · .4))² = 1.5625; 1 − 0; −log σ(−1) = log(1 + e) = 1.313262
AT_THE_REFERENCE = {"sigmoid": 0.693147, "sigmoid_norm": 0.693147, "ipo": 1.5625, "hinge": 1.0, "simpo": 1.313262}


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_equal_rewards_have_margin_0_and_the_loss_that_the_formula_says(name):
    loss, margins = PREFERENCE_LOSSES[name](pair(0.0), pair(0.0), pair(3.0), pair(5.0), **cells(name))
    assert loss.tolist() == pytest.approx([AT_THE_REFERENCE[name]], abs=1e-6)
    assert margins.tolist() == [0.0]


# at 0: −β·σ(−0) = −.4 · .5; −2 · 1.25; −β; −β·σ(γ) = −.4 · .731059
SLOPES = {"sigmoid": -0.2, "sigmoid_norm": -0.2, "ipo": -2.5, "hinge": -0.4, "simpo": -0.292423}


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_the_preference_gradient_raises_the_chosen_and_lowers_the_rejected(name):
    chosen, rejected = pair(0.0).requires_grad_(), pair(0.0).requires_grad_()
    loss, _ = PREFERENCE_LOSSES[name](chosen, rejected, pair(1.0), pair(1.0), **cells(name))
    loss.sum().backward()
    assert chosen.grad.tolist() == pytest.approx([SLOPES[name]], abs=1e-6)
    assert rejected.grad.tolist() == pytest.approx([-SLOPES[name]], abs=1e-6)


# margin −2e5 · .4 = −8e4; the squared one (−2e5 − 1.25)²
HOPELESS = {"sigmoid": 8e4, "sigmoid_norm": 8e4, "ipo": 200001.25**2, "hinge": 80001.0, "simpo": 80001.0}


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_a_hopeless_pair_has_a_finite_loss(name):
    loss, _ = PREFERENCE_LOSSES[name](pair(-1e5), pair(1e5), pair(1.0), pair(1.0), **cells(name))
    assert loss.tolist() == pytest.approx([HOPELESS[name]])


def plain_sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def smoothed_by_hand(m: float, e: float, robust: bool) -> tuple[float, float]:
    """Value and slope in m of the smoothed loss."""
    s = plain_sigmoid(m)
    if robust:
        return (-(1 - e) * math.log(s) + e * math.log(1 - s)) / (1 - 2 * e), -((1 - e) * (1 - s) + e * s) / (1 - 2 * e)
    return -(1 - e) * math.log(s) - e * math.log(1 - s), -(1 - e) * (1 - s) + e * s


def by_hand(name: str, c: float, r: float, nc: float, nr: float, own: dict[str, float]) -> tuple[float, float, float]:
    """Loss of one pair and its slopes in both rewards, with the derivatives worked out on paper; β = .7."""
    per_token = name in ("sigmoid_norm", "ipo", "simpo")
    wc, wr = (1 / nc, 1 / nr) if per_token else (1.0, 1.0)
    gap = c * wc - r * wr
    if name == "ipo":
        value, slope = (gap - 1 / 1.4) ** 2, 2 * (gap - 1 / 1.4)
    elif name == "hinge":
        value, slope = (1 - 0.7 * gap, -0.7) if 0.7 * gap < 1 else (0.0, 0.0)
    elif name == "simpo":
        value, slope = smoothed_by_hand(0.7 * gap - own["target_margin"], 0.0, False)
        slope *= 0.7
    else:
        value, slope = smoothed_by_hand(0.7 * gap, own.get("label_smoothing", 0.0), bool(own.get("robust")))
        slope *= 0.7
    return value, slope * wc, -slope * wr


CASES = [
    ("sigmoid", {}),
    ("sigmoid", {"label_smoothing": 0.2}),
    ("sigmoid", {"label_smoothing": 0.2, "robust": True}),
    ("sigmoid_norm", {}),
    ("sigmoid_norm", {"label_smoothing": 0.3}),
    ("sigmoid_norm", {"label_smoothing": 0.3, "robust": True}),
    ("ipo", {}),
    ("hinge", {}),
    ("simpo", {"target_margin": 0.6}),
]


@pytest.mark.parametrize(("name", "own"), CASES)
def test_loss_and_gradient_equal_a_loop_over_pairs_with_derivatives_from_paper(name, own):
    rng = np.random.default_rng(4)
    chosen, rejected = (torch.tensor(rng.normal(0, 2, 9)).requires_grad_() for _ in range(2))
    lengths = [torch.tensor(rng.integers(1, 12, 9).astype(float)) for _ in range(2)]
    loss, _ = PREFERENCE_LOSSES[name](chosen, rejected, *lengths, beta=0.7, **own)
    loss.sum().backward()
    rows = zip(chosen.tolist(), rejected.tolist(), lengths[0].tolist(), lengths[1].tolist(), strict=True)
    values, up, down = zip(*(by_hand(name, *row, own) for row in rows), strict=True)
    np.testing.assert_allclose(loss.detach(), values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(chosen.grad, up, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rejected.grad, down, rtol=0, atol=1e-9)


def test_loss_and_gradient_of_kto_equal_a_loop_over_completions_with_derivatives_from_paper():
    rng = np.random.default_rng(5)
    ratios, desirable = torch.tensor(rng.normal(0, 3, 9)).requires_grad_(), torch.tensor(rng.random(9) < 0.5)
    loss, _ = kto(ratios, desirable, baseline=0.8, beta=0.7, desirable_weight=1.3, undesirable_weight=0.6)
    loss.sum().backward()
    values, slopes = [], []
    for x, good in zip(ratios.tolist(), desirable.tolist(), strict=True):
        s = plain_sigmoid(0.7 * (x - 0.8) if good else 0.7 * (0.8 - x))
        values.append((1.3 if good else 0.6) * (1 - s))
        slopes.append((-1.3 if good else 0.6) * 0.7 * s * (1 - s))
    np.testing.assert_allclose(loss.detach(), values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ratios.grad, slopes, rtol=0, atol=1e-9)
