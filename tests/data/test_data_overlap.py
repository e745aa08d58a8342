"""n-grams of words: what a text has word for word in common with others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.overlap import (
    LONG,
    SHORT,
    is_measurable,
    ngrams,
    ngrams_of,
    overlap_rate,
    overlap_rates,
    overlap_rates_in_stream,
)

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


def test_an_equal_problem_is_a_copy_however_short_it_is() -> None:
    assert overlap_rates(["What is 3 + 4?"], ["what is  3 + 4?", "other"]) == [1.0]
    assert overlap_rates(["What is 3 + 4?"], ["what is 3 + 5?"]) == [0.0]
    assert [is_measurable(text(0, n)) for n in (7, 8)] == [False, True]


def test_texts_in_a_stream_give_the_rates_of_texts_that_are_kept() -> None:
    # the rates by hand of the test above, and a short item that is a part of its own
    items = [text(2, 17), text(5, 23), text(10, 22), text(0, 7), "short one"]
    stream = iter([(text(0, 20),), ("Short  one", "and its answer")])
    assert overlap_rates_in_stream(items, stream) == [1.0, pytest.approx(3 / 6), pytest.approx(3 / 5), 0.0, 1.0]


def test_a_template_that_all_problems_share_makes_no_copies() -> None:
    # 14 words of a template and 16 of its own have 18 runs of 13, of which the 2 within the template are shared
    items = [" ".join([text(0, 14), *(f"own{n}" for n in range(16))])]
    assert overlap_rates_in_stream(items, [(text(0, 14) + " something else",)]) == [pytest.approx(2 / 18)]
