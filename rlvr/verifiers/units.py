"""The unit of an answer: words after a number, a currency, a percent or degree sign, a base; and what is no unit.

Any noun may be a unit (4 eggs). Words that change the value or leave it open are none: numerals, fractions, operations,
hedges. A scale (million, dozen) multiplies.
"""

import re
from collections.abc import Sequence

from rlvr.verifiers.spelling import CURRENCIES, FUNCTIONS

_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "mn": 10**6,
    "billion": 10**9,
    "bn": 10**9,
    "trillion": 10**12,
    "quadrillion": 10**15,
    "lakh": 10**5,
    "crore": 10**7,
    "dozen": 12,
}


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_NUMERALS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen",
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety score gross basis permille mil",
    "half halve third fourth fifth sixth seventh eighth ninth tenth hundredth thousandth millionth billionth",
)
_OPERATIONS = _words(
    "plus minus over divided multiplied squared cubed doubled tripled twice thrice factorial reciprocal inverse mod",
    "modulo root power choose to from by pi sqrt inf infty infinity nan zoo oo lambda eval negative positive",
    *FUNCTIONS,
)
_HEDGES = _words(
    "or and not nor xor but is are if when where unless except maybe perhaps possibly probably either neither else",
    "otherwise approximately approx about around roughly nearly almost ca circa than least most up no none under",
    "below above wrong incorrect false rejected guess unsure versus vs",
)
_NOT_UNITS = _NUMERALS | _OPERATIONS | _HEDGES
_SPELLINGS = {
    "mm": "millimeter millimetre",
    "cm": "centimeter centimetre",
    "m": "meter metre",
    "km": "kilometer kilometre",
    "in": "inch",
    "ft": "foot feet",
    "yd": "yard",
    "mi": "mile",
    "mg": "milligram",
    "g": "gram",
    "kg": "kilogram",
    "pound": "lb",
    "oz": "ounce",
    "ml": "milliliter millilitre",
    "l": "liter litre",
    "s": "second sec",
    "min": "minute",
    "h": "hour hr",
    "year": "yr",
    "dollar": "usd buck",
    "euro": "eur",
    "degree": "deg",
    "radian": "rad",
    "c": "celsius",
    "f": "fahrenheit",
    "square": "sq",
    "cubic": "cu",
    "person": "people",
    "mi per h": "mph",
}
_ALIASES = {word: name for name, words in _SPELLINGS.items() for word in words.split()}
_LETTERS = frozenset("mshglLdNJWVAKCFT")
_SHORT = _words("cm mm km in ft yd mi kg mg oz ml lb hr cl dl am pm")
_CURRENCY_NAMES = {"＄": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee", "¢": "cent"}
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_BASES |= {"eleven": 11, "twelve": 12, "sixteen": 16}

_POWER = r"(?:\s*\^\s*\{?\s*(\d)\s*\}?)?"
_TEXT_UNIT = re.compile(r"^(.*?\S)(\s*)\\text\s*\{([^{}\\]*)\}" + _POWER + "$")
_WORD_UNIT = re.compile(rf"^(.*[\d}}!)%{CURRENCIES}])( ?)([A-Za-z][A-Za-z./-]+(?: [A-Za-z./-]+){{0,2}}){_POWER}$")
_WORDS = re.compile("[a-z][a-z -]*")
_PREFIX = re.compile(rf"^([-+]? ?)(?:US|USD)? ?([{CURRENCIES}]) ?(.+)$")
_SUFFIX = re.compile(rf"^(.+?) ?([{CURRENCIES}])$")
_BASE = re.compile(
    r"^(?:\\text\{)?\(?([0-9A-Za-z]+)\)?\}?(?:\\text\{([A-Z]+)\})?"
    r"\s*_\s*(?:\\text)?\{?\s*\(?\s*(?:\\text\s*\{)?\s*([a-z]+|\d{1,2})\s*\}?\s*\)?\s*\}?$"
)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")


def with_unit(text: str) -> tuple[str, str]:
    """Gives a value without its unit, and the unit's one name: "", "%", "degree", "base 2", "cm^2", "mi per h"."""
    bare, currency = _currency(text)
    bare, words = _worded(bare)
    if words:
        bare, words = _scaled(bare, words)
        if bare.endswith(r"^\circ"):
            bare, words = bare[: -len(r"^\circ")].strip(), ["degree", *words]
    unit = _name(words)
    if currency and unit not in ("", currency):
        return text, ""
    unit = currency or unit
    if unit or bare != text:
        return bare, unit
    return _signed(text)


def _currency(text: str) -> tuple[str, str]:
    if text.isascii():
        return text, ""
    prefix, suffix = _PREFIX.fullmatch(text), _SUFFIX.fullmatch(text)
    if prefix is not None:
        return prefix[1] + prefix[3], _CURRENCY_NAMES[prefix[2]]
    return (suffix[1], _CURRENCY_NAMES[suffix[2]]) if suffix is not None else (text, "")


def _worded(text: str) -> tuple[str, list[str]]:
    """Gives the value and the words of its unit, the power last where there is one; no words where they are no unit."""
    for pattern in (_TEXT_UNIT, _WORD_UNIT):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        said = match[3].strip()
        bare = pattern is _WORD_UNIT and (not match[2] or len(said) < 3)
        # Two letters, or letters without a space, are a product of variables where they are no unit that one knows.
        if (len(said) == 1 and said not in _LETTERS) or (bare and said.casefold() not in _SHORT):
            return text, []
        plain = said.casefold().replace(".", "").replace("/", " per ").split()
        words = [_singular(word) for word in plain]
        known = not _NOT_UNITS.intersection((*plain, *words)) and _WORDS.fullmatch(" ".join(words))
        if words and len(words) <= 5 and known:
            return match[1].strip(), [*words, *([f"^{match[4]}"] if match[4] and match[4] != "1" else [])]
    return text, []


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("xes", "ches", "shes", "sses")):
        word = word[:-2]
    elif len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _ALIASES.get(word, word)


def _scaled(text: str, words: Sequence[str]) -> tuple[str, list[str]]:
    factor = 1
    while words and words[0] in _SCALES:
        factor *= _SCALES[words[0]]
        words = words[1:]
    return (text if factor == 1 else rf"({text}) \times {factor}"), list(words)


def _name(words: Sequence[str]) -> str:
    if words and words[0] in ("square", "cubic") and len(words) > 1 and not words[-1].startswith("^"):
        words = [*words[1:2], "^2" if words[0] == "square" else "^3", *words[2:]]
    name = " ".join(words).replace(" ^", "^")
    if name in ("unit", "percent", "per cent"):
        return "" if name == "unit" else "%"
    return name


def _signed(text: str) -> tuple[str, str]:
    """Gives the value and the unit of a percent sign, a degree sign or a base."""
    if text.endswith("%"):
        return text[:-1].strip(), "%"
    if text.endswith(r"^\circ") and not _TRIGONOMETRIC.search(text):
        return text[: -len(r"^\circ")].strip(), "degree"
    base = _BASE.fullmatch(text) if "_" in text else None
    if base is None:
        return text, ""
    digits = base[1] + (base[2] or "")
    radix = _BASES.get(base[3]) or (int(base[3]) if base[3].isdigit() else 0)
    if radix < 2 or not (re.search(r"\d", digits) or (radix > 10 and digits.isupper())):
        return text, ""
    return digits, f"base {radix}"
