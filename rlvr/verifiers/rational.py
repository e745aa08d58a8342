"""The exact value of a LaTeX expression made of rational numbers, by a small parser of its own; nothing is executed."""

import functools
import math
import re
from dataclasses import dataclass
from fractions import Fraction

MAX_BITS = 20_000
MAX_DEPTH = 40
MAX_FACTORIAL = 500
MAX_DIGITS = 4000
MAX_TOKENS = 500

_ONE = Fraction(1)
_TOKEN = re.compile(
    r"(?P<repeating>\d*\.(?P<head>\d*)\\overline\s*\{(?P<cycle>\d+)\})"
    r"|(?P<dots>\d*\.\d{0,20}?(?P<period>\d{1,6}?)(?P=period){2,}\s*(?:\.\.\.|\\ldots|\\dots|\\cdots))"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+\.?\d*|\.\d+)"
    r"|(?P<command>\\(?:frac|sqrt|cdot|times|div|binom)(?![a-zA-Z]))"
    r"|(?P<sign>[-+*/^(){}!\[\]])"
    r"|(?P<space> +)"
)
_DECIMAL = re.compile(
    r"(?P<sign>[-+]?) ?(?P<whole>\d*|\d{1,3}(?:,\d{3})+)(?:\.(?P<part>\d*))?"
    r"(?:(?: ?(?:\\times|\\cdot|\*) ?10 ?\^ ?(?:\{ ?(?P<braced>[-+]?\d{1,4}) ?\}|(?P<bare>\d)))"
    r"|[eE](?P<plain>[-+]?\d{1,4}))?"
)


class NotRationalError(Exception):
    """The text is no expression of rational numbers that can be evaluated within the limits."""


class UndefinedError(NotRationalError):
    """The expression has no value: it divides by zero."""


@dataclass(frozen=True, slots=True)
class Decimal:
    """A decimal literal: its exact value, its significant digits and the worth of one unit in its last place."""

    value: Fraction
    digits: int
    unit: Fraction


@functools.lru_cache(maxsize=4096)
def decimal(text: str) -> Decimal | None:
    """Gives a literal such as -12.50, 1,000 or 1.2 \\times 10^{3}; None for anything else."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    whole, part = match["whole"].replace(",", ""), match["part"] or ""
    if not whole + part or len(whole + part) > MAX_DIGITS:
        return None
    exponent = int(match["braced"] or match["bare"] or match["plain"] or 0)
    if abs(exponent) > 4000:
        return None
    places = exponent - len(part)
    unit = Fraction(10) ** places if places else _ONE
    value = int(whole + part) * unit if places else Fraction(int(whole + part))
    digits = len((whole + part).lstrip("0"))
    return Decimal(-value if match["sign"] == "-" else value, digits, unit)


def value(text: str) -> Fraction:
    """Gives the exact value of a normalised expression. Raises NotRationalError, or UndefinedError dividing by zero."""
    literal = decimal(text)
    if literal is not None:
        return literal.value
    parser = _Parser(text)
    result = parser.sum(0)
    parser.end()
    return result


def _bounded(result: Fraction) -> Fraction:
    if result.numerator.bit_length() > MAX_BITS or result.denominator.bit_length() > MAX_BITS:
        raise NotRationalError("too many digits")
    return result


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return _root(_power(base, Fraction(exponent.numerator)), exponent.denominator)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent.numerator) > MAX_BITS and abs(base) not in (0, 1):
        raise NotRationalError("too large a power")
    if base == 0 and exponent <= 0:
        raise UndefinedError("0 to a power that is not positive")
    if abs(base) == 1:
        return base if exponent.numerator % 2 else Fraction(1)
    return base**exponent.numerator


def _integer_root(number: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(number)
    else:
        low, high = 0, 1 << (number.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= number else (low, middle - 1)
        root = low
    return root if root**degree == number else None


def _root(number: Fraction, degree: int) -> Fraction:
    if number < 0 or degree < 2 or degree > 64:
        raise NotRationalError("a root that is not plainly real")
    top, bottom = _integer_root(number.numerator, degree), _integer_root(number.denominator, degree)
    if top is None or bottom is None:
        raise NotRationalError("an irrational root")
    return Fraction(top, bottom)


class _Parser:
    """Recursive descent over tokens; every result is bounded in size, every recursion in depth."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise NotRationalError(f"not a number at {text[position : position + 10]!r}")
            if match.end() - match.start() > MAX_DIGITS or len(self._tokens) >= MAX_TOKENS:
                raise NotRationalError("too long")
            kind = match.lastgroup
            for name in ("repeating", "dots", "number", "command", "sign", "space"):
                if match[name] is not None:
                    kind = name
            assert kind is not None
            self._tokens.append((kind, match.group()))
            position = match.end()
        self._at = 0

    def end(self) -> None:
        self._skip_space()
        if self._at < len(self._tokens):
            raise NotRationalError("something is left over")

    def sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise NotRationalError("too deep")
        result = self._product(depth)
        while (sign := self._take("+", "-")) is not None:
            term = self._product(depth)
            result = _bounded(result + term if sign == "+" else result - term)
        return result

    def _product(self, depth: int) -> Fraction:
        if (sign := self._take("+", "-")) is not None:
            factor = self._product(depth + 1) if depth < MAX_DEPTH else self._deep()
            return -factor if sign == "-" else factor
        result = self._power(depth)
        divided = False
        while True:
            if self._take("*", r"\cdot", r"\times") is not None:
                result = _bounded(result * self._signed_power(depth))
            elif self._take("/", r"\div") is not None:
                divisor = self._signed_power(depth)
                if divisor == 0:
                    raise UndefinedError("division by zero")
                result = _bounded(result / divisor)
                divided = True
            elif self._peek() in ("(", r"\frac", r"\sqrt"):
                if divided:
                    raise NotRationalError("1/2(3) can be read in two ways")
                result = _bounded(result * self._power(depth))
            else:
                return result

    def _deep(self) -> Fraction:
        raise NotRationalError("too deep")

    def _signed_power(self, depth: int) -> Fraction:
        sign = self._take("+", "-")
        result = self._power(depth)
        return -result if sign == "-" else result

    def _power(self, depth: int) -> Fraction:
        base = self._mixed(depth)
        while self._take("!") is not None:
            if base.denominator != 1 or not 0 <= base <= MAX_FACTORIAL:
                raise NotRationalError("a factorial out of range")
            base = Fraction(math.factorial(base.numerator))
        if self._take("^") is not None:
            base = _power(base, self._argument(depth))
        return base

    def _mixed(self, depth: int) -> Fraction:
        kind, text = self._current()
        if kind != "number" or "." in text:
            return self._atom(depth)
        start = self._at
        whole = self._atom(depth)
        part = self._proper_fraction(depth)
        if part is None:
            self._at = start
            return self._atom(depth)
        return whole + part

    def _proper_fraction(self, depth: int) -> Fraction | None:
        """Gives the fraction that makes a mixed number of the integer before it: 1\\frac{3}{4} or 1 3/4."""
        spaced = self._at < len(self._tokens) and self._tokens[self._at][0] == "space"
        if self._peek() == r"\frac":
            start = self._at
            try:
                fraction = self._atom(depth)
            except NotRationalError:
                self._at = start
                raise
            if 0 < fraction < 1 and self._peek() != "^":
                return fraction
            return None
        texts = [token for token in self._tokens[self._at :] if token[0] != "space"][:3]
        if spaced and len(texts) == 3 and texts[1][1] == "/" and texts[0][1].isdigit() and texts[2][1].isdigit():
            top, bottom = int(texts[0][1]), int(texts[2][1])
            if 0 < top < bottom:
                for _ in range(3):
                    self._next()
                return Fraction(top, bottom)
        return None

    def _atom(self, depth: int) -> Fraction:
        kind, text = self._next()
        if depth > MAX_DEPTH:
            raise NotRationalError("too deep")
        if kind == "number":
            return Fraction(text.replace(",", ""))
        if kind == "repeating":
            return _repeating(text)
        if kind == "dots":
            return _with_dots(text)
        if text in ("(", "{", "["):
            result = self.sum(depth + 1)
            self._expect({"(": ")", "{": "}", "[": "]"}[text])
            return result
        if text == r"\frac":
            top, bottom = self._argument(depth), self._argument(depth)
            if bottom == 0:
                raise UndefinedError("division by zero")
            return _bounded(top / bottom)
        if text == r"\binom":
            n, k = self._argument(depth), self._argument(depth)
            if n.denominator != 1 or k.denominator != 1 or not 0 <= k <= n <= MAX_FACTORIAL:
                raise NotRationalError("a binomial out of range")
            return Fraction(math.comb(n.numerator, k.numerator))
        if text == r"\sqrt":
            degree = Fraction(2)
            if self._take("[") is not None:
                degree = self.sum(depth + 1)
                self._expect("]")
            if degree.denominator != 1:
                raise NotRationalError("a root of a degree that is no integer")
            return _root(self._argument(depth), degree.numerator)
        raise NotRationalError(f"unexpected {text!r}")

    def _argument(self, depth: int) -> Fraction:
        """Gives what TeX would take as one argument: a group, or a single digit."""
        kind, text = self._current()
        if kind == "number" and len(text) > 1:
            self._tokens[self._at : self._at + 1] = [("number", text[0]), ("number", text[1:])]
            if not text[0].isdigit() or not text[1:].isdigit():
                raise NotRationalError("an argument that is split at a point")
        return self._atom(depth + 1)

    def _skip_space(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at][0] == "space":
            self._at += 1

    def _current(self) -> tuple[str, str]:
        self._skip_space()
        if self._at >= len(self._tokens):
            raise NotRationalError("it ends too early")
        return self._tokens[self._at]

    def _peek(self) -> str:
        self._skip_space()
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        token = self._current()
        self._at += 1
        return token

    def _take(self, *texts: str) -> str | None:
        if self._peek() in texts and self._peek():
            return self._next()[1]
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise NotRationalError(f"{text!r} is missing")


def _repeating(text: str) -> Fraction:
    match = re.fullmatch(r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}", text)
    assert match is not None
    whole, head, cycle = match.groups()
    shift = 10 ** len(head)
    return Fraction(int(whole or 0) * shift + int(head or 0), shift) + Fraction(
        int(cycle), shift * (10 ** len(cycle) - 1)
    )


def _with_dots(text: str) -> Fraction:
    match = re.fullmatch(r"(\d*\.\d{0,20}?)(\d{1,6}?)\2{2,}\s*(?:\.\.\.|\\ldots|\\dots|\\cdots)", text)
    assert match is not None
    return _repeating(f"{match[1]}\\overline{{{match[2]}}}")
