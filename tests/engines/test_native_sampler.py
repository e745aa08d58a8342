"""Drawing tokens: exact on hand-worked rows, and with the right frequencies."""

import math

import numpy as np
import torch

from rlvr.engines.native import sampler
from rlvr.engines.native.sampler import draw_tokens


def draw(logits, temperatures, uniforms):
    return draw_tokens(
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor(temperatures, dtype=torch.float32),
        torch.tensor(uniforms, dtype=torch.float64),
    )


def test_tokens_follow_the_cumulated_probabilities():
    # p = (1/8, 1/2, 3/8), cumulated (0.125, 0.625, 1)
    row = [math.log(1), math.log(4), math.log(3)]
    uniforms = [0.0, 0.124, 0.126, 0.624, 0.626, 1 - 2**-53]
    tokens, logprobs = draw([row] * 6, [1.0] * 6, uniforms)
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2]
    expected = [math.log(p) for p in (0.125, 0.125, 0.5, 0.5, 0.375, 0.375)]
    np.testing.assert_allclose(logprobs, expected, atol=1e-6)


def test_temperature_two_flattens_and_log_probs_are_of_the_tempered_distribution():
    # logits log(1), log(9) at temperature 2: weights 1 and 3, p = (1/4, 3/4)
    tokens, logprobs = draw([[0.0, math.log(9)]] * 2, [2.0, 2.0], [0.24, 0.26])
    assert tokens.tolist() == [0, 1]
    np.testing.assert_allclose(logprobs, [math.log(0.25), math.log(0.75)], atol=1e-6)


def test_greedy_rows_take_the_maximum_with_untempered_log_probs_beside_sampled_ones():
    row = [math.log(1), math.log(4), math.log(3)]
    tokens, logprobs = draw([row] * 2, [0.0, 0.5], [0.99, 0.99])
    assert tokens.tolist() == [1, 2]
    # at temperature 1/2 the weights are 1, 16, 9: p(2) = 9/26
    np.testing.assert_allclose(logprobs, [math.log(0.5), math.log(9 / 26)], atol=1e-6)


def test_a_token_of_probability_zero_is_never_drawn():
    row = [-math.inf, 0.0, -math.inf, 0.0, -math.inf]
    tokens, logprobs = draw([row] * 4, [1.0] * 4, [0.0, 0.499, 0.5, 1 - 2**-53])
    assert tokens.tolist() == [1, 1, 3, 3]
    np.testing.assert_allclose(logprobs, math.log(0.5), atol=1e-6)


def test_a_row_that_is_not_finite_says_so_in_its_log_prob_only():
    tokens, logprobs = draw([[0.0, math.nan], [0.0, 0.0]], [1.0, 1.0], [0.3, 0.3])
    assert math.isnan(logprobs[0])
    assert (int(tokens[1]), round(float(logprobs[1]), 5)) == (0, -0.69315)


def test_chunks_of_rows_give_the_same_bits(monkeypatch):
    torch.manual_seed(0)
    logits, temperatures = torch.randn(50, 300) * 3, torch.rand(50).round(decimals=1)
    uniforms = torch.rand(50, dtype=torch.float64)
    whole = draw_tokens(logits, temperatures, uniforms)
    monkeypatch.setattr(sampler, "CHUNK_LOGITS", 7 * 300)
    parts = draw_tokens(logits, temperatures, uniforms)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


def test_frequencies_over_many_draws_are_the_probabilities():
    probabilities = np.array([0.05, 0.2, 0.3, 0.45])
    n = 40_000
    uniforms = np.random.default_rng(0).random(n)
    tokens, _ = draw(np.tile(np.log(probabilities), (n, 1)), np.ones(n), uniforms)
    # five standard errors of the rarest and the commonest are below 0.0125
    np.testing.assert_allclose(np.bincount(tokens, minlength=4) / n, probabilities, atol=0.0125)
