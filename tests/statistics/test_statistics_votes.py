import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.statistics.votes import majority_at_k

COUNTS = st.tuples(st.integers(0, 4), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 2))


def by_trying_all(num_right, num_wrong, num_silent, k):
    """The mean over all choices of k completions, a tie being shared."""
    answers = ["right"] * num_right + [None] * num_silent
    for number, count in enumerate(num_wrong):
        answers += [f"wrong {number}"] * count
    won = []
    for chosen in itertools.combinations(answers, k):
        votes = Counter(answer for answer in chosen if answer is not None)
        most = max(votes.values(), default=0)
        first = [answer for answer, count in votes.items() if count == most]
        won.append(("right" in first) / len(first) if first else 0.0)
    return sum(won) / len(won)


@given(COUNTS, st.integers(1, 8))
def test_it_is_the_mean_over_all_choices(counts, k):
    num_right, num_wrong, num_silent = counts
    if num_right + sum(num_wrong) + num_silent < k:
        with pytest.raises(ValueError, match="needs at least"):
            majority_at_k(num_right, num_wrong, num_silent, k=k)
        return
    expected = by_trying_all(num_right, num_wrong, num_silent, k)
    assert majority_at_k(num_right, num_wrong, num_silent, k=k) == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    # 2 right of 4, 2 others alike, k = 3: any three are 2 against 1, in half of the choices for the right answer.
    assert majority_at_k(2, [2], k=3) == pytest.approx(0.5)
    # the others differ: 2 right of 3 win (2 choices of 4), 1 right and two others are a tie of three (2 of 4)
    assert majority_at_k(2, [1, 1], k=3) == pytest.approx(0.5 + 0.5 / 3)
    # two without an answer: one right vote is enough
    assert majority_at_k(1, [], 2, k=2) == pytest.approx(2 / 3)


def test_one_vote_is_pass_at_1_and_all_votes_are_the_vote():
    assert majority_at_k(3, [4, 2], 1, k=1) == pytest.approx(0.3)
    assert majority_at_k(5, [4, 2], 9, k=20) == 1.0
    assert majority_at_k(4, [5], k=9) == 0.0
    assert majority_at_k(0, [], 3, k=2) == 0.0


def test_more_votes_help_the_more_frequent_answer_and_a_large_task_is_exact_enough():
    ups = [majority_at_k(64, [40, 24], k=k) for k in (1, 4, 16, 64)]
    downs = [majority_at_k(40, [64, 24], k=k) for k in (1, 4, 16, 64)]
    assert ups == sorted(ups)
    assert downs == sorted(downs, reverse=True)
    rng = random.Random(3)
    answers = ["r"] * 50 + ["a"] * 40 + ["b"] * 30 + [None] * 8
    drawn = []
    for _ in range(20000):
        votes = Counter(a for a in rng.sample(answers, 16) if a is not None)
        most = max(votes.values())
        first = [a for a, count in votes.items() if count == most]
        drawn.append(("r" in first) / len(first))
    # standard error 0.0034
    assert majority_at_k(50, [40, 30], 8, k=16) == pytest.approx(sum(drawn) / len(drawn), abs=0.015)


def test_many_different_answers_are_quick():
    assert 0 < majority_at_k(30, [1] * 98, k=128) <= 1
    assert majority_at_k(1, [1] * 127, k=128) == pytest.approx(1 / 128)


@pytest.mark.parametrize("counts", [(-1, [3], 0), (1, [-1, 4], 0), (1, [1], -1), (1, [1], 0)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(ValueError, match="maj@3 needs"):
        majority_at_k(*counts, k=3)
