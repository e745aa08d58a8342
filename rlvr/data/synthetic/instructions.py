"""Lines of simple words written to order: so many words, this one among them, that one last, all in lower case.

Rung r (1 to 6) asks for 1 + ceil(r/2) things: always a number of words, between r + 1 and 2r + 4 or close to it, and 1
to 3 of: words to use, the first word, the last word, a word to leave out, a word exactly so many times and, from rung
3, lower case and a comma or none. Each is asked in one of several wordings and in any order. What nobody has to be
told is checked too: no word stands twice in a row, which would only fill the line, unless it is asked for so often.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.data.synthetic import wording
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.exercise import Exercise, drawn
from rlvr.errors import DataError

DOMAIN = "instructions"

HIGHEST_RUNG = 6

_WRITTEN = 0.6
"""In written text a rung is that much rarer than the one below it."""

# No word here occurs inside another: a word to use counts wherever its letters occur.
# fmt: off
_ANIMALS = ["dog", "cat", "fox", "owl", "horse", "goat", "duck", "rabbit", "hen", "mouse"]
_PLACES = ["forest", "garden", "river", "market", "village", "hill", "barn", "lake", "bridge", "harbor"]
_THINGS = ["lamp", "rope", "kite", "drum", "basket", "flute", "bell", "boat", "coat", "map"]
_MANY = [
    "apples", "pears", "plums", "lemons", "cookies", "beads", "buttons", "coins", "stamps",
    "shells", "stones", "pencils", "candles", "keys", "cups",
]
_COLORS = ["blue", "green", "white", "black", "brown", "golden", "gray"]
_MOODS = ["happy", "tired", "brave", "quiet", "curious", "hungry", "lonely", "proud"]
# fmt: on

_NOUNS = [*_ANIMALS, *_PLACES, *_THINGS, *_MANY]
_CONTENT = [*_NOUNS, *_COLORS, *_MOODS]
_NAMES = [person.name for person in wording.PEOPLE]
_CONNECTORS = ("and", "near", "with", "behind", "by")
_PLAIN_WORDS = ("the", "a", "and", "near", "with")
"""Words of nearly every line: leaving one out is worth asking."""

_ARTICLES = ("the", "a", "some")

_MOST_STEPS = 60
"""After so many tries to lengthen a line another order is drawn."""

Constraint = dict[str, Any]

_TIMES = {1: "once", 2: "twice", 3: "3 times"}


@dataclass(frozen=True, slots=True)
class _Order:
    """What a line has to be; an empty word asks for nothing.

    `needed` holds a word as often as it must occur, `excluded` the words that must not occur otherwise. `comma` is the
    probability of a comma where two phrases meet; a line is thrown away unless `commas` allows whether it has one.
    """

    num_words: int
    first: str
    last: str
    needed: tuple[str, ...]
    excluded: frozenset[str]
    lower: bool
    comma: float
    commas: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One thing asked: its constraint, and the name and fields of its wordings."""

    constraint: Constraint
    kind: str
    fields: dict[str, str | int]


ORDERS = {
    "exactly": ("write {n} words", "write exactly {n} words", "use {n} words in all", "the line has {n} words"),
    "at least": ("write at least {n} words", "write {n} words or more", "use no fewer than {n} words"),
    "less than": ("write fewer than {n} words", "stay under {n} words", "use less than {n} words"),
    "use": ("use the word {a}", "include the word {a}", "say {a} somewhere", "the word {a} must be there"),
    "use two": ("use the words {a} and {b}", "include {a} and {b}", "both {a} and {b} must be there"),
    "first": ("start with {a}", "begin with the word {a}", "the first word is {a}"),
    "last": ("end with {a}", "the last word is {a}", "put {a} at the end"),
    "lower": ("use lower case only", "no capital letters", "write it all in lower case"),
    "comma": ("use a comma", "put in at least one comma", "there must be a comma"),
    "no comma": ("no commas", "do not use a comma", "leave out all commas"),
    "without": ("do not use the word {a}", "avoid the word {a}", "never say {a}", "leave out the word {a}"),
    "times": ("use the word {a} exactly {times}", "say {a} exactly {times}", "the word {a} comes exactly {times}"),
}
"""The things asked, each as an order of its own."""

PHRASES = {
    "exactly": ("of {n} words", "with exactly {n} words", "that has {n} words"),
    "at least": ("of at least {n} words", "with {n} words or more"),
    "less than": ("of fewer than {n} words", "with less than {n} words"),
    "use": ("with the word {a}", "that has the word {a}", "that says {a}"),
    "use two": ("with the words {a} and {b}", "that says {a} and {b}"),
    "first": ("starting with {a}", "that begins with {a}"),
    "last": ("ending with {a}", "that ends with {a}"),
    "lower": ("in lower case", "without capital letters"),
    "comma": ("with a comma", "that has a comma"),
    "no comma": ("without commas", "with no comma"),
    "without": ("without the word {a}", "that never says {a}"),
    "times": ("with {a} exactly {times}", "that says {a} exactly {times}"),
}
"""The things asked, each as a part of one sentence."""

OPENINGS = ("Write a line", "Give me a line", "Make up a line", "I want a line")


def exercises(
    split: str, *, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
) -> Iterator[tuple[int, Exercise]]:
    """Gives endless (index, exercise) of that split, as `Domain` says."""
    if split not in ("train", "evaluation") or not 1 <= min_rung <= max_rung <= HIGHEST_RUNG:
        raise DataError(
            f"no instructions for split {split!r} with rungs {min_rung} to {max_rung}",
            hint=f'use split "train" or "evaluation" and 1 <= min_rung <= max_rung <= {HIGHEST_RUNG}',
        )
    weights = [(_WRITTEN**rung, rung) for rung in range(min_rung, max_rung + 1)]
    return drawn(split, f"{DOMAIN}/{purpose}", seed, weights, _exercise, lambda made: made.key, written=written)


def _exercise(dice: Dice, rung: int) -> Exercise:
    line = ""
    while not line:
        num_words = dice.between(rung + 1, 2 * rung + 4)
        asked = [_length(dice, num_words), *dice.some(_others(dice, rung), (rung + 1) // 2)]
        line = _line(dice, _order(asked, num_words))
    constraints = sorted((one.constraint for one in asked), key=_canonical)
    return Exercise(
        question=_question(dice, asked),
        lines=(_draft(line),),
        answer=line,
        frame="line",
        reference={"constraints": [*constraints, _not_doubled(asked)]},
        verifier="instructions",
        rung=rung,
        key=_canonical(constraints),
    )


def _not_doubled(asked: list[_Asked]) -> Constraint:
    """Gives what no order says; a word that is asked for several times may follow itself."""
    times = [one.constraint["kwargs"] for one in asked if one.kind == "times"]
    return {"id": "words:no_doubled", "kwargs": {"but": [one["keyword"] for one in times if one["frequency"] > 1]}}


def _draft(line: str) -> str:
    """The line with its words counted, as one writes it down before handing it in."""
    words = enumerate(line.split(), start=1)
    return " ".join(f"{word[:-1]}{place}," if word.endswith(",") else f"{word}{place}" for place, word in words)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _question(dice: Dice, asked: list[_Asked]) -> str:
    """Gives one sentence, so that a short question never stands, from its capital to its full stop, in a longer one."""
    asked = dice.some(asked, len(asked))
    if dice.chance(0.6):
        orders = "; ".join(dice.pick(ORDERS[one.kind]).format(**one.fields) for one in asked)
        return f"{orders[0].upper()}{orders[1:]}."
    parts = [dice.pick(PHRASES[one.kind]).format(**one.fields) for one in asked]
    return f"{dice.pick(OPENINGS)} {', '.join(parts)}."


def _length(dice: Dice, num_words: int) -> _Asked:
    kind = dice.weighted(((0.7, "exactly"), (0.2, "at least"), (0.1, "less than")))
    if kind == "exactly":
        return _asked(kind, "count:words_exactly", {"n": num_words}, num_words=num_words)
    n = max(2, num_words - dice.between(0, 2)) if kind == "at least" else num_words + dice.between(1, 2)
    return _asked(kind, "length_constraints:number_words", {"n": n}, num_words=n, relation=kind)


def _others(dice: Dice, rung: int) -> list[_Asked]:
    """Gives one thing of each other sort; no two of them speak of the same word."""
    last, repeated, second = dice.some(_NOUNS, 3)
    use, first, without = [word for word in dice.some(_CONTENT, 6) if word not in (last, repeated, second)][:3]
    if dice.chance(0.1):
        first = "the"
    if dice.chance(0.3):
        without = dice.pick([word for word in _PLAIN_WORDS if word != first])
    times = dice.between(1, 2 if rung < 4 else 3)
    if dice.chance(0.4):
        using = _asked("use two", "keywords:existence", {"a": use, "b": second}, keywords=sorted((use, second)))
    else:
        using = _asked("use", "keywords:existence", {"a": use}, keywords=[use])
    if dice.chance(0.5):
        commas = _asked("no comma", "punctuation:no_comma", {})
    else:
        comma = {"letter": ",", "let_frequency": 1, "let_relation": "at least"}
        commas = _asked("comma", "keywords:letter_frequency", {}, **comma)
    of_words = [
        using,
        _asked("first", "startend:start_checker", {"a": first}, first_word=first),
        _asked("last", "startend:end_checker", {"a": last}, end_phrase=last),
        _asked("without", "keywords:forbidden_words", {"a": without}, forbidden_words=[without]),
        _asked(
            "times", "count:word_exactly", {"a": repeated, "times": _TIMES[times]}, keyword=repeated, frequency=times
        ),
    ]
    # Alone with a number they are so few that the hash of one could fill a rung of the evaluation split.
    return of_words if rung < 3 else [*of_words, commas, _asked("lower", "change_case:english_lowercase", {})]


def _asked(kind: str, constraint: str, fields: dict[str, str | int], **kwargs: Any) -> _Asked:
    return _Asked({"id": constraint, "kwargs": kwargs}, kind, fields)


def _order(asked: list[_Asked], num_words: int) -> _Order:
    kwargs = {one.constraint["id"]: one.constraint["kwargs"] for one in asked}
    kinds = {one.kind for one in asked}
    needed = list(kwargs.get("keywords:existence", {"keywords": []})["keywords"])
    if "times" in kinds:
        needed += [kwargs["count:word_exactly"]["keyword"]] * kwargs["count:word_exactly"]["frequency"]
    first = kwargs.get("startend:start_checker", {"first_word": ""})["first_word"]
    last = kwargs.get("startend:end_checker", {"end_phrase": ""})["end_phrase"]
    without = kwargs.get("keywords:forbidden_words", {"forbidden_words": []})["forbidden_words"]
    return _Order(
        num_words=num_words,
        first=first,
        last=last,
        needed=tuple(needed),
        excluded=frozenset((*needed, first, last, *without)) - ({"the"} if first == "the" else set()),
        lower="lower" in kinds,
        comma=0.0 if "no comma" in kinds else 0.6 if "comma" in kinds else 0.15,
        commas=(True,) if "comma" in kinds else (True, False),
    )


def _line(dice: Dice, order: _Order) -> str:
    """Gives a line that meets the order, or an empty text where none was found: then another order is drawn."""
    phrases = _needed_phrases(dice, order)
    marks = [_mark(dice, order) for _ in phrases[1:]]
    for _ in range(_MOST_STEPS):
        length = sum(len(phrase) for phrase in phrases) + sum(mark != "," for mark in marks)
        if length >= order.num_words:
            break
        _grow(dice, order, phrases, marks)
    text = " ".join(_articled(phrases[0]))
    for mark, phrase in zip(marks, phrases[1:], strict=True):
        text += f"{mark if mark == ',' else f' {mark}'} {' '.join(_articled(phrase))}"
    if length != order.num_words or ("," in text) not in order.commas:
        return ""
    return text if order.lower else text[0].upper() + text[1:]


def _needed_phrases(dice: Dice, order: _Order) -> list[list[str]]:
    """Gives the shortest noun phrases with the words needed, the first and the last one in their places."""
    used = set(order.excluded)
    middle = [[word] if word in _NOUNS else [word, _filler(dice, used)] for word in order.needed]
    middle = dice.some(middle, len(middle))
    last = [[order.last]] if order.last else []
    if not order.first:
        return [*middle, *last] or [[_filler(dice, used)]]
    if order.first in _NOUNS:
        return [[order.first], *middle, *last]
    # An article or an adjective needs a noun behind it: one that is there already, or a new one.
    bare = [phrase for phrase in (*middle, *last) if len(phrase) == 1]
    follower = dice.pick(bare) if bare else [_filler(dice, used)]
    if last and follower is last[0] and middle:
        follower = [_filler(dice, used)]
    others = [phrase for phrase in (*middle, *last) if phrase is not follower]
    return [[order.first, *follower], *others]


def _mark(dice: Dice, order: _Order) -> str:
    if dice.chance(order.comma):
        return ","
    return dice.pick([word for word in _CONNECTORS if word not in order.excluded])


def _filler(dice: Dice, used: set[str]) -> str:
    """Gives a noun that no phrase has yet."""
    noun = dice.pick([word for word in _NOUNS if word not in used])
    used.add(noun)
    return noun


def _grow(dice: Dice, order: _Order, phrases: list[list[str]], marks: list[str]) -> None:
    """Puts an article or an adjective into a phrase, or a phrase between two others, where that is possible."""
    used = order.excluded.union(*phrases)
    index = dice.between(0, len(phrases) - 1)
    phrase = phrases[index]
    noun, first = phrase[-1], index == 0 and bool(order.first)
    what = dice.weighted(((0.45, "article"), (0.25, "adjective"), (0.3, "phrase")))
    if what == "article" and not first and noun in _NOUNS and phrase[0] not in _ARTICLES:
        articles = ("the", "some") if noun in _MANY else ("the", "a")
        allowed = [word for word in articles if word not in order.excluded]
        if allowed:
            phrase.insert(0, dice.pick(allowed))
    elif what == "adjective" and noun in _NOUNS and not (first and len(phrase) == 1):
        moods = _MOODS if noun in _ANIMALS and dice.chance(0.5) else _COLORS
        allowed = [word for word in moods if word not in used]
        if allowed and sum(word not in _ARTICLES for word in phrase) < 3:
            phrase.insert(len(phrase) - 1, dice.pick(allowed))
    elif what == "phrase":
        # One phrase can be first and last at once.
        start, end = int(bool(order.first)), len(phrases) - int(bool(order.last))
        if start <= end:
            place = dice.between(start, end)
            named = not order.lower and dice.chance(0.15)
            phrases.insert(place, [dice.pick(_NAMES) if named else _filler(dice, set(used))])
            marks.insert(max(place - 1, 0), _mark(dice, order))


def _articled(phrase: list[str]) -> list[str]:
    """Gives the phrase with "an" for "a" before a vowel."""
    return ["an", *phrase[1:]] if phrase[0] == "a" and phrase[1][0] in "aeiou" else phrase
