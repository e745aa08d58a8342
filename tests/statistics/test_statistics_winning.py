"""Win rates: by hand, and with what length alone would explain taken out."""

import numpy as np
import pytest

from rlvr.statistics.winning import win_rate, win_rate_at_matched_length


def test_a_tie_is_half_a_win():
    assert win_rate([1, 0.5, 0, 0.5]).mean == 0.5


def test_equal_lengths_give_the_plain_win_rate():
    wins = [1] * 12 + [0] * 8
    assert win_rate_at_matched_length(wins, [0] * 20) == win_rate(wins)


def test_the_line_is_read_at_equal_length():
    # Lengths -1 and +1 only, root mean square 1: the line through (tanh(-1), 0.2) and (tanh(1), 0.8) is 0.5 at 0,
    # though the first side is longer in 15 of 20 and so wins 0.65 of all.
    lengths = [-1.0] * 5 + [1.0] * 15
    wins = [1, 0, 0, 0, 0] + [1] * 12 + [0] * 3
    found = win_rate_at_matched_length(wins, lengths)
    assert win_rate(wins).mean == pytest.approx(0.65)
    assert found.mean == pytest.approx(0.5)
    assert found.low < 0.5 < found.high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        lengths = rng.normal(20, 40, size=150)
        chance = 0.4 + 0.3 * np.tanh(lengths / np.sqrt(20**2 + 40**2))
        found = win_rate_at_matched_length(rng.random(150) < chance, lengths)
        held += found.low <= 0.4 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match="at least 10 comparisons"):
        win_rate_at_matched_length([1, 0], [1, 2])
    with pytest.raises(ValueError, match="every answer is longer by 3"):
        win_rate_at_matched_length([1, 0] * 10, [3] * 20)
    with pytest.raises(ValueError, match="between 0 and 1"):
        win_rate_at_matched_length([2, 0] * 10, range(20))
