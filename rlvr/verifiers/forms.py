"""The form of a math answer: a single value, a text, a list, a set, a tuple, an interval, a union, a relation."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from rlvr.verifiers.latex import normalise, split, top_level
from rlvr.verifiers.rational import decimal
from rlvr.verifiers.spelling import FUNCTIONS
from rlvr.verifiers.units import with_unit

Kind = Literal["value", "text", "ratio", "list", "set", "tuple", "union", "relation", "plus_minus"]


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


_FONT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mbox|emph|bf|rm|it|boldsymbol)(?![a-zA-Z])"
)
_WORDS = re.compile(r"(?:(?=.{4})|(?=(?:[A-Z][a-z]{2}|(?i:yes|no|odd))$))[A-Za-z]+(?:[ '-][A-Za-z]+)*")
_NAME = re.compile(
    rf"(?!\\(?:pi|infty|emptyset|{'|'.join(FUNCTIONS)})(?![a-z]))(?:"
    r"\\(?:det|dim|deg) ?\(?[A-Z]\)?|(?:m ?)?\\(?:angle|triangle) ?[A-Z]{1,4}|[A-Z]{2,4}|\|[A-Z]{1,2}\||\[[A-Z]{3,4}\]"
    r"|\([A-Za-z](?:, ?[A-Za-z])+\)|\\(?:overline|vec|overrightarrow) ?\{?[A-Za-z]{1,2}\}?"
    r"|\\(?:text|textbf)\{[A-Za-z .]+\}(?:\([A-Z]\))?"
    r"|(?:\\[a-z]+|[A-Za-z])(?:_(?:\w|\\[a-z]+|\{(?:[\w, ]+|\\[a-z]+|\\text\{\w+\})\}))?'?"
    r"(?:\s*(?:\([-\w, ]*\)|\[[\w ]+\]))?)"
)
_VARIABLE = re.compile(r"(?:\\(?:theta|alpha|beta|lambda|mu)|[A-Za-z])")
MEMBER = re.compile(rf"({_VARIABLE.pattern}|\([A-Za-z](?:, ?[A-Za-z])+\)) ?\\in(?![a-zA-Z]) ?")
"""The start of x \\in …"""
_BUILDER = re.compile(rf"\\\{{ ?({_VARIABLE.pattern}) ?(?:\\in ?\\mathbb\{{R\}})? ?(?:\\mid(?![a-zA-Z])|[|:])(.+)\\\}}")
_RELATION = re.compile(
    r"\\(?:le|ge|ne|approx|sim|equiv|in|to|cong|pmod|mod|bmod|neg|not|subset|subseteq)(?![a-zA-Z])|[<>]"
)
_TEXT_GROUP = re.compile(r"\\(?:text|textbf)\s*\{([^{}]*\b(?:or|and)\b[^{}]*)\}")
_OR = re.compile(r"\\vee(?![a-zA-Z])|(?<![A-Za-z\\])or(?![A-Za-z])")
_AND = re.compile(r"\\(?:wedge|land)(?![a-zA-Z])|(?<![A-Za-z\\])and(?![A-Za-z])")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LONE_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?[^\d,;.][^,;]*")
_MATRIX = re.compile(r"\\begin\s*\{[pbB]?matrix\}(.*)\\end\s*\{[pbB]?matrix\}", re.DOTALL)
_INFINITY = re.compile(r"([-+]?)\s*(?:\\infty|infinity|inf|oo)\s*")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")


def parse(text: str, *, thousands: bool = True) -> Form:
    """Gives the form of a raw answer; with `thousands` False, 1,000 is a list of two numbers."""
    return parse_normalised(normalise(text), thousands=thousands)


def parse_normalised(text: str, *, thousands: bool = True) -> Form:
    """Gives the form of an answer that `normalise` gave."""
    return _parse(text, thousands, 0)


def _parse(text: str, thousands: bool, depth: int) -> Form:
    if depth > 8:
        return Form("value", text)
    if decimal(text) is not None and (thousands or "," not in text):
        return Form("value", text)
    text, both = _connected(text)
    if words := _plain_text(text):
        return Form("value", r"\infty") if words == "infinity" else Form("text", words)
    if text in (r"\mathbb{R}",):
        text = r"(-\infty,\infty)"
    if text in (r"\emptyset", r"\{\}", r"\{ \}"):
        return Form("set", "")
    if both and any(sign in text for sign in ("<", ">", r"\le", r"\ge", r"\ne")):
        return Form("relation", text)
    pieces = split(text, ",;")
    if len(pieces) > 1 and all("=" in piece or _RELATION.search(piece) for piece in pieces):
        return Form("list", text, _flat(tuple(_parse(piece, thousands, depth + 1) for piece in pieces)))
    compound = _relation(text, thousands, depth) or _union(text, thousands, depth) or _sequence(text, thousands, depth)
    return compound or _single(text, thousands, depth)


def _connected(text: str) -> tuple[str, bool]:
    """Gives `text` with semicolons for "or" and "and", and whether an "and" was among them; no other word is lost."""
    if not ("or" in text or "and" in text or r"\vee" in text or r"\wedge" in text):
        return text, False
    text = _TEXT_GROUP.sub(_parted, text)
    joined = _OR.sub(";", text)
    parted = _AND.sub(";", joined)
    return re.sub(r"[ ,;]*;[ ,;]*", ";", parted).strip(" ,") if parted != text else text, parted != joined


def _parted(group: re.Match[str]) -> str:
    pieces = re.split(r"\b(or|and)\b", group[1])
    return " ".join(
        rf"\text{{{piece}}}" if piece not in ("or", "and") else piece for piece in pieces if piece.strip(" ,")
    )


def _plain_text(text: str) -> str:
    """Gives the words of an answer that is text, in lower case without brackets and fonts; "" for other answers."""
    stripped = text
    if _FONT.match(text):
        bare = _FONT.sub("", text).replace("{", "").replace("}", "").strip()
        if re.fullmatch(r"[^\\0-9=<>^_]*|[A-Za-z]{3}[^\\=<>^_]*", bare) and re.search("[A-Za-z]", bare):
            stripped = bare
        else:
            return ""
    elif not _WORDS.fullmatch(text) and not re.fullmatch(r"\(?[A-Za-z]\)", text):
        return ""
    words = " ".join(stripped.casefold().split()).strip(" .")
    single = re.fullmatch(r"\(\s*(\w+)\s*\)|(\w)\)", words)
    return single[1] or single[2] if single else words


def _relation(text: str, thousands: bool, depth: int) -> Form | None:
    if "|" in text and "|" in [c for _, c in top_level(text)] and not re.search(r"\|.*\|", text):
        return Form("relation", text)
    if _RELATION.search(text):
        found = _membership(text, thousands, depth) or _inequality(text, thousands, depth)
        return found or _compared(text, thousands, depth)
    if "=" not in text:
        return None
    sides = split(text, "=")
    if len(sides) < 2 or not all(sides):
        return Form("relation", text) if len(sides) > 1 else None
    if len(sides) == 2 and not any(map(_NAME.fullmatch, sides)) and _variables(text):
        return Form("relation", text, tuple(_parse(side, thousands, depth + 1) for side in sides), "=")
    name = ""
    if _NAME.fullmatch(sides[0]):
        name, sides = sides[0], sides[1:]
        while len(sides) > 1 and _NAME.fullmatch(sides[0]):
            sides = sides[1:]
    elif len(sides) == 2 and _NAME.fullmatch(sides[1]):
        name, sides = sides[1], sides[:1]
    if not name and _variables(text):
        return Form("relation", text)
    members = tuple(_parse(side, thousands, depth + 1) for side in sides)
    last = members[-1]
    if name.startswith("(") and last.kind not in ("tuple", "list", "set"):
        return Form("relation", text)
    return Form(last.kind, last.text, last.items, last.brackets, name, last.unit, members[:-1])


def _variables(text: str) -> bool:
    bare = re.sub(r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+", " ", text)
    return re.search(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])|(?<![A-Za-z ])[A-Za-z]{2,3}(?![A-Za-z])", bare) is not None


def _membership(text: str, thousands: bool, depth: int) -> Form | None:
    """Gives the set of x \\in S, {x : a < x < b} and x \\ne a."""
    builder = _BUILDER.fullmatch(text)
    if builder is not None and (inner := _inequality(builder[2].strip(), thousands, depth)):
        return inner if inner.name == builder[1] else None
    member = MEMBER.match(text)
    if member is not None and not _RELATION.search(text, member.end()):
        return replace(_parse(text[member.end() :], thousands, depth + 1), name=member[1])
    other = re.fullmatch(rf"({_VARIABLE.pattern}) ?\\ne(?![a-zA-Z])([^,;=]+)", text)
    if other is None or _RELATION.search(other[2]):
        return None
    end = _parse(other[2].strip(), thousands, depth + 1)
    below = Form("tuple", text, (Form("value", r"-\infty"), end), "()")
    return Form("union", text, (below, Form("tuple", text, (end, Form("value", r"\infty")), "()")), name=other[1])


def _compared(text: str, thousands: bool, depth: int) -> Form:
    """Gives a relation; with its two sides, the smaller first, where there is one sign."""
    parts = re.split(r"(\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|[<>])", text)
    if len(parts) != 3 or _RELATION.search(parts[0] + parts[2]) or "=" in text:
        return Form("relation", text)
    left, sign, right = (part.strip() for part in parts)
    if sign in (">", r"\ge"):
        left, right = right, left
    items = tuple(_parse(side, thousands, depth + 1) for side in (left, right))
    return Form("relation", text, items, "<" if sign in "<>" else r"\le")


def _inequality(text: str, thousands: bool, depth: int) -> Form | None:
    """Gives the interval of a < x \\le b, x > a and the like."""
    parts = re.split(r"(\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|[<>])", text)
    if len(parts) not in (3, 5) or any(_RELATION.search(part) or "=" in part for part in parts[::2]):
        return None
    sides = [part.strip() for part in parts[::2]]
    signs = [{"\\le": "<=", "\\ge": ">="}.get(sign, sign) for sign in parts[1::2]]
    if len(sides) == 2:
        if all(map(_VARIABLE.fullmatch, sides)):
            return None
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
    if thousands and "," in text and _THOUSANDS.fullmatch(with_unit(text)[0]):
        return None
    french = re.fullmatch(r"([\[\]])([^\[\](),]+),([^\[\](),]+)([\[\]])", text)
    if french is not None and (french.group(1) == "]" or french.group(4) == "["):
        opening, closing = "(" if french.group(1) == "]" else "[", ")" if french.group(4) == "[" else "]"
        text = f"{opening}{french.group(2)},{french.group(3)}{closing}"
    inner, brackets = bracketed(text)
    if thousands and not brackets and _LONE_THOUSANDS.fullmatch(text):
        return None
    # In a list, 1,000; 2,000 is two numbers.
    pieces = split(inner, ";" if not brackets and len(split(inner, ";")) > 1 else ",;")
    items = tuple(_parse(piece, thousands, depth + 1) for piece in pieces if piece)
    if brackets == "{}":
        return Form("set", text, _flat(items))
    if len(pieces) < 2:
        return None
    kind: Kind = "tuple" if brackets else "list"
    if kind == "list":
        return Form(kind, text, _flat(items))
    if kind == "tuple" and len(items) != len(pieces):
        return None
    return Form(kind, text, items, brackets)


def _flat(items: tuple[Form, ...]) -> tuple[Form, ...]:
    """Gives the items of a list or set with the lists in it (plus and minus 2) taken apart."""
    return tuple(inner for item in items for inner in (item.items if item.kind == "list" else (item,)))


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


def _single(text: str, thousands: bool, depth: int) -> Form:
    """Gives a single value with its unit, a ratio, or the two values of a plus-minus sign."""
    text, unit = with_unit(text)
    signs = _PLUS_MINUS.findall(text)
    if len(signs) == 1:
        flipped = {"+": "-", "-": "+"} if signs[0] == r"\mp" else {"+": "+", "-": "-"}
        both = [_PLUS_MINUS.sub(flipped[sign], text).strip().removeprefix("+").strip() for sign in "+-"]
        items = tuple(replace(_parse(one, thousands, depth + 1), unit=unit) for one in both)
        return Form("list", text, items)
    if signs:
        return Form("plus_minus", text, unit=unit)
    parts = split(text, ":")
    if len(parts) > 1 and all(parts):
        return Form("ratio", text, tuple(_parse(part, thousands, depth + 1) for part in parts), unit=unit)
    infinity = _INFINITY.fullmatch(text)
    if infinity is not None:
        text = r"-\infty" if infinity.group(1) == "-" else r"\infty"
    return Form("value", text, unit=unit)
