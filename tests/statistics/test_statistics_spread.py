import numpy as np
import pytest
from scipy.stats import f_oneway

from rlvr.statistics.spread import correlation, spread_of


def test_the_spread_by_hand():
    # means 0.5 and 0.75; differences of the tasks .5, 0, .5, 0
    found = spread_of([[0.0, 1.0, 0.0, 1.0], [0.5, 1.0, 0.5, 1.0]])
    assert found.means == pytest.approx(0.25 / 2**0.5)
    # residuals are half of (difference - 0.25): 8 of 0.125², over 3 degrees: 0.0416667; over 4 tasks, rooted
    assert found.noise == pytest.approx((8 * 0.125**2 / 3 / 4) ** 0.5)
    # F(1, 3) = 4 * 0.03125 / 0.0416667 = 3, the square of a t of 1.732 with 3 degrees
    assert found.p == pytest.approx(0.1817, abs=1e-4)


def test_without_differences_of_tasks_it_is_the_usual_analysis():
    rates = np.random.default_rng(0).random((4, 4000))
    assert spread_of(rates).p == pytest.approx(f_oneway(*rates).pvalue, abs=0.01)


def test_alike_racers_look_different_as_seldom_as_they_should():
    rng = np.random.default_rng(1)
    tasks = rng.random(60)
    found = [spread_of(rng.binomial(4, np.broadcast_to(tasks, (6, 60))) / 4).p <= 0.05 for _ in range(600)]
    # standard error 0.009
    assert np.mean(found) < 0.08


def test_equal_tables_have_no_spread_and_too_small_ones_none_at_all():
    assert spread_of([[0.5, 0.5], [0.5, 0.5]]).p == 1.0
    assert spread_of([[0.5, 0.5], [1.0, 1.0]]).p == 0.0
    for bad in ([[0.5, 0.5]], [[0.5], [0.5]], [0.5, 0.5]):
        with pytest.raises(ValueError, match="at least 2"):
            spread_of(bad)


def test_the_correlation_by_hand():
    found = correlation([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0])
    assert found.mean == pytest.approx(0.8)
    # Fisher: atanh(0.8) = 1.0986, ± 1.96 / sqrt(2)
    assert (found.low, found.high) == pytest.approx((np.tanh(1.0986 - 1.3859), np.tanh(1.0986 + 1.3859)), abs=1e-3)


def test_a_correlation_of_few_or_of_what_does_not_vary_is_none():
    assert correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None
    assert correlation([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert correlation([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]).mean == pytest.approx(1.0)
    with pytest.raises(ValueError, match="pairs"):
        correlation([1.0], [1.0, 2.0])
