"""n-grams of words, and which items share one with a set of texts."""

from rlvr.data.overlap import LONG, SHORT, ngrams, overlapping

SENTENCE = "a train leaves the old station at nine and comes back when the moon is up again"
WORDS = SENTENCE.split(" ")  # 17 words


def test_ngrams_are_runs_of_lower_cased_words() -> None:
    assert ngrams("The cat, the CAT!", n=2) == {"the cat", "cat the"}
    assert ngrams("one two", n=3) == frozenset()


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not() -> None:
    item = " ".join(WORDS)
    thirteen = "Before. " + ", ".join(WORDS[2:15]).upper() + " and after"
    twelve = "before " + " ".join(WORDS[2:14]) + " after"
    assert overlapping([item], [thirteen]) == (True,)
    assert overlapping([item], [twelve]) == (False,)


def test_a_short_item_is_told_by_eight_words_and_a_shorter_one_not_at_all() -> None:
    assert (LONG, SHORT) == (13, 8)
    items = [" ".join(WORDS[:12]), " ".join(WORDS[:8]), " ".join(WORDS[:7]), ""]
    assert overlapping(items, ["x " + " ".join(WORDS[:8]) + " y"]) == (True, True, None, None)


def test_a_long_item_is_not_told_by_eight_words() -> None:
    assert overlapping([" ".join(WORDS)], [" ".join(WORDS[:10])]) == (False,)


def test_texts_may_come_one_by_one() -> None:
    items = [f"{n} " + " ".join(WORDS[:12]) for n in range(3)]
    assert overlapping(items, (text for text in [items[2], items[0]])) == (True, False, True)
