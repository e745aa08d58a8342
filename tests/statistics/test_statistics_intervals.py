import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.keyed import uniform
from rlvr.statistics.intervals import (
    Interval,
    paired_difference_interval,
    proportion_interval,
    rate_interval,
    ratio_interval,
    share_interval,
    unpaired_difference_interval,
)

RATES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_wilson_by_hand():
    # 8 of 10 with z = 1.96, z² = 3.8416: centre (0.8 + 0.19208) / 1.38416 = 0.71674,
    # half 1.96 / 1.38416 * sqrt(0.016 + 0.009604) = 0.22658: from 0.4902 to 0.9433.
    interval = proportion_interval(8, 10)
    assert interval.mean == 0.8
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_an_interval_is_told_as_a_rate_or_as_a_change_of_one():
    found = Interval(0.1234, -0.05, 0.2)
    assert found.points() == "+12.3 points [-5.0, +20.0]"
    assert found.points("") == "+12.3 [-5.0, +20.0]"
    assert found.percent("%") == "12.3% [-5.0, 20.0]"
    assert found.percent() == "12.3 [-5.0, 20.0]"


def test_no_success_leaves_room_above_zero():
    # Wilson at 0 of n is [0, z² / (n + z²)]: 3.8415 / 103.8415 = 0.03699.
    interval = proportion_interval(0, 100)
    assert (interval.mean, interval.low) == (0.0, 0.0)
    assert interval.high == pytest.approx(0.03699, abs=1e-5)
    assert proportion_interval(100, 100).low == pytest.approx(1 - 0.03699, abs=1e-5)


def test_effective_sample_size_by_hand():
    # Rates 1, .5, .5, 0 and two tasks more, 1 and 0: centre .5, s² = (1.5 + 1 - 6/4) / 5 = .2,
    # effective .25 / .2 * 4 = 5, times (1.959964 / t(5) = 2.570582)² = 0.581347: 2.906735. Wilson:
    # spread 3.841459 / 2.906735 = 1.321572, half 1.959964 / 2.321572 *
    # sqrt(0.25 / 2.906735 + 1.321572 / 11.62694) = 0.377246.
    interval = rate_interval([1, 0.5, 0.5, 0])
    assert interval.mean == 0.5
    assert (interval.low, interval.high) == pytest.approx((0.5 - 0.377246, 0.5 + 0.377246), abs=1e-6)


def test_tasks_that_all_agree_are_still_only_so_many_tasks():
    # 50 of 50 right and two tasks more: centre 51/52, s² = 1/52, effective 50 * 51/52 = 49.0385, times
    # (1.959964 / t(51) = 2.007584)² = 0.953123: 46.7397; low = 1 - z² / (46.7397 + z²) = 1 - 0.075947.
    assert rate_interval([1.0] * 50).low == pytest.approx(1 - 0.075947, abs=1e-6)
    assert rate_interval([1.0] * 50).high == 1.0


def test_one_task_tells_little():
    # With two tasks more: centre 2/3, s² = (2 - 3 * 4/9) / 2 = 1/3, effective 2/9 * 3 = 2/3, times
    # (1.959964 / t(2) = 4.302653)² = 0.207503: 0.138336; low = 1 - 3.841459 / (0.138336 + 3.841459) = 0.034760.
    assert rate_interval([1.0]).low == pytest.approx(0.034760, abs=1e-6)


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


def test_a_difference_of_independent_numbers_by_hand():
    # means 2 and 5, variances 1 and 4: error sqrt(1 / 3 + 4 / 3) = 1.290994, times t(2) = 4.302653 at 95%
    found = unpaired_difference_interval([1, 2, 3], [3, 5, 7])
    assert found.mean == -3.0
    assert (found.low, found.high) == pytest.approx((-3 - 5.554699, -3 + 5.554699), abs=1e-5)
    # the fewer tell the degrees: variance of 0, 1, 0, 1 is 1 / 3, sqrt(1 / 3 + 1 / 12) = 0.645497
    assert unpaired_difference_interval([0, 1, 0, 1], [1, 2, 3]).high == pytest.approx(
        -1.5 + 4.302653 * 0.645497, abs=1e-5
    )
    with pytest.raises(ValueError, match="two numbers of each"):
        unpaired_difference_interval([1, 2], [1])


def test_a_ratio_by_hand():
    # 6 nats over 4 tokens and 3 over 2: 9 / 6 = 1.5 with residuals 0 and 0; with 8 and 1 they are 8 - 6 = 2 and
    # 1 - 3 = -2, and without the first the ratio is 1 / 2, without the second 8 / 4: off by -1 and 0.5. So the error is
    # sqrt(1 / 2 * (1 + 0.25)) = 0.790569, times t(1) = 12.7062 at 95%: worth 36 / 20 items, at least 2 count.
    exact = ratio_interval([6, 3], [4, 2])
    assert (exact.mean, exact.low, exact.high) == (1.5, 1.5, 1.5)
    wide = ratio_interval([8, 1], [4, 2])
    assert wide.mean == 1.5
    assert (wide.low, wide.high) == pytest.approx((1.5 - 10.0451, 1.5 + 10.0451), abs=1e-3)
    # of equal sizes the mean 2 of 1, 2, 3 per unit: 1 / sqrt(3) = 0.577350 times t(2) = 4.302653
    assert ratio_interval([2, 4, 6], [2, 2, 2]).high == pytest.approx(2 + 2.484138, abs=1e-5)


def test_a_ratio_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(500):
        sizes = rng.integers(5, 60, size=80)
        found = ratio_interval(sizes * 0.7 + rng.normal(0, 0.3 * np.sqrt(sizes)), sizes)
        held += found.low <= 0.7 <= found.high
    assert 0.92 <= held / 500 <= 0.98


def test_a_ratio_needs_two_items_of_some_size():
    for totals, sizes in (([1], [1]), ([1, 2], [1]), ([1, 2], [1, 0]), ([1, float("nan")], [1, 1])):
        with pytest.raises(ValueError, match=r"expected|finite"):
            ratio_interval(totals, sizes)


def test_a_share_over_tasks_of_one_size_is_the_rate_over_tasks() -> None:
    kept = [0, 1, 2, 3, 3, 1]
    shares, rates = share_interval(kept, [3] * 6), rate_interval([k / 3 for k in kept])
    assert (shares.mean, shares.low, shares.high) == pytest.approx((rates.mean, rates.low, rates.high))


def test_a_share_over_tasks_of_different_sizes_weighs_them_by_size() -> None:
    # 3 of 6. With two tasks of mean size 2, 2 of 2 and 0 of 2, the centre is 5 / 10, and residuals are .5, -.5, 0, 1
    # and -1: 2.5 / 2² / 4 = 0.15625 a task, so 0.25 / 0.15625 × 3 = 4.8 tasks' worth, times (1.95996 / 2.77645)² for 4
    # degrees of freedom: Wilson at 2.3920 has z²/n = 1.6060 and the ends
    # 0.5 ± 1.95996 / 2.6060 × √(0.25 / 2.3920 + 1.6060 / (4 × 2.3920)) = 0.5 ± 0.3925
    found = share_interval([1, 0, 2], [1, 1, 4])
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.1075, 0.8925), abs=1e-4)


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
