"""KL estimators: hand-worked values, and their expected gradients against the closed forms on a small categorical."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.kl import KL_ESTIMATORS, adapted, k1, k2, k3, k3_k2

LN2 = math.log(2)


@pytest.mark.parametrize(
    ("estimator", "above", "below"),
    [
        (k1, LN2, -LN2),
        (k2, LN2**2 / 2, LN2**2 / 2),  # .4805 / 2 = .2402
        (k3, LN2 - 0.5, 1 - LN2),  # e^−ln2 + ln2 − 1 = .1931; e^ln2 − ln2 − 1 = .3069
        (k3_k2, LN2 - 0.5, 1 - LN2),
    ],
)
def test_values_at_plus_and_minus_ln_2(estimator, above, below):
    got = estimator(torch.tensor([[LN2, -LN2]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    np.testing.assert_allclose(got, [[above, below]], rtol=1e-12)
    assert [round(v, 4) for v in got[0].tolist()] in ([0.6931, -0.6931], [0.2402, 0.2402], [0.1931, 0.3069])


logits = st.lists(st.floats(-2, 2), min_size=5, max_size=5)


def expected_gradient(estimator, policy_logits, reference_logits):
    """Gives ∇_logits of Σ_a sg[p(a)]·k(x(a)): the expectation over on-policy samples of the loss's gradient."""
    theta = torch.tensor(policy_logits, dtype=torch.float64, requires_grad=True)
    log_p = theta.log_softmax(dim=0)
    log_q = torch.tensor(reference_logits, dtype=torch.float64).log_softmax(dim=0)
    (log_p.exp().detach() * estimator(log_p, log_q)).sum().backward()
    return theta.grad, log_p.detach(), log_q


@given(logits, logits)
def test_k1_as_a_loss_has_expected_gradient_zero(policy, reference):
    gradient, _, _ = expected_gradient(k1, policy, reference)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


@pytest.mark.parametrize("estimator", [k2, k3_k2])
@given(policy=logits, reference=logits)
def test_k2_and_k3_with_its_gradient_have_the_gradient_of_the_reverse_kl(estimator, policy, reference):
    gradient, log_p, log_q = expected_gradient(estimator, policy, reference)
    p = log_p.exp()
    reverse = (p * (log_p - log_q)).sum()
    # ∂/∂θ_j Σ p log(p/q) = p_j · (log(p_j/q_j) − KL)
    np.testing.assert_allclose(gradient, p * (log_p - log_q - reverse), atol=1e-12)


@given(logits, logits)
def test_k3_as_a_loss_has_the_gradient_of_the_forward_kl(policy, reference):
    gradient, log_p, log_q = expected_gradient(k3, policy, reference)
    # ∂/∂θ_j Σ q log(q/p) = p_j − q_j
    np.testing.assert_allclose(gradient, log_p.exp() - log_q.exp(), atol=1e-12)


@pytest.mark.parametrize("estimator", [k1, k3])
@given(policy=logits, reference=logits)
def test_k1_and_k3_estimate_the_reverse_kl_without_bias(estimator, policy, reference):
    log_p = torch.tensor(policy, dtype=torch.float64).log_softmax(dim=0)
    log_q = torch.tensor(reference, dtype=torch.float64).log_softmax(dim=0)
    exact = (log_p.exp() * (log_p - log_q)).sum()
    np.testing.assert_allclose((log_p.exp() * estimator(log_p, log_q)).sum(), exact, atol=1e-12)


@given(st.floats(-60, 60))
def test_k2_and_k3_are_never_negative_and_always_finite(x):
    for name in ("k2", "k3"):
        value = KL_ESTIMATORS[name](torch.tensor([[x]], dtype=torch.float32), torch.zeros(1, 1)).item()
        assert math.isfinite(value)
        assert value >= 0


def test_k3_is_cut_below_and_not_above():
    x = torch.tensor([[-50.0, -20.0, 50.0]], dtype=torch.float64, requires_grad=True)
    value = k3(x, torch.zeros(1, 3, dtype=torch.float64))
    # e^20 − 20 − 1 twice; e^−50 + 50 − 1 = 49
    np.testing.assert_allclose(value.detach(), [[math.exp(20) - 21, math.exp(20) - 21, 49.0]], rtol=1e-12)
    value.sum().backward()
    # d/dx = 1 − e^−x: nothing past the cut, 1 far above
    assert x.grad[0, 0].item() == 0.0
    assert x.grad[0, 2].item() == pytest.approx(1.0)


def test_a_kl_over_its_target_raises_the_coefficient_and_one_below_lowers_it():
    # 20 % over, 1000 of 10000 completions: .1 · (1 + .2 · .1) = .102; far under: cut at −.2
    assert adapted(0.1, 12.0, target=10, horizon=10_000, completions=1000) == pytest.approx(0.102)
    assert adapted(0.1, 0.0, target=10, horizon=10_000, completions=1000) == pytest.approx(0.098)
    assert adapted(0.1, 1e9, target=10, horizon=10_000, completions=1000) == pytest.approx(0.102)
    assert adapted(0.1, 10.0, target=10, horizon=10_000, completions=1000) == 0.1
    # a fifth at most, so that it cannot reach 0
    assert adapted(0.1, 0.0, target=10, horizon=1, completions=1000) == pytest.approx(0.08)
