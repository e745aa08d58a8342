"""Random mathematics as models write it: expressions of known value, answers of all forms, broken ones, completions.

Everything is drawn from one `random.Random`, so that a seed and a number name a case.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

TOKENS = (
    *(r"\frac", r"\dfrac", r"\sqrt", r"\boxed", r"\boxed{", r"\text{", r"\left", r"\right", r"\pi", r"\infty", r"\cup"),
    *(r"\cdot", r"\times", r"\div", r"\pm", r"\le", r"\ge", r"\in", r"\circ", r"\%", r"\$", r"\{", r"\}", r"\,", r"\!"),
    *(r"\begin{pmatrix}", r"\end{pmatrix}", r"\\", "&", r"\overline{3}", r"\binom", r"\phantom{4}", r"\mathrm{cm}"),
    *(
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "+",
        "-",
        "*",
        "/",
        "=",
        "<",
        ">",
        "!",
        "|",
        ",",
        ";",
        ".",
        ":",
        "'",
        '"',
    ),
    *(
        "0",
        "1",
        "2",
        "3",
        "4",
        "7",
        "10",
        "12",
        "100",
        "1000",
        "0.5",
        "3.14",
        ".25",
        "x",
        "y",
        "n",
        "i",
        "e",
        "or",
        "and",
    ),
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "$",
        "%",
        "~",
        "\x00",
        "\u200b",
        "\u00a0",
        "−",
        "½",
        "²",
        "√",
        "π",
        "∞",
        "≤",
        "₂",
        "４",
        "٣",
    ),
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "####",
        "A:",
        "The answer is",
        "cm",
        "dollars",
        "million",
        "\ud800",
    ),
)
"""What broken answers are made of."""

WORDS = ("So", "we get", "First try", "No, wait.", "Hence the total is", "Therefore\n\n", "check:", "1 + 1 = 2.", "$x$")
NAMES = ("Evelyn", "east", "navy", "blue", "even", "no solution", "odd")
UNITS = ("cm", "dollars", "eggs", "hours", "square units")


@dataclass(frozen=True, slots=True)
class Expression:
    """LaTeX and its exact value; None where it has none (it divides by zero)."""

    text: str
    value: Fraction | None


def token_soup(draw: Random, *, longest: int = 30) -> str:
    """Gives tokens in no order; one in ten is a run of one token up to the length cap of an answer."""
    if draw.random() < 0.1:
        unit = "".join(draw.choices(TOKENS, k=draw.randint(1, 3)))
        return (unit * 2000)[: draw.randint(200, 2000)]
    return "".join(draw.choices(TOKENS, k=draw.randint(0, longest)))


def mutated(draw: Random, text: str) -> str:
    """Gives `text` after one to four small edits."""
    for _ in range(draw.randint(1, 4)):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.randint(0, 4))
        middle = draw.choice(("", draw.choice(TOKENS), text[start:end] * 2, text[start:end][::-1]))
        text = text[:start] + middle + text[end:]
    return text


def rational(draw: Random, *, signed: bool = True) -> Fraction:
    """Gives a number as answers have it: small more often than large."""
    top, bottom = draw.choice((9, 99, 9999, 10**7)), draw.choice((1, 1, 4, 12, 100))
    number = Fraction(draw.randint(0, top), draw.randint(1, bottom))
    return -number if signed and draw.random() < 0.3 else number


def spelled(draw: Random, number: Fraction) -> str:
    """Gives one of the ways to write an exact number."""
    sign, size = ("-" if number < 0 else ""), abs(number)
    top, bottom = size.numerator, size.denominator
    ways = [
        rf"{sign}\frac{{{top}}}{{{bottom}}}",
        f"{sign}{top}/{bottom}",
        rf"{sign}\dfrac{{{2 * top}}}{{{2 * bottom}}}",
    ]
    if bottom == 1:
        ways += [f"{sign}{top}"] * 4 + [f"{sign}{top}.0", f"{sign}{top:,}", f"{sign}{top:,}".replace(",", "{,}")]
        if top > 9:
            digits = str(top)
            shifted = f"{sign}{digits[0]}.{digits[1:]}"
            ways += [rf"{shifted}\times 10^{{{len(digits) - 1}}}", f"{shifted}e{len(digits) - 1}"]
    elif size > 1:
        whole, rest = divmod(top, bottom)
        ways += [rf"{sign}{whole}\frac{{{rest}}}{{{bottom}}}", f"{sign}{whole} {rest}/{bottom}"]
    if top < 10 and bottom < 10:
        ways.append(rf"{sign}\frac{top}{bottom}")
    while bottom % 2 == 0 or bottom % 5 == 0:
        bottom //= 2 if bottom % 2 == 0 else 5
    if bottom == 1 and size.denominator > 1:
        digits = f"{float(size):.10f}".rstrip("0")
        ways += [sign + digits] * 3 if Fraction(digits) == size else []
    return draw.choice(ways)


def expression(draw: Random, depth: int = 3) -> Expression:
    """Gives an expression of numbers with the value that its structure says."""
    if depth == 0 or draw.random() < 0.3:
        number = rational(draw, signed=False)
        plain = number.denominator == 1
        return Expression(str(number) if plain else rf"\frac{{{number.numerator}}}{{{number.denominator}}}", number)
    left, right = expression(draw, depth - 1), expression(draw, depth - 1)
    sign = draw.choice("+-*/f^r")
    if sign == "^":
        power = draw.randint(-3, 4)
        return Expression(rf"\left({left.text}\right)^{{{power}}}", _raised(left.value, power))
    if sign == "r":
        return Expression(rf"\sqrt{{({left.text})^2}}", None if left.value is None else abs(left.value))
    spaces = draw.choice(("", " "))
    if sign == "f":
        return Expression(rf"\frac{{{left.text}}}{{{right.text}}}", _divided(left.value, right.value))
    if sign in "+-":
        known = (
            None if left.value is None or right.value is None else left.value + right.value * (1 if sign == "+" else -1)
        )
        return Expression(f"{left.text}{spaces}{sign}{spaces}({right.text})", known)
    if sign == "*":
        known = None if left.value is None or right.value is None else left.value * right.value
        times = draw.choice((r"\cdot", r"\times", "*"))
        return Expression(f"({left.text}){spaces}{times}{spaces}({right.text})", known)
    return Expression(f"({left.text}){spaces}/{spaces}({right.text})", _divided(left.value, right.value))


def _divided(top: Fraction | None, bottom: Fraction | None) -> Fraction | None:
    return None if top is None or not bottom else top / bottom


def _raised(base: Fraction | None, power: int) -> Fraction | None:
    return None if base is None or (base == 0 and power <= 0) else base**power


def _listed(draw: Random, opening: str, closing: str, size: int) -> str:
    between = draw.choice((",", ", "))
    return opening + between.join(spelled(draw, rational(draw)) for _ in range(size)) + closing


def _interval(draw: Random) -> str:
    low = rational(draw)
    ends = spelled(draw, low), spelled(draw, low + abs(rational(draw)) + 1)
    if draw.random() < 0.3:
        ends = draw.choice(((r"-\infty", ends[1]), (ends[0], r"\infty")))
    return f"{draw.choice('([')}{ends[0]},{ends[1]}{draw.choice(')]')}"


def _polynomial(draw: Random) -> str:
    terms = [f"{draw.choice(('', '2', '3', '12'))}x^{power}" for power in range(draw.randint(2, 4), 1, -1)]
    return "+".join(terms) + draw.choice(("+x", "-5x")) + draw.choice(("", "-1", "+7"))


def _matrix(draw: Random) -> str:
    rows = [" & ".join(spelled(draw, rational(draw)) for _ in range(2)) for _ in range(draw.randint(1, 3))]
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


FORMS: dict[str, Callable[[Random], str]] = {
    "number": lambda draw: spelled(draw, rational(draw)),
    "percent": lambda draw: rf"{draw.randint(0, 200)}\%",
    "money": lambda draw: rf"\${draw.randint(1, 9999):,}.{draw.randint(0, 99):02}",
    "unit": lambda draw: rf"{draw.randint(1, 999)}\text{{ {draw.choice(UNITS)}}}",
    "degrees": lambda draw: rf"{draw.randint(1, 360)}^\circ",
    "root": lambda draw: rf"{draw.choice(('', '2', '-3'))}\sqrt{{{draw.choice((2, 3, 5, 7, 15))}}}",
    "of pi": lambda draw: rf"\frac{{{draw.choice(('', '3', '5'))}\pi}}{{{draw.randint(2, 9)}}}",
    "tuple": lambda draw: _listed(draw, "(", ")", draw.randint(2, 4)),
    "list": lambda draw: _listed(draw, "", "", draw.randint(2, 4)),
    "set": lambda draw: _listed(draw, r"\{", r"\}", draw.randint(1, 4)),
    "interval": _interval,
    "union": lambda draw: rf"{_interval(draw)}\cup {_interval(draw)}",
    "text": lambda draw: rf"\text{{{draw.choice(NAMES)}}}",
    "choice": lambda draw: rf"\text{{({draw.choice('ABCDE')})}}",
    "polynomial": _polynomial,
    "matrix": _matrix,
    "equation": lambda draw: f"y = {_polynomial(draw)}",
    "assigned": lambda draw: f"x = {spelled(draw, rational(draw))}",
    "inequality": lambda draw: (
        rf"x {draw.choice(('<', '>', chr(92) + 'le', chr(92) + 'geq'))} {spelled(draw, rational(draw))}"
    ),
    "complex": lambda draw: f"{draw.randint(1, 9)}{draw.choice('+-')}{draw.randint(2, 9)}i",
    "power": lambda draw: f"{draw.randint(2, 9)}^{{{draw.randint(2, 40)}}}",
}
"""The forms that reference answers have."""

_DIGITS = re.compile(r"\d+")
# No denominator: 0/1 and 0/5004 are the same.
_WHOLE = re.compile(r"(?<![/\d])(?<!\}\{)\d+")


def altered(draw: Random, text: str) -> str:
    """Gives a form with another value: one number of it far larger, another word or letter."""
    for words in (NAMES, [f"({letter})" for letter in "ABCDE"]):
        if said := [word for word in words if rf"\text{{{word}}}" in text]:
            return text.replace(said[0], draw.choice([word for word in words if word not in said]))
    numbers = list(_WHOLE.finditer(text)) or list(_DIGITS.finditer(text))
    one = draw.choice(numbers)
    return f"{text[: one.start()]}{int(one.group()) + 5003}{text[one.end() :]}"


NUMERIC = ("number", "percent", "tuple", "list", "set", "interval")
"""Forms whose equality exact arithmetic decides."""


def answer(draw: Random, seeds: Sequence[str] = ()) -> str:
    """Gives an answer that may be well formed, slightly broken or mere tokens; `seeds` are answers to break."""
    kind = draw.random()
    if kind < 0.15:
        return token_soup(draw)
    if kind < 0.3:
        return expression(draw).text
    form = FORMS[draw.choice(list(FORMS))](draw)
    if kind < 0.6:
        return form
    return mutated(draw, draw.choice(seeds) if seeds and kind > 0.8 else form)


def completion(draw: Random, seeds: Sequence[str] = ()) -> str:
    """Gives a completion of words, boxes, tags and answer lines, whole and broken, in any order."""
    pieces = []
    for _ in range(draw.randint(0, 6)):
        inner = answer(draw, seeds)
        ways = (rf"\boxed{{{inner}}}", rf"$\boxed{{{inner}}}$.", f"<answer>{inner}</answer>", f"\n#### {inner}", inner)
        pieces.append(
            draw.choice((*ways, f"\nThe answer is {inner}\n", draw.choice(WORDS), token_soup(draw, longest=5)))
        )
    text = draw.choice((" ", "", "\n")).join(pieces)
    return text * draw.choice((100, 1000)) if draw.random() < 0.01 and len(text) < 300 else text
