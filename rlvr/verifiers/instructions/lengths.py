"""Constraints on how many words, sentences and paragraphs there are.

IFEval's words are runs of letters, digits and underscores: "don't" and "well-known" are two words each; the same holds
wherever a docstring here says "runs". Elsewhere a word is what stands between white space, without its punctuation.
"""

import re
from collections import Counter
from collections.abc import Mapping

from rlvr.verifiers.instructions.arguments import COUNT, PLACE, RELATION, WORD
from rlvr.verifiers.instructions.constraint import Constraint, compared
from rlvr.verifiers.instructions.text import first_word, has_word, paragraphs, runs, sentences, words

_FREE_REPEATS = 20
_LARGEST_SHARE = 6
"""At most 20 occurrences of one word, or a sixth of all words, count towards "at least" so many."""

_STARS = re.compile(r"(?<!\*)\*{3}(?!\*)|(?<![*\S])\* \* \*(?![*\S])")


def number_words(text: str, *, num_words: int, relation: str) -> bool:
    """Gives whether there are at least, or less than, so many runs.

    For "at least", one word said over and over counts 20 times, or as a sixth of all words where that is more.
    """
    found = runs(text)
    counted = _not_repeated(found) if relation == "at least" else len(found)
    return compared(counted, relation, num_words)


def _not_repeated(found: list[str]) -> int:
    most = max(_FREE_REPEATS, len(found) // _LARGEST_SHARE)
    return sum(min(count, most) for count in Counter(run.lower() for run in found).values())


def words_exactly(text: str, *, num_words: int) -> bool:
    """Gives whether there are exactly so many runs."""
    return len(runs(text)) == num_words


def word_count_range(text: str, *, min_words: int, max_words: int) -> bool:
    """Gives whether the number of runs is in the range, both ends included; repeats as in `number_words`."""
    found = runs(text)
    return min_words <= _not_repeated(found) and len(found) <= max_words


def unique_word_count(text: str, *, N: int) -> bool:
    """Gives whether there are at least so many different words, whatever the case."""
    return len({word.lower() for word in words(text)}) >= N


def count_unique(text: str) -> bool:
    """Gives whether no word comes twice, whatever the case; signs are no words."""
    found = [word.lower() for word in words(text)]
    return bool(found) and len(set(found)) == len(found)


def lowercase_counting(text: str, *, N: int) -> bool:
    """Gives whether at most so many runs are in lower case."""
    return sum(run.islower() for run in runs(text)) <= N


def repeats(text: str, *, small_n: int) -> bool:
    """Gives whether no word comes more than so many times, whatever the case."""
    counts = Counter(word.lower() for word in words(text))
    return not counts or max(counts.values()) <= small_n


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
    """Gives whether there are at least, or less than, so many sentences."""
    return compared(len(sentences(text)), relation, num_sentences)


def starred_paragraphs(text: str) -> list[str] | None:
    """Gives what stands between dividers `***` (or `* * *`); None where nothing stands between two of them."""
    parts = [part.strip() for part in _STARS.split(text)]
    inside = parts[1 if not parts[0] else 0 : len(parts) - 1 if not parts[-1] else len(parts)]
    return inside if all(inside) else None


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Gives whether `***` parts the text into exactly so many paragraphs with a word; it may also stand at the ends."""
    found = starred_paragraphs(text)
    return found is not None and len(found) == num_paragraphs and all(map(has_word, found))


def two_starred_paragraphs(text: str) -> bool:
    """Gives whether `***` parts the text into exactly two paragraphs."""
    return number_paragraphs(text, num_paragraphs=2)


def two_paragraphs(text: str) -> bool:
    """Gives whether blank lines part the text into exactly two paragraphs, each with a word."""
    found = paragraphs(text)
    return len(found) == 2 and all(map(has_word, found))


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Gives whether blank lines part the text into so many paragraphs and the n-th starts with that word.

    The case and the signs before the word do not count. Upstream counts blank stretches when it looks for the n-th.
    """
    found = paragraphs(text)
    if len(found) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    return _starts_with(found[nth_paragraph - 1], first_word)


def _starts_with(text: str, word: str) -> bool:
    return first_word(text) == word.strip().lower()


def counting_composition(text: str, *, n_sent: int, n_words: int) -> bool:
    """Gives whether `***` parts the text into 3 paragraphs of so many sentences, each of so many words.

    Signs are no words; upstream counts them.
    """
    found = starred_paragraphs(text)
    if found is None or len(found) != 3:
        return False
    inside = [sentences(paragraph) for paragraph in found]
    return all(len(ones) == n_sent and all(len(words(one)) == n_words for one in ones) for ones in inside)


LENGTHS: Mapping[str, Constraint] = {
    "count:count_unique": Constraint(count_unique),
    "count:counting_composition": Constraint(counting_composition, {"n_sent": PLACE, "n_words": PLACE}),
    "count:lowercase_counting": Constraint(lowercase_counting, {"N": COUNT}),
    "count:unique_word_count": Constraint(unique_word_count, {"N": COUNT}),
    "count:word_count_range": Constraint(word_count_range, {"min_words": COUNT, "max_words": COUNT}),
    "count:words_exactly": Constraint(words_exactly, {"num_words": COUNT}),
    "length_constraints:nth_paragraph_first_word": Constraint(
        nth_paragraph_first_word, {"num_paragraphs": PLACE, "nth_paragraph": PLACE, "first_word": WORD}
    ),
    "length_constraints:number_paragraphs": Constraint(number_paragraphs, {"num_paragraphs": PLACE}),
    "length_constraints:number_sentences": Constraint(number_sentences, {"num_sentences": COUNT, "relation": RELATION}),
    "length_constraints:number_words": Constraint(number_words, {"num_words": COUNT, "relation": RELATION}),
    "paragraphs:paragraphs": Constraint(two_starred_paragraphs),
    "paragraphs:paragraphs2": Constraint(two_paragraphs),
    "words:repeats": Constraint(repeats, {"small_n": COUNT}),
}
"""IFEval: length_constraints:*. IFBench: count:unique_word_count, word_count_range, words:repeats. Ours:
count:words_exactly. IFTrain: the others."""
