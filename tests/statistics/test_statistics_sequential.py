import math

import numpy as np
import pytest

from rlvr.statistics.sequential import anytime_lower_bounds


def by_a_loop(values, error):
    """The paper's theorem 2 for numbers in [0, 1], one after the other."""
    bounds, bets, gains, costs = [], 0.0, 0.0, 0.0
    total, squares, mean, variance = 0.0, 0.0, 0.5, 0.25
    for t, x in enumerate(values, start=1):
        bet = min(math.sqrt(2 * math.log(1 / error) / (variance * t * math.log(1 + t))), 0.5)
        v, psi = 4 * (x - mean) ** 2, (-math.log(1 - bet) - bet) / 4
        bets, gains, costs = bets + bet, gains + bet * x, costs + v * psi
        total += x
        mean = (0.5 + total) / (t + 1)
        squares += (x - mean) ** 2
        variance = (0.25 + squares) / (t + 1)
        bounds.append(max(0.0, (gains - math.log(1 / error) - costs) / bets))
    return bounds


def test_it_is_the_papers_formula():
    values = np.random.default_rng(0).random(50)
    assert anytime_lower_bounds(values, error=0.05, low=0.0) == pytest.approx(by_a_loop(values, 0.05), abs=1e-12)
    assert anytime_lower_bounds(2 * values - 1, error=0.05) == pytest.approx(
        2 * np.array(by_a_loop(values, 0.05)) - 1, abs=1e-12
    )


@pytest.mark.parametrize("chances", [(0.1, 0.8, 0.1), (0.02, 0.96, 0.02), (0.3, 0.4, 0.3)])
def test_whoever_looks_after_every_value_is_deceived_as_seldom_as_promised(chances):
    rng, error = np.random.default_rng(4), 0.1
    rows = rng.choice([-1.0, 0.0, 1.0], size=(1500, 600), p=chances)
    deceived = np.any(anytime_lower_bounds(rows, error=error) > 0, axis=1)
    # standard error 0.008
    assert np.mean(deceived) <= error + 0.016


def test_a_difference_is_found_and_the_bound_comes_close():
    rng = np.random.default_rng(5)
    bounds = anytime_lower_bounds(rng.choice([-1.0, 0.0, 1.0], size=20_000, p=(0.05, 0.75, 0.2)), error=0.05)
    assert bounds[200] > 0  # the truth is 0.15
    assert 0.13 < bounds[-1] < 0.15


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([1.5], 0.1, "between -1.0 and 1.0"),
        ([float("nan")], 0.1, "between"),
        ([0.0], 0.0, "error"),
        ([0.0], 1.0, "error"),
    ],
)
def test_what_cannot_be_bounded_is_refused(values, error, said):
    with pytest.raises(ValueError, match=said):
        anytime_lower_bounds(values, error=error)
