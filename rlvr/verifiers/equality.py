"""Whether an answer equals its reference, form by form: True, False, or None where computer algebra has to tell."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rlvr.verifiers.forms import Form, bracketed
from rlvr.verifiers.latex import squeezed
from rlvr.verifiers.rational import Decimal, NotRationalError, UndefinedError, decimal, value

MIN_ROUNDED_DIGITS = 6
"""Significant digits from which a decimal may stand for a number that it only approximates."""

_LETTER_UNIT = re.compile(r"(.*(?:[\d}!)]|\\[a-zA-Z]+\s))\s*([A-Za-z])", re.DOTALL)
_WORD = re.compile(r"[a-z]")

Leaf = Callable[[str, str], bool | None]
"""(reference, answer) -> whether two single values are equal, None where that cannot be told here."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts as equal where reasonable graders differ.

    `units`: "optional" (one may be left out or added, a different one is wrong) or "required". `percent`: "either"
    (50 % equals 0.5, and 50 because a question may ask for a percentage) or "exact" (50 % equals 0.5 only).
    With `rounded` a decimal reference such as 3.14 is met by every number that rounds to it.
    """

    units: Literal["optional", "required"] = "optional"
    percent: Literal["either", "exact"] = "either"
    rounded: bool = False


LENIENT = Policy()


def number(text: str) -> Fraction | Decimal | None:
    """Gives the exact number of a single value, None where it is none. Raises UndefinedError for a division by zero."""
    literal = decimal(text)
    if literal is not None:
        return literal
    try:
        return value(text)
    except UndefinedError:
        raise
    except NotRationalError:
        return None


def _exact(parsed: Fraction | Decimal) -> Fraction:
    return parsed.value if isinstance(parsed, Decimal) else parsed


def stands_for(answer: Decimal, reference: Fraction) -> bool:
    """Gives whether a decimal of enough digits is `reference`, rounded to that many."""
    return answer.digits >= MIN_ROUNDED_DIGITS and 2 * abs(answer.value - reference) <= answer.unit


def rounds_to(number: Fraction, reference: Decimal) -> bool:
    """Gives whether a number is `reference` when rounded to as many places."""
    return 2 * abs(number - reference.value) <= reference.unit


def same_leaf(reference: str, answer: str, *, rounded: bool = False) -> bool | None:
    """Gives whether two single values are equal; None where exact rational arithmetic cannot tell.

    With `rounded` every number that rounds to a decimal reference equals it.
    """
    try:
        left = number(reference)
    except UndefinedError:
        return False
    try:
        right = number(answer)
    except UndefinedError:
        return False
    if left is not None and right is not None:
        if _exact(left) == _exact(right):
            return True
        if rounded and isinstance(left, Decimal) and left.unit < 1:
            return rounds_to(_exact(right), left)
        return isinstance(left, Fraction) and isinstance(right, Decimal) and stands_for(right, left)
    if squeezed(reference) == squeezed(answer):
        return True
    if answer.endswith("'") and not reference.endswith("'"):
        return False
    if r"\infty" in (answer.lstrip("-"), reference.lstrip("-")) and (left is not None or right is not None):
        return False
    return None


def _all(results: Sequence[bool | None]) -> bool | None:
    if any(result is False for result in results):
        return False
    return None if any(result is None for result in results) else True


def _unordered(reference: Sequence[Form], answer: Sequence[Form], leaf: Leaf, policy: Policy) -> bool | None:
    if len(reference) != len(answer):
        return False
    if len(reference) > 100:
        return None
    left = list(answer)
    undecided = False
    for wanted in reference:
        results = [same(wanted, form, leaf, policy) for form in left]
        if True in results:
            del left[results.index(True)]
        elif None in results:
            undecided = True
        else:
            return False
    return None if undecided else True


def _value(reference: Form, answer: Form, leaf: Leaf, policy: Policy) -> bool | None:
    if reference.unit == answer.unit:
        return leaf(reference.text, answer.text)
    if reference.unit and answer.unit:
        return False
    if "%" in (reference.unit, answer.unit):
        return _percent(reference, answer, leaf, policy)
    if policy.units == "required":
        return False
    if answer.unit.startswith("base") and answer.unit != "base 10":
        return False
    letter = _LETTER_UNIT.fullmatch(answer.text) if _WORD.match(reference.unit) and not answer.unit else None
    if letter is not None:
        # Where the reference has a unit, a letter after a number is one: 5 m is not 5 cm. It may stand for a word.
        short = reference.unit[0] if len(reference.unit) > 3 else reference.unit
        return leaf(reference.text, letter[1].strip()) if letter[2].casefold() == short else False
    return leaf(reference.text, answer.text)


def _percent(reference: Form, answer: Form, leaf: Leaf, policy: Policy) -> bool | None:
    """Compares two values of which one has a percent sign."""
    if policy.percent == "either" and leaf(reference.text, answer.text):
        return True
    if reference.unit:
        return leaf(rf"({reference.text})/100", answer.text)
    return leaf(reference.text, rf"({answer.text})/100")


def same(reference: Form, answer: Form, leaf: Leaf = same_leaf, policy: Policy = LENIENT) -> bool | None:
    """Gives whether the answer equals the reference; `leaf` compares two single values."""
    if reference.name and answer.name and reference.name != answer.name:
        return False
    chain = _all([same(answer, member, leaf, policy) for member in answer.equals]) if answer.equals else True
    if chain is False:
        return False
    return _all([chain, _same_kind(reference, answer, leaf, policy)])


def _same_kind(reference: Form, answer: Form, leaf: Leaf, policy: Policy) -> bool | None:
    kinds = (reference.kind, answer.kind)
    if kinds == ("value", "value"):
        return _value(reference, answer, leaf, policy)
    if "text" in kinds:
        return _text(reference, answer)
    if "relation" in kinds or "plus_minus" in kinds:
        if reference.kind == "value":
            return False
        return True if squeezed(reference.text) == squeezed(answer.text) else None
    if answer.kind == "set" and len(answer.items) == 1 and reference.kind == "value":
        return same(reference, answer.items[0], leaf, policy)
    if "value" in kinds:
        return False if reference.kind == "value" else None
    if "union" in kinds:
        if "list" in kinds or kinds == ("union", "union"):
            return True if _unordered(reference.items, answer.items, leaf, policy) else None
        return None
    if kinds in (("list", "list"), ("set", "set"), ("list", "set"), ("set", "list")):
        return _unordered(reference.items, answer.items, leaf, policy)
    if "set" in kinds or len(reference.items) != len(answer.items):
        return False
    if reference.brackets and answer.brackets and reference.brackets != answer.brackets:
        return False
    return _all([same(*pair, leaf, policy) for pair in zip(reference.items, answer.items, strict=True)])


def _text(reference: Form, answer: Form) -> bool:
    if reference.kind == answer.kind:
        return reference.text == answer.text
    words, other = (reference.text, answer.text) if reference.kind == "text" else (answer.text, reference.text)
    letter = bracketed(other)[0].strip()
    # A choice keeps its letter with and without \text and brackets; a symbol keeps its case.
    return letter.casefold() == words if reference.kind == "text" else len(words) == 1 and letter.casefold() == words
