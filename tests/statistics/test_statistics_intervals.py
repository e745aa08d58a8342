import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.keyed import uniform
from rlvr.statistics.intervals import paired_difference_interval, proportion_interval, rate_interval, share_interval

RATES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_wilson_by_hand():
    # 8 of 10 with z = 1.96, z² = 3.8416: centre (0.8 + 0.19208) / 1.38416 = 0.71674,
    # half 1.96 / 1.38416 * sqrt(0.016 + 0.009604) = 0.22658: from 0.4902 to 0.9433.
    interval = proportion_interval(8, 10)
    assert interval.mean == 0.8
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_no_success_leaves_room_above_zero():
    # Wilson at 0 of n is [0, z² / (n + z²)]: 3.8415 / 103.8415 = 0.03699.
    interval = proportion_interval(0, 100)
    assert (interval.mean, interval.low) == (0.0, 0.0)
    assert interval.high == pytest.approx(0.03699, abs=1e-5)
    assert proportion_interval(100, 100).low == pytest.approx(1 - 0.03699, abs=1e-5)


def test_effective_sample_size_by_hand():
    # Rates 1, .5, .5, 0: mean .5, s² = (.25 + 0 + 0 + .25) / 3 = 1/6, s²/N = 1/24, m(1-m) / (1/24) = 6 effective tasks,
    # times (1.959964 / 3.182446)² = 0.379292: 2.275754. Wilson: spread 3.841459 / 2.275754 = 1.687994,
    # half 1.959964 / 2.687994 * sqrt(0.25 / 2.275754 + 1.687994 / 9.103015) = 0.396224.
    interval = rate_interval([1, 0.5, 0.5, 0])
    assert interval.mean == 0.5
    assert (interval.low, interval.high) == pytest.approx((0.5 - 0.396224, 0.5 + 0.396224), abs=1e-6)


def test_tasks_that_all_agree_are_still_only_so_many_tasks():
    # 50 of 50 right, t = 2.009575 with 49 degrees: effective 50 * (1.959964 / 2.009575)² = 47.5617,
    # low = 1 - z² / (47.5617 + z²) = 1 - 0.074732.
    assert rate_interval([1.0] * 50).low == pytest.approx(1 - 0.074732, abs=1e-6)
    assert rate_interval([1.0] * 50).high == 1.0


def test_more_completions_of_the_same_tasks_do_not_count_as_more_tasks():
    answers = [1.0, 0.0] * 10
    assert rate_interval(answers).low == pytest.approx(rate_interval(np.repeat(answers, 1)).low)
    per_completion = proportion_interval(160, 320)
    per_task = rate_interval(answers)
    assert per_task.high - per_task.low > 3 * (per_completion.high - per_completion.low)


@given(RATES)
def test_an_interval_holds_its_mean_and_stays_in_range(rates):
    interval = rate_interval(rates)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert interval.high > interval.low


@given(RATES, st.randoms(use_true_random=False))
def test_an_interval_of_differences_holds_its_mean_and_changes_sign_with_the_order(rates, random):
    others = [random.random() for _ in rates]
    forth, back = paired_difference_interval(rates, others), paired_difference_interval(others, rates)
    assert -1 <= forth.low <= forth.mean <= forth.high <= 1
    assert (back.low, back.mean, back.high) == pytest.approx((-forth.high, -forth.mean, -forth.low), abs=1e-12)


def test_a_paired_difference_by_hand():
    # Differences .5, .5, 0, 0 with pseudo-pairs: N = 6, centre 1/6, sum of squares .5 + 1 = 1.5,
    # s² = (1.5 - 6/36) / 5 = 0.266667, t(5) = 2.570582: half = 2.570582 * sqrt(0.266667 / 6) = 0.541926.
    interval = paired_difference_interval([0, 0, 0.5, 1], [0.5, 0.5, 0.5, 1])
    assert interval.mean == 0.25
    assert (interval.low, interval.high) == pytest.approx((1 / 6 - 0.541926, 1 / 6 + 0.541926), abs=1e-6)


def test_pairing_sees_a_gain_that_two_separate_intervals_cannot():
    before = np.linspace(0, 0.9, 60)
    after = before + 0.1
    assert paired_difference_interval(before, after).low > 0.05
    assert rate_interval(before).high > rate_interval(after).low


def coverage(chances: np.ndarray, truth: float, samples: int) -> float:
    """How often the interval holds the truth, over simulated evaluations; `chances` [R, N] of each task."""
    repeats, size = chances.shape
    draws = uniform(1, "coverage", *np.ogrid[:repeats, :size, :samples])
    rates = (draws < chances[:, :, None]).mean(axis=2)
    intervals = [rate_interval(row) for row in rates]
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@pytest.mark.parametrize("samples", [1, 16])
@pytest.mark.parametrize("size", [20, 100])
def test_intervals_hold_the_truth_about_as_often_as_they_say(size, samples):
    shape = uniform(2, "tasks", *np.ogrid[:1000, :size])
    even = coverage(shape, 0.5, samples)
    skewed = coverage(shape**9, 0.1, samples)  # the mean of u⁹ is 1/10
    nearly_all = coverage((shape >= 0.02).astype(float), 0.98, samples)
    assert 0.93 <= even <= 0.98
    assert 0.90 <= skewed <= 0.99
    assert 0.92 <= nearly_all <= 1.0


def test_intervals_of_a_difference_hold_no_difference_about_as_often_as_they_say():
    chances = uniform(3, "tasks", *np.ogrid[:1000, :50, :1])
    first, second = ((uniform(seed, "paired", *np.ogrid[:1000, :50, :8]) < chances).mean(axis=2) for seed in (4, 5))
    held = [(i := paired_difference_interval(a, b)).low <= 0 <= i.high for a, b in zip(first, second, strict=True)]
    assert 0.94 <= np.mean(held) <= 0.99


@pytest.mark.parametrize("rates", [[], [0.5, float("nan")], [1.1], [-0.1], [[0.5]]])
def test_rates_that_are_none_are_refused(rates):
    with pytest.raises(ValueError):
        rate_interval(rates)


def test_unequal_pairs_and_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="2 rates against 1"):
        paired_difference_interval([0.5, 0.5], [0.5])
    for successes, trials in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError):
            proportion_interval(successes, trials)


def test_where_nearly_all_tasks_are_right_a_t_interval_would_promise_too_much():
    rights = uniform(6, "tasks", *np.ogrid[:1000, :20]) >= 0.02
    # The t interval of 20 rights has no width: it misses the truth of 0.98 whenever none is wrong, 0.98²⁰ = 67 in 100.
    share_without_width = np.mean(rights.all(axis=1))
    assert share_without_width == pytest.approx(0.98**20, abs=0.05)
    ours = [rate_interval(row) for row in rights.astype(float)]
    assert np.mean([interval.low <= 0.98 <= interval.high for interval in ours]) > 0.92


def test_a_share_over_tasks_of_one_size_is_the_rate_over_tasks() -> None:
    kept = [0, 1, 2, 3, 3, 1]
    shares, rates = share_interval(kept, [3] * 6), rate_interval([k / 3 for k in kept])
    assert (shares.mean, shares.low, shares.high) == pytest.approx((rates.mean, rates.low, rates.high))


def test_a_share_over_tasks_of_different_sizes_weighs_them_by_size() -> None:
    # 3 of 6. Residuals 1 - .5, 0 - .5, 2 - 2: variance 3/2 × 0.5 / 36 = 1/48, so 0.25 × 48 = 12 tasks' worth, times
    # (1.95996 / 4.30265)² = 0.20750 for 2 degrees of freedom: Wilson at 2.4900 has z²/n = 1.5428 and the ends
    # 0.5 ± 1.95996 / 2.5428 × √(0.25 / 2.4900 + 1.5428 / (4 × 2.4900)) = 0.5 ± 0.3895
    found = share_interval([1, 0, 2], [1, 1, 4])
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.1105, 0.8895), abs=1e-4)


def test_the_share_holds_the_truth_where_what_a_task_keeps_hangs_together() -> None:
    rng, held = np.random.default_rng(2), {}
    for rate in (0.1, 0.5, 0.9):
        hits = 0
        for _ in range(1000):
            sizes = rng.integers(1, 4, 100)
            chances = rng.beta(2 * rate, 2 * (1 - rate), 100)
            found = share_interval(rng.binomial(sizes, chances), sizes)
            hits += found.low <= rate <= found.high
        held[rate] = hits / 1000
    assert min(held.values()) >= 0.93, held


@pytest.mark.parametrize(("parts", "sizes"), [([], []), ([1], [0]), ([2], [1]), ([1, 1], [1]), ([-1], [1])])
def test_shares_outside_their_sizes_are_refused(parts: list[int], sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        share_interval(parts, sizes)


def test_a_share_of_one_task_is_as_wide_as_one_task() -> None:
    assert share_interval([3], [4]) == rate_interval([0.75])
