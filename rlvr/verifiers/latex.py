"""LaTeX answers in one spelling: an explicit map of Unicode signs, no fonts, no sizes, no invisible space.

Compatibility folding (NFKC) is not used: it turns 2² into 22.
"""

import re
import unicodedata
from collections.abc import Iterator

from rlvr.verifiers.spelling import CURRENCIES, MATH_FONTS, SIZES, TEXT_FONTS, respelled

_SIGNS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "÷": r"\div ",
    "∕": "/",
    "⁄": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "±": r"\pm ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}",
    "∈": r"\in ",
    "∨": r"\vee ",
    "°": r"^\circ ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ",
    "′": "'",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "½": r"\frac{1}{2}",
    "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}",
    "⅖": r"\frac{2}{5}",
    "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}",
    "⅙": r"\frac{1}{6}",
    "⅚": r"\frac{5}{6}",
    "⅛": r"\frac{1}{8}",
    "⅜": r"\frac{3}{8}",
    "⅝": r"\frac{5}{8}",
    "⅞": r"\frac{7}{8}",
    "…": r"\ldots ",
    # The wide forms of East Asian keyboards.
    "－": "-",
    "﹣": "-",
    "＋": "+",
    "＝": "=",
    "，": ",",
    "．": ".",
    "％": "%",
    "（": "(",
    "）": ")",
    # Spaces that separate groups of digits become LaTeX's thin space, which does the same.
    "\u00a0": r"\,",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u2002": " ",
    "\u2003": " ",
}
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[a-z]))")

_DRESS = re.compile(rf"(?:{MATH_FONTS}|({TEXT_FONTS})|)\s*\{{(.*)\}}", re.DOTALL)
_SIZE = re.compile(rf"{SIZES}\s*")
_NUMERIC = re.compile(rf"[(\[]?\s*[-+]?\s*[{CURRENCIES}]?\s*\.?\d")

_IDLE_SPACE = re.compile(r" (?!\w)|(?<!\w) ")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_PHANTOM = re.compile(r"\\[hv]?phantom(?![a-zA-Z])\s*(?:(\{)|\\[a-zA-Z]+|\S)?")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_OPENING = {"(": ")", "[": "]", "{": "}"}


def _signs(text: str) -> str:
    if text.isascii():
        return text
    text = text.translate(_INVISIBLE)
    text = _SUPERSCRIPT_RUN.sub(lambda m: f"^{{{m.group().translate(_SUPERSCRIPTS)}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda m: f"_{{{m.group().translate(_SUBSCRIPTS)}}}", text)
    return "".join(_SIGNS[c] if c in _SIGNS else str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _without_phantoms(text: str) -> str:
    """Gives `text` with a gap for what is set in no ink, none for what has no width; an open one takes the rest."""
    if "phantom" not in text:
        return text
    kept, position = [], 0
    while match := _PHANTOM.search(text, position):
        kept += [text[position : match.start()], "" if "vphantom" in match.group() else " "]
        position, level = match.end(), 1 if match[1] else 0
        while level and (brace := _BRACE.search(text, position)):
            position = brace.end()
            level += {"{": 1, "}": -1}.get(brace.group(), 0)
        position = len(text) if level else position
    return "".join([*kept, text[position:]])


def _undressed(text: str) -> str:
    """Gives `text` without a font, size or group that encloses all of it; words stay in their text."""
    for _ in range(4):
        bare = _SIZE.sub("", text, count=1) if _SIZE.match(text) else text
        dress = _DRESS.fullmatch(bare)
        if dress is not None and _closes_last(bare) and (not dress[1] or _NUMERIC.match(dress[2].strip())):
            bare = dress[2].strip()
        if bare == text:
            break
        text = bare
    return text


def _closes_last(text: str) -> bool:
    """Gives whether the first brace of `text` is closed by its last character."""
    level = 0
    for brace in _BRACE.finditer(text):
        level += {"{": 1, "}": -1}.get(brace.group(), 0)
        if level == 0 and brace.group() == "}":
            return brace.end() == len(text)
    return False


def normalise(text: str) -> str:
    """Gives `text` in one spelling: ASCII where a sign has one plain meaning, single spaces, no outer full stop."""
    if text.isascii() and _PLAIN.fullmatch(text):
        return text
    text = _without_phantoms(_signs(text))
    text = " ".join(respelled(text).split())
    if "√" in text:
        text = _ROOT.sub(lambda m: rf"\sqrt{{{m.group(1) or m.group(2)}}}", text)
    if text.startswith(("\\", "{")):
        text = _undressed(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    if " " in text and _GROUPED.fullmatch(text):
        text = text.replace(" ", "")
    return text if text.endswith("..") else text.rstrip(" .,;")


def squeezed(text: str) -> str:
    """Gives `text` without the spaces that separate nothing: 1 2 keeps its space, x + 1 does not."""
    return _IDLE_SPACE.sub("", text)


def depth(text: str) -> int:
    """Gives how deeply brackets are nested."""
    level = deepest = 0
    for character in text:
        if character in "({[":
            level += 1
            deepest = max(deepest, level)
        elif character in ")}]":
            level = max(0, level - 1)
    return deepest


def top_level(text: str) -> Iterator[tuple[int, str]]:
    """Gives (position, character) of every character of `text` that stands outside all brackets and commands."""
    level = 0
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            if text[position + 1] == "{":
                level += 1
            elif text[position + 1] == "}":
                level -= 1
            elif level == 0:
                yield position, character
            position += 2
            continue
        if character in _OPENING:
            level += 1
        elif character in ")]}":
            level -= 1
        elif level == 0:
            yield position, character
        position += 1


def split(text: str, separators: str) -> list[str]:
    """Gives the stripped pieces of `text` between separator characters outside all brackets."""
    if not any(separator in text for separator in separators):
        return [text.strip()]
    pieces = []
    start = 0
    for position, character in top_level(text):
        if character in separators:
            pieces.append(text[start:position].strip())
            start = position + 1
    return [*pieces, text[start:].strip()]
