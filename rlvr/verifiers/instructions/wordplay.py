"""IFBench's constraints on the letters, syllables and order of words, and on the order of sentences.

Words stand between white space and are read without punctuation; what holds no letter or digit is no word. Where each
sentence is compared with the one before, there have to be two: one sentence alone shows nothing.
"""

import re
from collections.abc import Mapping
from itertools import groupby, pairwise

from rlvr.verifiers.instructions.arguments import COUNT, PLACE, TEXT
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import count_word, has_word, lines, sentences, words
from rlvr.verifiers.instructions.vocabulary import is_verb, syllables

_CLUSTER = re.compile(r"[bcdfghjklmnpqrstvwxyz]{2}")
_PRIMES = frozenset(n for n in range(2, 200) if all(n % divisor for divisor in range(2, n)))
_PALINDROMES = 10
_SHORTEST_PALINDROME = 5
_VOWELS = "aeiou"
_MOST_VOWELS = 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def alphabet(text: str) -> bool:
    """Gives whether every word starts with the letter after the one that the word before starts with, a after z."""
    initials = [word[0].lower() for word in words(text)]
    if not initials or not all("a" <= initial <= "z" for initial in initials):
        return False
    return all((ord(after) - ord(before)) % 26 == 1 for before, after in pairwise(initials))


def vowel(text: str) -> bool:
    """Gives whether the text is one line with at most three of the vowels a, e, i, o, u."""
    return len(lines(text)) == 1 and len(set(text.lower()) & set(_VOWELS)) <= _MOST_VOWELS and has_word(text)


def consonants(text: str) -> bool:
    """Gives whether two consonants (y is one) stand together in every word, a number being a word without any."""
    found = [word.lower() for word in words(text)]
    return bool(found) and all(_CLUSTER.search(word) for word in found)


def palindromes(text: str) -> bool:
    """Gives whether at least 10 words of 5 letters or more read the same backwards; one may come again."""
    found = (word.lower() for word in words(text))
    return sum(len(word) >= _SHORTEST_PALINDROME and word == word[::-1] for word in found) >= _PALINDROMES


def prime_lengths(text: str) -> bool:
    """Gives whether every word has a prime number of letters."""
    found = words(text)
    return bool(found) and all(len(word) in _PRIMES for word in found)


def no_consecutive(text: str) -> bool:
    """Gives whether no word starts with the same letter as the word before."""
    initials = [word[0].lower() for word in words(text)]
    return all(before != after for before, after in pairwise(initials))


def odd_even_syllables(text: str) -> bool:
    """Gives whether words of an odd and an even number of syllables alternate; syllables are counted by rule."""
    odd = [syllables(word) % 2 for word in words(text)]
    return len(odd) > 1 and all(before != after for before, after in pairwise(odd))


def start_verb(text: str) -> bool:
    """Gives whether the first word is a form of a common English verb of the list, or a participle in -ing.

    The sense is not read: "Plan A" starts with a verb. A verb that is not in the list is not known for one.
    """
    found = _WORD.search(text)
    return found is not None and is_verb(found.group().lower().replace("’", "'"))


def last_first(text: str) -> bool:
    """Gives whether every sentence starts with the last word of the one before."""
    found = [words(sentence.lower()) for sentence in sentences(text)]
    return len(found) > 1 and all(before[-1:] == after[:1] != [] for before, after in pairwise(found))


def paragraph_last_first(text: str) -> bool:
    """Gives whether every line ends with the word that it starts with; each line is a paragraph.

    A line of one word would keep it whatever it says, so one line at least has two words.
    """
    found = [words(line.lower()) for line in lines(text) if has_word(line)]
    return any(len(line) > 1 for line in found) and all(line[0] == line[-1] for line in found)


def increment(text: str, *, small_n: int) -> bool:
    """Gives whether every sentence has exactly so many words more than the one before."""
    counts = [len(words(sentence)) for sentence in sentences(text)]
    return len(counts) > 1 and all(after - before == small_n for before, after in pairwise(counts))


def alliteration_increment(text: str) -> bool:
    """Gives whether the longest row of words with one first letter grows from sentence to sentence.

    A row has two words or more: a sentence without any counts 0.
    """
    longest = []
    for sentence in sentences(text):
        rows = [len(list(row)) for _, row in groupby(words(sentence.lower()), key=lambda word: word[0])]
        longest.append(max((row for row in rows if row > 1), default=0))
    return len(longest) > 1 and all(after > before for before, after in pairwise(longest))


def keyword(text: str, *, word: str, N: int) -> bool:
    """Gives whether the N-th sentence holds the word as a word, whatever the case."""
    found = sentences(text)
    return len(found) >= N and count_word(found[N - 1], word) > 0


WORDPLAY: Mapping[str, Constraint] = {
    "sentence:alliteration_increment": Constraint(alliteration_increment),
    "sentence:increment": Constraint(increment, {"small_n": COUNT}),
    "sentence:keyword": Constraint(keyword, {"word": TEXT, "N": PLACE}),
    "words:alphabet": Constraint(alphabet),
    "words:consonants": Constraint(consonants),
    "words:last_first": Constraint(last_first),
    "words:no_consecutive": Constraint(no_consecutive),
    "words:odd_even_syllables": Constraint(odd_even_syllables),
    "words:palindrome": Constraint(palindromes),
    "words:paragraph_last_first": Constraint(paragraph_last_first),
    "words:prime_lengths": Constraint(prime_lengths),
    "words:start_verb": Constraint(start_verb),
    "words:vowel": Constraint(vowel),
}
