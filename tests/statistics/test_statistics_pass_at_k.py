from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.statistics.pass_at_k import pass_at_k


def test_hand_worked():
    # n=4, c=2: of the C(4,2)=6 pairs one holds no right completion: 1 - 1/6. Of the singles 2 of 4 are right,
    # and every triple holds a right one.
    assert pass_at_k([4], [2], k=1) == pytest.approx([1 / 2], rel=1e-15)
    assert pass_at_k([4], [2], k=2) == pytest.approx([5 / 6], rel=1e-15)
    assert pass_at_k([4], [2], k=3) == [1.0]
    # n=16, c=1, k=16: the one right completion is always among the 16.
    assert pass_at_k([16, 16], [1, 0], k=16).tolist() == [1.0, 0.0]


@given(st.integers(1, 9), st.data())
def test_it_is_the_share_of_subsets_with_a_right_completion(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k=k) == pytest.approx([sum(map(any, subsets)) / len(subsets)], abs=1e-14)


@given(st.integers(1, 3000), st.data())
def test_it_is_the_formula_of_the_paper_in_exact_integers(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = (comb(n, k) - comb(n - c, k)) / comb(n, k)
    assert pass_at_k(n, c, k=k)[0] == pytest.approx(exact, rel=1e-12, abs=1e-300)


def test_rare_successes_keep_their_digits():
    assert pass_at_k(10**6, 1, k=1)[0] == pytest.approx(1e-6, rel=1e-14)


def test_it_is_unbiased():
    # A task solved with chance 0.2: pass@4 is 1 - 0.8^4 = 0.5904. The expectation over c ~ Binomial(10, 0.2), exactly.
    chances = [comb(10, c) * 0.2**c * 0.8 ** (10 - c) for c in range(11)]
    assert np.dot(chances, pass_at_k([10] * 11, range(11), k=4)) == pytest.approx(0.5904, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "c", "k"), [([3], [1], 4), ([3], [4], 1), ([3], [-1], 1), ([3], [1], 0), ([16, 15], [1, 1], 16)]
)
def test_counts_that_give_no_estimate_are_refused(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k=k)
