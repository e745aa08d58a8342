import itertools

import numpy as np
import pytest

from rlvr.statistics.paired import bootstrap_interval, holm, permutation_test, sign_test

BAD_PAIRS = [([0.5], [0.5, 1.0]), ([], []), ([1.5], [0.5]), ([0.5], [float("nan")]), ([[0.5]], [[0.5]])]


def test_the_sign_test_by_hand():
    # 5 better, 1 worse: 2 (C(6,0) + C(6,1)) / 2^6 = 14 / 64
    assert sign_test(5, 1) == pytest.approx(14 / 64)
    assert sign_test(1, 5) == pytest.approx(14 / 64)
    assert (sign_test(0, 0), sign_test(3, 3)) == (1.0, 1.0)
    with pytest.raises(ValueError, match="counts of 0 or more"):
        sign_test(-1, 2)


def test_few_pairs_are_permuted_in_every_way():
    a, b = np.array([0.5, 0.25, 0.0, 1.0, 0.5, 0.5]), np.array([1.0, 0.5, 0.5, 0.5, 0.5, 1.0])
    moved = (b - a)[b != a]
    sums = [
        abs(sum(s * d for s, d in zip(signs, moved, strict=True))) for signs in itertools.product((1, -1), repeat=5)
    ]
    assert permutation_test(a, b) == pytest.approx(np.mean(np.array(sums) >= abs(moved.sum()) - 1e-9))
    assert permutation_test([0.5, 1.0], [0.5, 1.0]) == 1.0


def test_for_right_or_wrong_answers_the_permutation_test_is_the_sign_test():
    a, b = np.array([0.0] * 6 + [1.0] * 2 + [1.0] * 9), np.array([1.0] * 6 + [0.0] * 2 + [1.0] * 9)
    assert permutation_test(a, b) == pytest.approx(sign_test(6, 2))
    a, b = np.repeat(a, 4), np.repeat(b, 4)  # 32 that differ: drawn
    assert permutation_test(a, b) == pytest.approx(sign_test(24, 8), abs=0.002)
    assert permutation_test(a, b) == permutation_test(a, b)


def test_a_drawn_p_value_is_never_zero():
    assert permutation_test([0.0] * 40, [1.0] * 40, num_draws=500) == pytest.approx(1 / 501)


def test_a_test_of_nothing_is_false_as_often_as_it_says():
    rng, values = np.random.default_rng(1), []
    for _ in range(400):
        pairs = rng.integers(0, 5, size=(2, 40)) / 4
        values.append(permutation_test(pairs[0], pairs[1], num_draws=400))
    # 400 tests at level 0.1: standard error 0.015
    assert 0.05 < np.mean(np.array(values) <= 0.1) < 0.15


def test_the_bootstrap_holds_the_truth_and_agrees_with_a_t_interval():
    rng, held, widths = np.random.default_rng(2), [], []
    for _ in range(200):
        before = rng.binomial(8, 0.4, size=100) / 8
        after = rng.binomial(8, 0.5, size=100) / 8
        found = bootstrap_interval(before, after, num_draws=600)
        held.append(found.low <= 0.1 <= found.high)
        widths.append(found.high - found.low)
    # standard error 0.015
    assert np.mean(held) > 0.90
    # 100 differences of variance 0.06125 and a pair that moved by 1, of 102, each counted for t = 1.9835
    spread = np.sqrt((100 * 0.06125 + 1) / 102)
    assert np.mean(widths) == pytest.approx(2 * 1.9835 * spread / 10.1, rel=0.03)


def test_the_bootstrap_is_not_empty_where_no_task_differs():
    found = bootstrap_interval([0.5] * 98, [0.5] * 98)
    # Only the pair that moved: of 100 drawn it comes a Poisson number of times, mean 1, half of them up; 2.5% of the
    # draws are 3 up and more net (0.9% are, and 2 and more are 5.5%), the tail being 2.3%
    assert found.mean == 0.0
    assert (found.low, found.high) == (-0.02, 0.02)


def test_holm_by_hand():
    # 0.01 x 4, 0.02 x 3, then 0.03 x 2 is not above 0.06, and 0.9
    assert holm({"a": 0.03, "b": 0.01, "c": 0.02, "d": 0.9}) == pytest.approx(
        {"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.9}
    )
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    with pytest.raises(ValueError, match="p-values"):
        holm({"a": 1.2})


@pytest.mark.parametrize(("a", "b"), BAD_PAIRS)
@pytest.mark.parametrize("of_pairs", [permutation_test, bootstrap_interval])
def test_pairs_that_are_none_are_refused(of_pairs, a, b):
    with pytest.raises(ValueError, match=r"same tasks|lies between"):
        of_pairs(a, b)
