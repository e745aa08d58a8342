"""Whether an answer equals its reference, form by form: True, False, or None where computer algebra has to tell."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rlvr.verifiers.forms import Form, bracketed
from rlvr.verifiers.latex import squeezed
from rlvr.verifiers.rational import Decimal, NotRationalError, UndefinedError, decimal, value
from rlvr.verifiers.vocabulary import as_read, same_case

MIN_ROUNDED_DIGITS = 6
"""Significant digits from which a decimal may stand for a number that it only approximates."""

_LETTER_UNIT = re.compile(r"(.*(?:[\d}!)]|\\[a-zA-Z]+\s))\s*([A-Za-z])", re.DOTALL)
UNIT_LETTERS = "mshglL"
"""Letters that are a unit after a number where the reference is a number."""

_WORD = re.compile(r"[a-z]")
ORDERS = ("xyzw", "abcd", "uv", "pqrs", "mn", "ijk")
"""Names of coordinates in the order in which a tuple without names holds them."""

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
    if as_read(reference) is None or as_read(answer) is None or not same_case(reference, answer):
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
    if reference.unit.startswith("base") and answer.unit in ("", reference.unit):
        return policy.units == "optional" or bool(answer.unit) if _digits(reference) == _digits(answer) else False
    letter = None if answer.unit else _LETTER_UNIT.fullmatch(answer.text)
    if letter is not None and not reference.unit and letter[2] in UNIT_LETTERS and number(reference.text) is not None:
        return policy.units == "optional" and leaf(reference.text, letter[1].strip())
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
    if letter is not None and _WORD.match(reference.unit):
        # Where the reference has a unit, a letter after a number is one: 5 m is not 5 cm. It may stand for a word.
        short = reference.unit[0] if len(reference.unit) > 3 or reference.unit == "min" else reference.unit
        return leaf(reference.text, letter[1].strip()) if letter[2].casefold() == short else False
    return leaf(reference.text, answer.text)


def _digits(form: Form) -> str:
    """Gives the digits of a number in some base."""
    return form.text.casefold().lstrip("0")


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
    if "relation" in kinds:
        return _relation(reference, answer, leaf, policy)
    if "plus_minus" in kinds:
        return kinds[0] == kinds[1] and squeezed(reference.text) == squeezed(answer.text)
    if "ratio" in kinds:
        alike = kinds[0] == kinds[1] and _units_agree(reference, answer, policy)
        return alike and _in_order(reference, answer, leaf, policy)
    if kinds == ("value", "set") and [item.kind for item in answer.items] == ["value"]:
        return same(reference, answer.items[0], leaf, policy)
    if "value" in kinds:
        return False if reference.kind == "value" else None
    if "union" in kinds:
        if "list" in kinds or kinds == ("union", "union"):
            alike = len({item.name for item in answer.items}) == 1
            return True if alike and _unordered(reference.items, answer.items, leaf, policy) else None
        return None
    if kinds in (("list", "list"), ("set", "set"), ("list", "set"), ("set", "list")):
        return _unordered(reference.items, answer.items, leaf, policy)
    if "set" in kinds:
        return False
    if reference.brackets and answer.brackets and reference.brackets != answer.brackets:
        return False
    # 1, 2 may be the pair (1, 2), but neither [1, 2] nor 1 < x < 2.
    if "list" in kinds and any(form.brackets not in ("", "()") or _is_range(form) for form in (reference, answer)):
        return False
    return _in_order(reference, answer, leaf, policy)


def _is_range(form: Form) -> bool:
    return form.kind == "tuple" and form.name != "" and not form.name.startswith("(")


def _in_order(reference: Form, answer: Form, leaf: Leaf, policy: Policy) -> bool | None:
    if len(reference.items) != len(answer.items):
        return False
    names = answer.name.strip("()").split(",") if answer.name.startswith("(") else _names(answer)
    pairs = zip(_by_name(reference, _names(reference)), _by_name(answer, names), strict=True)
    return _all([same(*pair, leaf, policy) for pair in pairs])


def _names(form: Form) -> list[str]:
    return [item.name for item in form.items]


def _by_name(form: Form, names: Sequence[str]) -> Sequence[Form]:
    """Gives the items in the order of their names, where these have one (y = 2, x = 1 is the pair 1, 2)."""
    order = next((known for known in ORDERS if all(len(name) == 1 and name in known for name in names)), None)
    if order is None or len(set(names)) != len(form.items):
        return form.items
    return [item for _, item in sorted(zip(names, form.items, strict=True), key=lambda pair: order.index(pair[0]))]


def _units_agree(reference: Form, answer: Form, policy: Policy) -> bool:
    return reference.unit == answer.unit or (policy.units == "optional" and not (reference.unit and answer.unit))


def _relation(reference: Form, answer: Form, leaf: Leaf, policy: Policy) -> bool | None:
    """Compares two relations, or an equation with y = …; more than the same sides is left to computer algebra."""
    if reference.kind == answer.kind and squeezed(reference.text) == squeezed(answer.text):
        return True
    if reference.kind == answer.kind:
        if not reference.brackets or reference.brackets != answer.brackets:
            return False
        return True if _in_order(reference, answer, leaf, policy) else None
    named, equation = (answer, reference) if reference.kind == "relation" else (reference, answer)
    # 2x = 8 is no answer to x = 4, but y - 2x = 1 is the line y = 2x + 1.
    solved = named.kind != "value" or not named.name or number(named.text) is not None
    return False if solved or equation.brackets != "=" else None


def _text(reference: Form, answer: Form) -> bool:
    if answer.name and answer.name != reference.name:
        return False
    if reference.kind == answer.kind:
        return reference.text == answer.text
    words, other = (reference.text, answer.text) if reference.kind == "text" else (answer.text, reference.text)
    letter = bracketed(other)[0].strip()
    # A choice keeps its letter with and without \text and brackets; a symbol keeps its case.
    return letter.casefold() == words and (reference.kind == "text" or letter.isalpha())
