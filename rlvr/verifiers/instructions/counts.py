"""IFBench's constraints on numbers and shares: words of a kind, signs, sentences of a kind, overlap with a text."""

import re
from collections.abc import Mapping
from string import punctuation

from rlvr.verifiers.instructions.arguments import COUNT, PERCENTAGE, PLACE, TEXT
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import runs, sentences, words
from rlvr.verifiers.instructions.vocabulary import CONJUNCTIONS, NAMES, PRONOUNS, STOP_WORDS

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_APOSTROPHE = re.compile(r"[^\W_]+")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_NAME = re.compile(rf"\b(?:{'|'.join(NAMES)})\b")
_SIGNS = ".,!?;:"
_INTERROBANGS = ("?!", "!?", "‽")
_CLOSING_SIGNS = "\"'”’)]*_` "
_TOLERANCE = 2.0


def conjunctions(text: str, *, small_n: int) -> bool:
    """Gives whether at least so many different coordinating conjunctions occur; "And," is "and"."""
    return len({word.lower() for word in words(text)} & CONJUNCTIONS) >= small_n


def numbers(text: str, *, N: int) -> bool:
    """Gives whether there are exactly so many numbers in digits, also inside a word and before the items of a list.

    3.14, 100,000, 10:30 and 1/2 are one number each, 3-4 is two.
    """
    return len(_NUMBER.findall(text)) == N


def person_names(text: str, *, N: int) -> bool:
    """Gives whether at least so many different names of the instruction's list occur as words; the case counts."""
    return len(set(_NAME.findall(text))) >= N


def pronouns(text: str, *, N: int) -> bool:
    """Gives whether there are at least so many pronouns; "it's" holds one."""
    return sum(run in PRONOUNS for run in _APOSTROPHE.findall(text.lower())) >= N


def all_punctuation(text: str) -> bool:
    """Gives whether . , ! ? ; : all occur, each besides an interrobang, which is ?! or !? or ‽."""
    for interrobang in _INTERROBANGS:
        if interrobang in text:
            rest = text.replace(interrobang, "", 1)
            return all(sign in rest for sign in _SIGNS)
    return False


def words_japanese(text: str, *, N: int) -> bool:
    """Gives whether every N-th word holds a Japanese letter; numbers and bare signs at such a place are let pass.

    Words are what stands between white space. There have to be N of them.
    """
    found = [token.strip(punctuation) for token in text.split()]
    placed = found[N - 1 :: N]
    wanted = [word for word in placed if word and not word.isdigit()]
    return bool(placed) and all(_JAPANESE.search(word) for word in wanted)


def stop_words(text: str, *, percentage: float) -> bool:
    """Gives whether at most that share of the runs are English stop words; there has to be one run."""
    found = runs(text)
    return bool(found) and 100 * sum(run.lower() in STOP_WORDS for run in found) <= percentage * len(found)


def overlap(text: str, *, reference_text: str, percentage: float) -> bool:
    """Gives whether the share of the text's different trigrams that the reference has is within 2 points of it.

    A trigram is three characters in a row, as upstream's is; the instruction does not say which kind it means.
    """
    found = {text[place : place + 3] for place in range(len(text) - 2)}
    known = {reference_text[place : place + 3] for place in range(len(reference_text) - 2)}
    return bool(found) and abs(100 * len(found & known) / len(found) - percentage) <= _TOLERANCE


def _ends(text: str) -> list[str]:
    """The last sign of each sentence, without closing quotation marks and brackets."""
    return [sentence.rstrip(_CLOSING_SIGNS)[-1:] for sentence in sentences(text)]


def sentence_type(text: str) -> bool:
    """Gives whether twice as many sentences end with a full stop as with a question mark; one at least asks."""
    ends = _ends(text)
    return ends.count("?") > 0 and ends.count(".") == 2 * ends.count("?")


def sentence_balance(text: str) -> bool:
    """Gives whether as many sentences end with each of . ? and !, one at least."""
    ends = _ends(text)
    return 0 < ends.count(".") == ends.count("?") == ends.count("!")


def sentence_words(text: str) -> bool:
    """Gives whether there are three sentences of as many characters each, and no word comes twice in them."""
    found = sentences(text)
    inside = [word.lower() for sentence in found for word in words(sentence)]
    return len(found) == 3 and len({len(sentence) for sentence in found}) == 1 and len(inside) == len(set(inside))


COUNTS: Mapping[str, Constraint] = {
    "count:conjunctions": Constraint(conjunctions, {"small_n": COUNT}),
    "count:numbers": Constraint(numbers, {"N": COUNT}),
    "count:person_names": Constraint(person_names, {"N": COUNT}),
    "count:pronouns": Constraint(pronouns, {"N": COUNT}),
    "count:punctuation": Constraint(all_punctuation),
    "count:words_japanese": Constraint(words_japanese, {"N": PLACE}),
    "ratio:overlap": Constraint(overlap, {"reference_text": TEXT, "percentage": PERCENTAGE}),
    "ratio:sentence_balance": Constraint(sentence_balance),
    "ratio:sentence_type": Constraint(sentence_type),
    "ratio:sentence_words": Constraint(sentence_words),
    "ratio:stop_words": Constraint(stop_words, {"percentage": PERCENTAGE}),
}
