"""n-grams of words: what a text has word for word in common with others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.overlap import LONG, SHORT, ngrams, ngrams_of, overlap_rate, overlap_rates, overlapping

WORDS = [f"w{number}" for number in range(40)]


def text(start: int, end: int) -> str:
    return " ".join(WORDS[start:end])


def test_words_are_lower_case_without_punctuation_at_their_ends_and_signs_count() -> None:
    assert ngrams('"What" is  3 + 4,\n(dear)?', n=3) == {
        ("what", "is", "3"),
        ("is", "3", "+"),
        ("3", "+", "4"),
        ("+", "4", "dear"),
    }
    assert ngrams("isn't x=3.5 it", n=3) == {("isn't", "x=3.5", "it")}


def test_a_text_of_fewer_words_has_no_ngram_and_shares_nothing() -> None:
    assert ngrams("one two", n=3) == frozenset()
    assert overlap_rate("one two", ngrams("one two three", n=3), n=3) == 0.0


def test_the_rate_is_over_different_ngrams() -> None:
    # a b, b a, a c: of the three different pairs "a b" and "b a" stand in "b a b"
    assert overlap_rate("a b a b a c", ngrams("b a b", n=2), n=2) == pytest.approx(2 / 3)


def test_ngrams_of_several_texts_do_not_run_from_one_into_the_next() -> None:
    assert ngrams_of(["a b", "c d"], n=2) == {("a", "b"), ("c", "d")}


def test_long_items_are_compared_by_13_words_and_short_ones_by_8() -> None:
    held_out = [text(0, 20)]
    # 15 words have 3 runs of 13; of the second's only w5 … w17 and w6 … w18, w7 … w19 stand there: 3 of 18 - 13 + 1 = 6
    # 12 words have no run of 13 but 5 of 8, of which w10 … w17, w11 … w18 and w12 … w19 stand there
    # 7 words have no run of either
    items = [text(2, 17), text(5, 23), text(10, 22), text(0, 7)]
    assert overlap_rates(items, held_out) == [1.0, pytest.approx(3 / 6), pytest.approx(3 / 5), 0.0]
    assert (LONG, SHORT) == (13, 8)


def test_nothing_is_shared_with_no_text() -> None:
    assert overlap_rates([text(0, 20), text(0, 9)], []) == [0.0, 0.0]


@given(st.lists(st.sampled_from("abc"), min_size=8, max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_a_text_within_another_is_shared_whole_and_no_rate_leaves_its_range(inner: list[str], other: list[str]) -> None:
    (rate,) = overlap_rates([" ".join(inner)], [" ".join(["x", *inner, "y"])])
    assert rate == 1.0
    (rate,) = overlap_rates([" ".join(inner)], [" ".join(other)])
    assert 0.0 <= rate <= 1.0


SENTENCE = "a train leaves the old station at nine and comes back when the moon is up again"


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not() -> None:
    item = SENTENCE
    thirteen = "Before. " + ", ".join(SENTENCE.split()[2:15]).upper() + " and after"
    twelve = "before " + " ".join(SENTENCE.split()[2:14]) + " after"
    assert overlapping([item], [thirteen]) == (True,)
    assert overlapping([item], [twelve]) == (False,)


def test_a_short_item_is_told_by_eight_words_and_a_shorter_one_not_at_all() -> None:
    assert (LONG, SHORT) == (13, 8)
    items = [" ".join(SENTENCE.split()[:12]), " ".join(SENTENCE.split()[:8]), " ".join(SENTENCE.split()[:7]), ""]
    assert overlapping(items, ["x " + " ".join(SENTENCE.split()[:8]) + " y"]) == (True, True, None, None)


def test_a_long_item_is_not_told_by_eight_words() -> None:
    assert overlapping([SENTENCE], [" ".join(SENTENCE.split()[:10])]) == (False,)


def test_texts_may_come_one_by_one() -> None:
    items = [f"{n} " + " ".join(SENTENCE.split()[:12]) for n in range(3)]
    assert overlapping(items, (text for text in [items[2], items[0]])) == (True, False, True)
