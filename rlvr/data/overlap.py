"""How much of one set of texts stands in another: n-grams of lower-cased words."""

import re
from collections.abc import Iterable, Sequence

LONG, SHORT = 13, 8
"""Words of an n-gram, and those for a text that has fewer than LONG; 13 as in Brown et al., arXiv:2005.14165."""

_WORD = re.compile(r"\w+")


def ngrams(text: str, *, n: int) -> frozenset[str]:
    """Gives every run of `n` words of a text, in lower case, its words joined by blanks."""
    words = _WORD.findall(text.lower())
    return frozenset(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))


def overlapping(items: Sequence[str], texts: Iterable[str]) -> tuple[bool | None, ...]:
    """Says for each item whether it shares an n-gram with one of `texts`, which are read once and not kept.

    Of LONG words, or of SHORT ones for a shorter item; None for an item that has not even these.
    """
    places: dict[str, set[int]] = {}
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
