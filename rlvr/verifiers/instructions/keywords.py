"""Constraints on single words, letters and signs: which occur, how often, and where.

"Occurs" means inside a longer word too ("art" in "party"), as in IFEval, unless a docstring says "as a word". IFEval
reads a keyword as a regular expression; here it is plain text. What must not occur is also looked for among look-alike
letters of other alphabets (`text.folded`).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from rlvr.verifiers.instructions.arguments import ANY_TEXTS, CHARACTER, COUNT, PLACE, RELATION, TEXT, TEXTS
from rlvr.verifiers.instructions.constraint import Constraint, compared
from rlvr.verifiers.instructions.text import count_word, folded, occurrences, sentences, words

_TIMES = (1, 2, 3, 5, 7)
"""How often the five keywords of count:keywords_multiple occur."""

_SHORTEST_PALINDROME = 3


def existence(text: str, *, keywords: Sequence[str]) -> bool:
    """Gives whether every keyword occurs."""
    return all(occurrences(text, keyword) for keyword in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """Gives whether the keyword occurs at least, or less than, so often."""
    return compared(occurrences(text, keyword), relation, frequency)


def word_exactly(text: str, *, keyword: str, frequency: int) -> bool:
    """Gives whether the keyword occurs exactly so often as a word; "owl" is not in "owls"."""
    return count_word(text, keyword) == frequency


def no_doubled(text: str, *, but: Sequence[str]) -> bool:
    """Gives whether no word comes twice in a row, whatever the case and the signs between, but for these words."""
    allowed = {word.lower() for word in but}
    found = words(folded(text).lower())
    return not any(before == after and after not in allowed for before, after in pairwise(found))


def word_once(text: str, *, keyword: str) -> bool:
    """Gives whether the keyword occurs exactly once."""
    return occurrences(text, keyword) == 1


def count_increment_word(text: str, *, keyword1: str, keyword2: str) -> bool:
    """Gives whether the first keyword occurs exactly once and the second exactly twice."""
    return (occurrences(text, keyword1), occurrences(text, keyword2)) == (1, 2)


def keywords_multiple(text: str, *, keyword1: str, keyword2: str, keyword3: str, keyword4: str, keyword5: str) -> bool:
    """Gives whether the five keywords occur exactly 1, 2, 3, 5 and 7 times."""
    found = (occurrences(text, keyword) for keyword in (keyword1, keyword2, keyword3, keyword4, keyword5))
    return tuple(found) == _TIMES


def forbidden_words(text: str, *, forbidden_words: Sequence[str]) -> bool:
    """Gives whether none of the words occurs as a word, look-alikes included; "rock" may occur in "rocket".

    A word that ends in a sign ("C++") is found too, where IFEval's word boundary misses it.
    """
    texts = {text, folded(text)}
    return not any(count_word(one, word) for one in texts for word in forbidden_words)


def exclude_word_harder(text: str, *, keyword: str) -> bool:
    """Gives whether the keyword does not occur as a word. Upstream misses it at either end and beside a sign."""
    return forbidden_words(text, forbidden_words=[keyword])


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """Gives whether a character (a letter in either case, or a sign) occurs at least, or less than, so often.

    Look-alikes count where few are asked for. Upstream draws a random letter in place of a sign.
    """
    counted = folded(text) if let_relation == "less than" else text
    return compared(counted.lower().count(letter.lower()), let_relation, let_frequency)


def letter_counting(text: str, *, N: int, relation: str) -> bool:
    """Gives whether there are at least, or less than, so many letters, of any alphabet."""
    return compared(sum(character.isalpha() for character in text), relation, N)


def no_adjacent_consecutive(text: str) -> bool:
    """Gives whether no word starts with the letter of the alphabet after the one that the word before starts with."""
    initials = [word[0].lower() for word in words(text)]
    return not any(ord(after) - ord(before) == 1 for before, after in pairwise(initials))


def palindrome(text: str) -> bool:
    """Gives whether a word of at least 3 letters reads the same backwards, whatever the case.

    Upstream takes any word, so that "a" and "I" are palindromes.
    """
    lowered = (word.lower() for word in words(text))
    return any(len(word) >= _SHORTEST_PALINDROME and word == word[::-1] for word in lowered)


def keyword_specific_position(text: str, *, keyword: str, n: int, m: int) -> bool:
    """Gives whether the keyword is the m-th word of the n-th sentence, whatever the case; signs are no words."""
    found = sentences(text)
    inside = words(found[n - 1]) if n <= len(found) else []
    return m <= len(inside) and inside[m - 1].lower() in {word.lower() for word in words(keyword)}


def start_end(text: str) -> bool:
    """Gives whether the text, of two words or more, ends with its first word and nothing behind it."""
    found = words(text)
    return len(found) > 1 and found[0].lower() == found[-1].lower() and text.rstrip()[-1].isalnum()


def words_position(text: str, *, keyword: str) -> bool:
    """Gives whether the second word and the last but one are the keyword, whatever the case; signs are no words."""
    found = [word.lower() for word in words(text)]
    return len(found) > 2 and [found[1], found[-2]] == words(keyword.lower()) * 2


def no_comma(text: str) -> bool:
    """Gives whether there is no comma; in a text not mostly Latin, those of other scripts may occur."""
    return "," not in folded(text)


def punctuation_dot(text: str) -> bool:
    """Gives whether there is no dot, nor an ellipsis in one character."""
    return "." not in folded(text)


def punctuation_exclamation(text: str) -> bool:
    """Gives whether there is no exclamation mark."""
    return "!" not in folded(text)


_FREQUENCY = Constraint(frequency, {"keyword": TEXT, "frequency": COUNT, "relation": RELATION})
_LETTER = Constraint(letter_frequency, {"letter": CHARACTER, "let_frequency": COUNT, "let_relation": RELATION})
_POSITION = Constraint(keyword_specific_position, {"keyword": TEXT, "n": PLACE, "m": PLACE})

KEYWORDS: Mapping[str, Constraint] = {
    "count:count_increment_word": Constraint(count_increment_word, {"keyword1": TEXT, "keyword2": TEXT}),
    "count:keywords_multiple": Constraint(keywords_multiple, {f"keyword{place}": TEXT for place in range(1, 6)}),
    "count:word_exactly": Constraint(word_exactly, {"keyword": TEXT, "frequency": COUNT}),
    "keywords:exclude_word_harder": Constraint(exclude_word_harder, {"keyword": TEXT}),
    "keywords:existence": Constraint(existence, {"keywords": TEXTS}),
    "keywords:forbidden_words": Constraint(forbidden_words, {"forbidden_words": TEXTS}),
    "keywords:frequency": _FREQUENCY,
    "keywords:keyword_specific_position": _POSITION,
    "keywords:letter_frequency": _LETTER,
    "keywords:no_adjacent_consecutive": Constraint(no_adjacent_consecutive),
    "keywords:palindrome": Constraint(palindrome),
    "keywords:start_end": Constraint(start_end),
    "keywords:word_count_different_numbers": _FREQUENCY,
    "keywords:word_once": Constraint(word_once, {"keyword": TEXT}),
    "letters:letter_counting": Constraint(letter_counting, {"N": COUNT, "relation": RELATION}),
    "letters:letter_counting2": _LETTER,
    "punctuation:no_comma": Constraint(no_comma),
    "punctuation:punctuation_dot": Constraint(punctuation_dot),
    "punctuation:punctuation_exclamation": Constraint(punctuation_exclamation),
    "words:keywords_specific_position": _POSITION,
    "words:no_doubled": Constraint(no_doubled, {"but": ANY_TEXTS}),
    "words:words_position": Constraint(words_position, {"keyword": TEXT}),
}
"""IFEval: keywords:existence, forbidden_words, frequency, letter_frequency, punctuation:no_comma. IFBench:
count:keywords_multiple and the other words:*. Ours: count:word_exactly and words:no_doubled. IFTrain: the others."""
