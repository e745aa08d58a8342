"""Win rates over tasks, and at matched length."""

import numpy as np
import pytest

from rlvr.statistics.intervals import mean_of, rate_interval
from rlvr.statistics.wins import matched_win_rate, win_rate


def test_the_task_is_the_unit_of_a_win_rate() -> None:
    # a: (1 + 0.5) / 2 = 0.75, b: 0; the mean over tasks is 0.375, over pairs it would be 0.5
    found = win_rate(["a", "a", "b"], [1.0, 0.5, 0.0])
    assert found == rate_interval([0.75, 0.0])
    assert found.mean == pytest.approx(0.375)


def test_pairs_of_either_kind_count_the_same_where_lengths_match() -> None:
    # 100:100 and 80:100 match, ours not the longer: (0 + 1) / 2; 125:100 and 110:100 match, ours the longer:
    # (1 + 1) / 2; 126:100 and 79:100 do not match. The mean of 0.5 and 1 is 0.75.
    ours, wins = [100, 80, 125, 110, 126, 79], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    found = matched_win_rate(list("abcdef"), wins, ours, [100] * 6)
    assert found is not None
    assert (found.rate.mean, found.num_pairs, found.num_tasks) == (0.75, 4, 4)
    assert found.rate == mean_of([rate_interval([0.0, 1.0]), rate_interval([1.0, 1.0])])


def test_where_one_kind_is_missing_nothing_is_said_of_matched_length() -> None:
    assert matched_win_rate(["a", "b"], [1.0, 0.0], [110, 300], [100, 100]) is None


@pytest.mark.parametrize("lean", [0, 30])
def test_a_judge_that_goes_by_length_alone_gives_one_half(lean: int) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(80, 400, 500) + lean, rng.integers(80, 200, 500)
    wins = np.where(ours == theirs, 0.5, ours > theirs).tolist()
    tasks = [str(n) for n in range(500)]
    assert win_rate(tasks, wins).mean > 0.75
    found = matched_win_rate(tasks, wins, ours.tolist(), theirs.tolist())
    assert found is not None
    assert found.rate.mean == pytest.approx(0.5, abs=0.02)
