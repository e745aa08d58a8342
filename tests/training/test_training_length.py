"""What each aggregation makes a token count for by length, by hand."""

import math

import numpy as np
import pytest

from rlvr.algorithms.presets import resolve
from rlvr.errors import DataError
from rlvr.training.length import Completions, length_report


def completions(*rows, learned=None, kept=None):
    """Rows of (step, group, tokens, right); the reward is 1 where right."""
    step, group, tokens, right = (np.array(column) for column in zip(*rows, strict=True))
    learned = np.ones(len(rows), dtype=bool) if learned is None else np.array(learned)
    kept = np.ones(len(rows), dtype=bool) if kept is None else np.array(kept)
    return Completions(step, group, tokens, right.astype(bool), right.astype(float), learned, kept)


# One step, one group: right answers of 2 and 4 tokens, wrong ones of 4 and 10; 20 tokens, 4 sequences.
ONE = completions((0, 0, 2, 1), (0, 0, 4, 1), (0, 0, 4, 0), (0, 0, 10, 0))


def test_a_token_s_weight_by_length_for_each_aggregation():
    report = length_report(ONE, resolve("dr_grpo"), max_completion_tokens=16)
    assert report.own == "constant"
    assert report.bins == ((2, 4), (10, 10))
    assert report.counts == {"right": (2, 0), "wrong": (1, 1)}
    for same in ("token_mean", "constant", "sequence_sum"):
        assert report.weights[same]["right"] == pytest.approx((1.0, math.nan), nan_ok=True)
        assert report.weights[same]["wrong"] == pytest.approx((1.0, 1.0))
    # 1 / (4 n) with n = 2, 4, 4, 10: times the mean 1/20 of one token's weight, 5 / n
    assert report.weights["sequence_mean"]["right"] == pytest.approx(((2.5 + 1.25) / 2, math.nan), nan_ok=True)
    assert report.weights["sequence_mean"]["wrong"] == pytest.approx((1.25, 0.5))


def test_the_share_of_the_push_by_length():
    report = length_report(ONE, resolve("dr_grpo"), max_completion_tokens=16)
    # all advantages are ±1/2: by tokens 4 and 10 of 14, by completions one of two
    assert report.shares["constant"]["wrong"] == pytest.approx((4 / 14, 10 / 14))
    assert report.shares["sequence_mean"]["wrong"] == pytest.approx((0.5, 0.5))
    assert report.shares["constant"]["right"] == (1.0, 0.0)


def test_steps_of_different_size_weigh_alike_only_under_a_constant():
    # step 0: two completions of 2 tokens; step 1: two of 6
    rows = completions((0, 0, 2, 1), (0, 0, 2, 0), (1, 1, 6, 1), (1, 1, 6, 0))
    report = length_report(rows, resolve("dapo"), max_completion_tokens=16)
    assert report.own == "token_mean"
    # a token has 1/4 and 1/12, the mean of the 16 tokens is 2/16
    assert report.weights["token_mean"]["right"] == pytest.approx((2.0, 2 / 3))
    assert report.weights["constant"]["right"] == pytest.approx((1.0, 1.0))


def test_a_group_without_a_signal_pushes_nothing_and_still_counts_in_the_denominators():
    rows = completions((0, 0, 2, 1), (0, 0, 4, 0), (0, 1, 10, 0), (0, 1, 10, 0))
    report = length_report(rows, resolve("dr_grpo"), max_completion_tokens=16)
    assert report.shares["token_mean"]["wrong"][-1] == 0.0
    assert sum(report.shares["token_mean"]["wrong"]) == pytest.approx(1.0)
    silent = length_report(completions((0, 0, 2, 0), (0, 0, 4, 0)), resolve("grpo"), max_completion_tokens=8)
    assert all(math.isnan(share) for share in silent.shares["token_mean"]["wrong"])


def test_the_advantage_is_the_row_s_own():
    # one of 2 wrong and 3 of 4: centred 1/2 and 1/4; standard deviations √(1/2) and 1/2, so 0.7071 and 0.5
    rows = completions((0, 0, 4, 0), (0, 0, 4, 1), *[(0, 1, 8, 0)] * 3, (0, 1, 8, 1))
    centred = length_report(rows, resolve("dr_grpo"), max_completion_tokens=8)
    # |A| n: 1/2 · 4 = 2 against 3 · 1/4 · 8 = 6
    assert centred.shares["constant"]["wrong"] == pytest.approx((0.25, 0.75))
    scaled = length_report(rows, resolve("dr_grpo", advantage="group_std"), max_completion_tokens=8)
    push = 0.5 / (math.sqrt(0.5) + 1e-4) * 4, 3 * 0.25 / (0.5 + 1e-4) * 8
    assert scaled.shares["constant"]["wrong"] == pytest.approx((push[0] / sum(push), push[1] / sum(push)))


def test_whitening_makes_groups_without_a_signal_push_too():
    # advantages +1/2 on 2 tokens, -1/2 on 4, 0 on 20: their mean over the tokens is -1/26, which is taken off
    rows = completions((0, 0, 2, 1), (0, 0, 4, 0), (0, 1, 10, 0), (0, 1, 10, 0))
    report = length_report(rows, resolve("reinforce_pp_baseline"), max_completion_tokens=16)
    # by tokens 4 · 12/26 against 20 · 1/26
    assert report.shares["constant"]["wrong"] == pytest.approx((48 / 68, 20 / 68))


def test_what_is_not_learned_from_is_in_the_baseline_and_nowhere_else():
    rows = [(0, 0, 4, 1), (0, 0, 4, 0), (0, 0, 8, 0), (0, 0, 16, 0)]
    report = length_report(
        completions(*rows, learned=[True, True, True, False]), resolve("dr_grpo"), max_completion_tokens=16
    )
    assert report.bins == ((4, 4), (8, 8))
    assert report.counts["wrong"] == (1, 1)
    # the mean of all four rewards is 1/4, so both wrong ones have -1/4
    assert report.shares["constant"]["wrong"] == pytest.approx((4 / 12, 8 / 12))
    # three sequences: 1/12 and 1/24, the mean of the 16 tokens is 1/16
    assert report.weights["sequence_mean"]["wrong"] == pytest.approx((16 / 12, 16 / 24))


def test_a_group_that_a_filter_refused_pushes_nothing_even_where_its_rewards_differ():
    rows = [(0, 0, 4, 1), (0, 0, 4, 0), (0, 1, 8, 1), (0, 1, 8, 0)]
    report = length_report(
        completions(*rows, kept=[True, True, False, False]), resolve("dr_grpo"), max_completion_tokens=16
    )
    assert report.shares["constant"]["wrong"] == (1.0, 0.0)
    assert report.counts["wrong"] == (1, 1)


def test_mean_lengths_follow_the_steps():
    rows = [(step, step, 4 + step, right) for step in range(40) for right in (0, 1)]
    report = length_report(completions(*rows), resolve("grpo"), max_completion_tokens=64)
    assert report.windows == tuple(range(2, 41, 2))
    assert report.lengths["right"][0] == pytest.approx(4.5)
    assert report.lengths["wrong"][-1] == pytest.approx(42.5)


def test_one_length_is_one_bin_and_no_completion_is_a_clear_error():
    report = length_report(completions((0, 0, 3, 0), (0, 0, 3, 1)), resolve("ppo"), max_completion_tokens=4)
    assert report.bins == ((3, 3),)
    assert report.shares["token_mean"] == {"right": (1.0,), "wrong": (1.0,)}
    nothing = Completions(*(np.array([], dtype=kind) for kind in (int, int, int, bool, float, bool, bool)))
    with pytest.raises(DataError, match="no completion"):
        length_report(nothing, resolve("grpo"), max_completion_tokens=4)
