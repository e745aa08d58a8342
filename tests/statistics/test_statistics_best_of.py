"""Best of k by score: the mean over all choices of k completions."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.statistics.best_of import best_of_k

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0])), min_size=1, max_size=7)


def by_trying_all(pairs: Sequence[tuple[int, float]], k: int) -> float:
    won = []
    for chosen in itertools.combinations(pairs, k):
        best = max(score for score, _ in chosen)
        among = [right for score, right in chosen if score == best]
        won.append(sum(among) / len(among))
    return sum(won) / len(won)


@given(PAIRS, st.integers(1, 7))
def test_it_is_the_mean_over_all_choices(pairs: list[tuple[int, float]], k: int) -> None:
    scores, right = zip(*pairs, strict=True)
    if k > len(pairs):
        with pytest.raises(ValueError, match="needs at least"):
            best_of_k(scores, right, k=k)
        return
    assert best_of_k(scores, right, k=k) == pytest.approx(by_trying_all(pairs, k), abs=1e-12)


def test_by_hand() -> None:
    # the best is right, the two others wrong: with k = 2 it is among 2 of 3 choices
    assert best_of_k([3.0, 1.0, 2.0], [1.0, 0.0, 0.0], k=2) == pytest.approx(2 / 3)
    # a reward model that likes a wrong one best misleads all the more, the more it sees
    assert best_of_k([0.0, 0.0, 9.0], [1.0, 1.0, 0.0], k=3) == 0.0
    # one score for all is a draw: the mean
    assert best_of_k([1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], k=4) == 0.25


def test_scores_without_their_completions_are_refused() -> None:
    with pytest.raises(ValueError, match="each with a score"):
        best_of_k([1.0, 2.0], [1.0], k=1)
