"""The form of a math answer: a single value, a text, a list, a set, a tuple, an interval, a union, a relation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlvr.verifiers.latex import normalise, split, top_level
from rlvr.verifiers.rational import decimal

Kind = Literal["value", "text", "list", "set", "tuple", "union", "relation", "plus_minus"]


@dataclass(frozen=True, slots=True)
class Form:
    """One answer. `text` is its normalised text without unit; `brackets` are those of a tuple or an interval.

    `name` is the left-hand side of `x = …` or the variable of an interval written as an inequality; `equals` holds the
    further members of a chain such as 1 + 1 = 2. `unit` may be "%", a word, or "base 2".
    """

    kind: Kind
    text: str
    items: tuple["Form", ...] = ()
    brackets: str = ""
    name: str = ""
    unit: str = ""
    equals: tuple["Form", ...] = ()


_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "dozen": 12}
_NOT_UNITS = (
    *("or", "and", "not", "nor", "is", "if", "when", "where", "mod", "approximately", "about", "than", "least", "most"),
    *("from", "to", "no", "none", "else", "either", "maybe", "possibly"),
    *("pi", "sqrt", "sin", "cos", "tan", "log", "exp", "inf", "infty", "nan", "zoo", "oo", "lambda", "eval"),
)
_TEXT_UNIT = re.compile(r"^(.*?\S)\s*\\(?:text|mathrm|mbox|textrm|rm)\s*\{([^{}\\]*)\}\s*(?:\^\s*\{?\s*(\d)\s*\}?)?$")
_WORD_UNIT = re.compile(r"^(.*[\d}!)%]) ([A-Za-z][A-Za-z.]+(?: [A-Za-z.]+)?)(?:\s*\^\s*\{?\s*(\d)\s*\}?)?$")
_BASE = re.compile(r"^([0-9A-Za-z]+)\s*_\s*(?:\{\s*(?:\\text\{)?\s*([a-z]+|\d{1,2})\s*\}?\s*\}|(\d))$")
_FONT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|emph|bf|rm|it|boldsymbol)(?![a-zA-Z])"
)
_WORDS = re.compile(r"(?=.{4})[A-Za-z]+(?:[ '-][A-Za-z]+)*")
_NAME = re.compile(r"(?:\\[a-z]+|[A-Za-z])(?:_\{?\w+\}?)?'?(?:\s*\([\w, ]*\))?")
_VARIABLE = re.compile(r"(?:\\(?:theta|alpha|beta|lambda|mu)|[A-Za-z])")
_RELATION = re.compile(
    r"\\(?:le|ge|ne|approx|sim|equiv|in|to|cong|pmod|mod|bmod|neg|not|subset|subseteq)(?![a-zA-Z])|[<>]"
)
_OR = re.compile(
    r"\\vee(?![a-zA-Z])|\\(?:text|mathrm)\s*\{[^{}]*\b(?:or|and)\b[^{}]*\}|(?<![A-Za-z\\])(?:or|and)(?![A-Za-z])"
)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MATRIX = re.compile(r"\\begin\s*\{[pbBvV]?matrix\}(.*)\\end\s*\{[pbBvV]?matrix\}", re.DOTALL)
_INFINITY = re.compile(r"([-+]?)\s*\\infty\s*")


def parse(text: str, *, thousands: bool = True) -> Form:
    """Gives the form of a raw answer; with `thousands` False, 1,000 is a list of two numbers."""
    return _parse(normalise(text), thousands, 0)


def _parse(text: str, thousands: bool, depth: int) -> Form:
    if depth > 8:
        return Form("value", text)
    if decimal(text) is not None and (thousands or "," not in text):
        return Form("value", text)
    if words := _plain_text(text):
        return Form("text", words)
    text = _OR.sub(",", text).strip(" ,;") if _OR.search(text) else text
    if text in (r"\mathbb{R}",):
        text = r"(-\infty,\infty)"
    if text in (r"\emptyset", r"\{\}", r"\{ \}"):
        return Form("set", "")
    pieces = split(text, ",;")
    if len(pieces) > 1 and all("=" in piece or _RELATION.search(piece) for piece in pieces):
        return Form("list", text, tuple(_parse(piece, thousands, depth + 1) for piece in pieces))
    compound = _relation(text, thousands, depth) or _union(text, thousands, depth) or _sequence(text, thousands, depth)
    return compound or _with_unit(text)


def _plain_text(text: str) -> str:
    """Gives the words of an answer that is text, in lower case without brackets and fonts; "" for other answers."""
    stripped = text
    if _FONT.match(text):
        bare = _FONT.sub("", text).replace("{", "").replace("}", "").strip()
        if re.fullmatch(r"[^\\0-9=<>^_]*|[A-Za-z]{3}[^\\=<>^_]*", bare) and re.search("[A-Za-z]", bare):
            stripped = bare
        else:
            return ""
    elif not _WORDS.fullmatch(text) and not re.fullmatch(r"\([A-Za-z]\)", text):
        return ""
    words = " ".join(stripped.casefold().split()).strip(" .")
    single = re.fullmatch(r"\(\s*(\w+)\s*\)", words)
    return single.group(1) if single else words


def _relation(text: str, thousands: bool, depth: int) -> Form | None:
    if "|" in [c for _, c in top_level(text)] and not re.search(r"\|.*\|", text):
        return Form("relation", text)
    if _RELATION.search(text):
        return _inequality(text, thousands, depth) or Form("relation", text)
    if "=" not in text:
        return None
    sides = split(text, "=")
    if len(sides) < 2 or not all(sides):
        return Form("relation", text) if len(sides) > 1 else None
    name = ""
    if _NAME.fullmatch(sides[0]):
        name, sides = sides[0], sides[1:]
    elif len(sides) == 2 and _NAME.fullmatch(sides[1]):
        name, sides = sides[1], sides[:1]
    if not name and _variables(text):
        return Form("relation", text)
    members = tuple(_parse(side, thousands, depth + 1) for side in sides)
    last = members[-1]
    return Form(last.kind, last.text, last.items, last.brackets, name, last.unit, members[:-1])


def _variables(text: str) -> bool:
    return re.search(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", re.sub(r"\\[A-Za-z]+", " ", text)) is not None


def _inequality(text: str, thousands: bool, depth: int) -> Form | None:
    """Gives the interval of a < x \\le b, x > a and the like."""
    parts = re.split(r"(\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|[<>])", text)
    if len(parts) not in (3, 5) or any(_RELATION.search(part) or "=" in part for part in parts[::2]):
        return None
    sides = [part.strip() for part in parts[::2]]
    signs = [{"\\le": "<=", "\\ge": ">="}.get(sign, sign) for sign in parts[1::2]]
    if len(sides) == 2:
        if _VARIABLE.fullmatch(sides[1]):
            sides.reverse()
            signs = [signs[0].translate(str.maketrans("<>", "><"))]
        if not _VARIABLE.fullmatch(sides[0]) or not sides[1]:
            return None
        upper = signs[0][0] == "<"
        sides = [r"-\infty", sides[0], sides[1]] if upper else [sides[1], sides[0], r"\infty"]
        signs = ["<", signs[0]] if upper else [signs[0].replace(">", "<"), "<"]
    elif signs[0][0] != signs[1][0]:
        return None
    elif signs[0][0] == ">":
        sides.reverse()
        signs = [sign.replace(">", "<") for sign in reversed(signs)]
    if not _VARIABLE.fullmatch(sides[1]) or not sides[0] or not sides[2]:
        return None
    brackets = ("[" if signs[0] == "<=" else "(") + ("]" if signs[1] == "<=" else ")")
    ends = tuple(_parse(side, thousands, depth + 1) for side in (sides[0], sides[2]))
    return Form("tuple", text, ends, brackets, name=sides[1])


def _union(text: str, thousands: bool, depth: int) -> Form | None:
    if r"\cup" not in text:
        return None
    pieces = [piece.strip() for piece in re.split(r"\\cup(?![a-zA-Z])", text)]
    return Form("union", text, tuple(_parse(piece, thousands, depth + 1) for piece in pieces))


def _sequence(text: str, thousands: bool, depth: int) -> Form | None:
    matrix = _MATRIX.fullmatch(text)
    if matrix is not None:
        return _matrix(matrix.group(1), text, thousands, depth)
    if thousands and _THOUSANDS.fullmatch(text):
        return None
    french = re.fullmatch(r"([\[\]])([^\[\](),]+),([^\[\](),]+)([\[\]])", text)
    if french is not None and (french.group(1) == "]" or french.group(4) == "["):
        opening, closing = "(" if french.group(1) == "]" else "[", ")" if french.group(4) == "[" else "]"
        text = f"{opening}{french.group(2)},{french.group(3)}{closing}"
    inner, brackets = bracketed(text)
    pieces = split(inner, ",;")
    if brackets == "{}":
        return Form("set", text, tuple(_parse(piece, thousands, depth + 1) for piece in pieces if piece))
    if len(pieces) < 2:
        return None
    kind: Kind = "tuple" if brackets else "list"
    items = tuple(_parse(piece, thousands, depth + 1) for piece in pieces if piece)
    if kind == "tuple" and len(items) != len(pieces):
        return None
    return Form(kind, text, items, brackets)


def _matrix(body: str, text: str, thousands: bool, depth: int) -> Form:
    rows = [[cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\", body) if row.strip()]
    forms = [tuple(_parse(cell, thousands, depth + 1) for cell in row) for row in rows]
    if all(len(row) == 1 for row in forms):
        return Form("tuple", text, tuple(row[0] for row in forms), "()")
    return Form("tuple", text, tuple(Form("tuple", "", row, "()") for row in forms), "()")


def bracketed(text: str) -> tuple[str, str]:
    """Gives the inside and the brackets where one pair encloses all of `text`."""
    if text.startswith(r"\{") and text.endswith(r"\}") and not list(top_level(text)):
        return text[2:-2].strip(), "{}"
    if len(text) > 1 and text[0] in "([" and text[-1] in ")]":
        level = 0
        for position, character in enumerate(text):
            level += (character in "([{") - (character in ")]}")
            if level == 0 and position < len(text) - 1:
                return text, ""
        return text[1:-1].strip(), text[0] + text[-1]
    if text.startswith(r"\langle") and text.endswith(r"\rangle"):
        return text[len(r"\langle") : -len(r"\rangle")].strip(), "()"
    return text, ""


def _with_unit(text: str) -> Form:
    unit = ""
    for pattern in (_TEXT_UNIT, _WORD_UNIT):
        match = pattern.fullmatch(text)
        if match is not None and not _plain_text(match[1]):
            words = match[2].casefold().replace(".", "").split()
            if (
                words
                and len(words) <= 3
                and not set(words) & set(_NOT_UNITS)
                and re.fullmatch("[a-z/ ]+", " ".join(words))
            ):
                text, unit = match[1].strip(), _unit_name(words, match[3])
                break
    if text.endswith("%") and not unit:
        text, unit = text[:-1].strip(), "%"
    elif text.endswith(r"^\circ") and not unit:
        text, unit = text[: -len(r"^\circ")].strip(), "degree"
    base = _BASE.fullmatch(text)
    if base is not None and not unit:
        text, unit = base[1], f"base {base[2] or base[3]}"
    if unit in _SCALES:
        text, unit = rf"({text}) \times {_SCALES[unit]}", ""
    if r"\pm" in text or r"\mp" in text:
        return Form("plus_minus", text, unit=unit)
    infinity = _INFINITY.fullmatch(text)
    if infinity is not None:
        text = r"-\infty" if infinity.group(1) == "-" else r"\infty"
    return Form("value", text, unit=unit)


def _unit_name(words: Sequence[str], power: str | None) -> str:
    name = " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)
    if name in ("unit", "percent"):
        return "" if name == "unit" else "%"
    return f"{name}^{power}" if power and power != "1" else name
