"""How much of a text stands word for word in others: n-grams of words, the field's measure of contamination.

Texts in, numbers out. Thirteen words in a row are GPT-3's measure; a problem of fewer words has none of them, so it is
measured by eight. A template that all problems of a kind share makes some n-grams of each stand in others: only where
nearly all of them do is it a copy.
Source: Brown et al., "Language Models are Few-Shot Learners", arXiv:2005.14165, appendix C; the share of n-grams as in
Touvron et al., "Llama 2", arXiv:2307.09288, appendix A.6.
"""

import string
from collections.abc import Iterable, Sequence

LONG, SHORT = 13, 8
COPY_RATE = 0.8
"""From this share of its n-grams on, a text is a near copy."""

Ngrams = frozenset[tuple[str, ...]]


def ngrams(text: str, *, n: int) -> Ngrams:
    """Gives every run of `n` words of a text; none where it has fewer.

    Words are what white space parts, in lower case, without punctuation at their ends; a sign that stands alone, such
    as the + of a sum, is a word.
    """
    words = _words(text)
    return frozenset(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def ngrams_of(texts: Iterable[str], *, n: int) -> Ngrams:
    """Gives every run of `n` words that stands in some text."""
    return frozenset(gram for text in texts for gram in ngrams(text, n=n))


def overlap_rate(text: str, against: Ngrams, *, n: int) -> float:
    """Gives the share of a text's different n-grams that are among `against`; 0 where it has none."""
    own = ngrams(text, n=n)
    return len(own & against) / len(own) if own else 0.0


def overlap_rates(items: Sequence[str], against: Sequence[str]) -> list[float]:
    """Gives for each item the share of its n-grams that stand in a text of `against`: of LONG words, or of SHORT where
    it has fewer.

    An item of fewer than SHORT words has rate 0: equal texts are found by `split.problem_hash`.
    """
    found = {n: ngrams_of(against, n=n) for n in (LONG, SHORT)}
    sizes = [LONG if len(_words(item)) >= LONG else SHORT for item in items]
    return [overlap_rate(item, found[n], n=n) for item, n in zip(items, sizes, strict=True)]


def overlapping(items: Sequence[str], texts: Iterable[str]) -> tuple[bool | None, ...]:
    """Says for each item whether it shares an n-gram with one of `texts`, which are read once and not kept.

    Of LONG words, or of SHORT ones for a shorter item; None for an item that has not even these.
    """
    places: dict[tuple[str, ...], set[int]] = {}
    sizes: list[int] = []
    for place, item in enumerate(items):
        size = next((n for n in (LONG, SHORT) if ngrams(item, n=n)), 0)
        sizes.append(size)
        for gram in ngrams(item, n=size) if size else ():
            places.setdefault(gram, set()).add(place)
    found: set[int] = set()
    for text in texts:
        for n in set(sizes) - {0}:
            found.update(*(places[gram] for gram in ngrams(text, n=n) & places.keys()))
    return tuple(place in found if size else None for place, size in enumerate(sizes))


def _words(text: str) -> list[str]:
    return [word.strip(string.punctuation) or word for word in text.lower().split()]
