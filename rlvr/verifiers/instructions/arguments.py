"""What an argument of a constraint has to be, in code and in words, and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlvr.verifiers.instructions.text import first_word, visible

RELATIONS = ("less than", "at least")


@dataclass(frozen=True, slots=True)
class Argument:
    """One kind of argument: `holds` says whether a value is one, `words` what was expected, `read` makes it usable."""

    holds: Callable[[Any], bool]
    words: str
    read: Callable[[Any], Any]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(visible(value).strip())


def _is_word(value: Any) -> bool:
    return _is_text(value) and first_word(visible(value)) == visible(value).strip().lower()


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(one) for one in value)


def _is_any_texts(value: Any) -> bool:
    return value == [] or _is_texts(value)


def _is_count(value: Any) -> bool:
    number = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return number and not isinstance(value, bool) and value >= 0


def _is_place(value: Any) -> bool:
    return _is_count(value) and value >= 1


def _is_percentage(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _is_relation(value: Any) -> bool:
    return value in RELATIONS


def _is_character(value: Any) -> bool:
    return _is_text(value) and len(visible(value)) == 1


def _visible_texts(value: Any) -> Any:
    return [visible(one) for one in value]


def _as_it_is(value: Any) -> Any:
    return value


COUNT = Argument(_is_count, "a whole number from 0", int)
PLACE = Argument(_is_place, "a whole number from 1", int)
PERCENTAGE = Argument(_is_percentage, "a number from 0 to 100", float)
RELATION = Argument(_is_relation, '"less than" or "at least"', _as_it_is)
TEXT = Argument(_is_text, "a text that is not empty", visible)
WHOLE_TEXT = Argument(_is_text, "a text that is not empty", _as_it_is)
"""A text whose characters are counted by index: the check itself makes it visible."""
TEXTS = Argument(_is_texts, "a list of texts", _visible_texts)
ANY_TEXTS = Argument(_is_any_texts, "a list of texts, which may be empty", _visible_texts)
WORD = Argument(_is_word, "one word", visible)
CHARACTER = Argument(_is_character, "one character", visible)
