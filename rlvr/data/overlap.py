"""How much of a text stands word for word in others: n-grams of words, the field's measure of contamination.

Texts in, numbers out. Thirteen words in a row are GPT-3's measure; a problem of fewer words has none of them, so it is
measured by eight. A template that all problems of a kind share makes some n-grams of each stand in others: only where
nearly all of them do is it a copy. A problem that is equal to another is one however short it is.
Source: Brown et al., "Language Models are Few-Shot Learners", arXiv:2005.14165, appendix C; the share of n-grams as in
Touvron et al., "Llama 2", arXiv:2307.09288, appendix A.6.
"""

import string
from collections.abc import Iterable, Mapping, Sequence

from rlvr.data.split import problem_hash

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

    It is 1 for an item that is equal to a text by `problem_hash`, else 0 for one of fewer than SHORT words.
    """
    found = {n: ngrams_of(against, n=n) for n in (LONG, SHORT)}
    return _rates(items, found, frozenset(map(problem_hash, against)))


def overlap_rates_in_stream(items: Sequence[str], texts: Iterable[Sequence[str]]) -> list[float]:
    """Gives the rates of `overlap_rates` against texts that are read once and not kept, each in its parts.

    An item is equal to a text where it is equal to one of its parts. Only n-grams and hashes of the items are held.
    """
    wanted = {n: ngrams_of((item for item in items if _size(item) == n), n=n) for n in (LONG, SHORT)}
    hashes = frozenset(map(problem_hash, items))
    found: dict[int, set[tuple[str, ...]]] = {n: set() for n in wanted}
    equal: set[str] = set()
    for parts in texts:
        equal.update(hashes.intersection(map(problem_hash, parts)))
        text = "\n".join(parts)
        for n, grams in wanted.items():
            if grams:
                found[n].update(ngrams(text, n=n) & grams)
    return _rates(items, {n: frozenset(grams) for n, grams in found.items()}, equal)


def is_measurable(item: str) -> bool:
    """Whether an item has the words of an n-gram; of a shorter one only an equal text can be told."""
    return len(_words(item)) >= SHORT


def _rates(items: Sequence[str], found: Mapping[int, Ngrams], equal: frozenset[str] | set[str]) -> list[float]:
    return [
        1.0 if problem_hash(item) in equal else overlap_rate(item, found[n], n=n)
        for item, n in zip(items, map(_size, items), strict=True)
    ]


def _size(item: str) -> int:
    return LONG if len(_words(item)) >= LONG else SHORT


def _words(text: str) -> list[str]:
    return [word.strip(string.punctuation) or word for word in text.lower().split()]
