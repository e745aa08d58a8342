"""LaTeX answers in one spelling: an explicit map of Unicode signs, no fonts, no sizes, no invisible space.

Compatibility folding (NFKC) is not used: it turns 2² into 22.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

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

CURRENCIES = "＄€£¥₹¢"
"""Currency signs as they stand in normalised text; the wide dollar sign is the one that is no delimiter of LaTeX."""

FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("ln", "log", "lg", "exp"),
)
"""Names that are functions with and without a backslash or an upright font."""

_NAMES = "|".join(FUNCTIONS)
_MATH_FONTS = "mathbf|mathsf|mathtt|mathit|mathnormal|boldsymbol|bm|ensuremath"
_TEXT_FONTS = "text|textrm|textbf|textit|textsf|texttt|mathrm|mbox|emph"
_SIZES = "bf|rm|it|tiny|small|normalsize|large|Large|LARGE|huge|Huge"
_DRESS = re.compile(rf"(?:\\({_MATH_FONTS})|\\({_TEXT_FONTS})|)\s*\{{(.*)\}}", re.DOTALL)
_SIZE = re.compile(rf"\\(?:{_SIZES})(?![a-zA-Z])\s*")
_NUMERIC = re.compile(rf"[(\[]?\s*[-+]?\s*[{CURRENCIES}]?\s*\.?\d")

_IDLE_SPACE = re.compile(r" (?!\w)|(?<!\w) ")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"\\(?:left|right|middle|[bB]igg?[lr]?)(?![a-zA-Z])\s*\.?(?=[^a-zA-Z0-9]|$)"), ""),
    (re.compile(r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits)(?![a-zA-Z])"), ""),
    (re.compile(r"\\(?:[dtc]|nice|s)frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\[dt]binom(?![a-zA-Z])"), r"\\binom"),
    (re.compile(r"(?<!\\)\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?:leqslant|leq)(?![a-zA-Z])"), r"\\le"),
    (re.compile(r"\\(?:geqslant|geq)(?![a-zA-Z])"), r"\\ge"),
    (re.compile(r"\\neq(?![a-zA-Z])"), r"\\ne"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:lbrace|rbrace)(?![a-zA-Z])"), lambda m: r"\{" if "l" in m.group()[1] else r"\}"),
    (re.compile(r"\\lor(?![a-zA-Z])"), r"\\vee"),
    (re.compile(r"\\(?:varnothing|emptyset)(?![a-zA-Z])"), r"\\emptyset"),
    (re.compile(r"\\(?:mathbb|mathbf|Bbb)\s*\{?R\}?|\\R(?![a-zA-Z])"), r"\\mathbb{R}"),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![a-zA-Z])"), r"^\\circ "),
    (re.compile(r"\\bigcup(?![a-zA-Z])"), r"\\cup"),
    (re.compile(r"\\(?:lbrack|rbrack)(?![a-zA-Z])\s*"), lambda m: "[" if "l" in m.group()[1] else "]"),
    (re.compile(r"\\colon(?![a-zA-Z])"), ":"),
    (re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|cm|mm)\s*\]"), r"\\\\"),
    (re.compile(r"\\[hv]space\*?\s*\{[^{}]*\}|\\(?:math)?strut(?![a-zA-Z])"), " "),
    # What is set in white is not seen, and stays to be refused.
    (re.compile(r"\\(?:text)?color\s*\{\s*(?!white)[a-zA-Z]+\s*\}"), ""),
    (re.compile(rf"(?<!\\)\{{\s*\\(?:{_SIZES})(?![a-zA-Z])([^{{}}]*)\}}"), r"\\text{\1}"),
    (re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*(and|or)\s*\}"), r" \1 "),
    (re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*([,;.]?)\s*\}"), r"\1"),
    (re.compile(rf"\\(?:{_TEXT_FONTS}|{_MATH_FONTS})\s*\{{([-+]?[\d.,]+)\}}"), r"\1"),
    (re.compile(rf"\\(?:operatorname\*?|text|mathrm)\s*\{{\s*({_NAMES})\s*\}}"), r"\\\1 "),
    (re.compile(r"(\\[A-Za-z]+|)\\(?:text|mathrm)\s*\{\s*([ei])\s*\}"), r"\1 \2"),
    (re.compile(rf"(?<![A-Za-z\\])({_NAMES})(?=\s*[(\d\\])"), r"\\\1 "),
    (re.compile(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![A-Za-z\\{])pi(?![A-Za-z}])"), r"\\pi "),
    (re.compile(r"\\operatorname\s*(?=\{)"), r"\\mathrm"),
    (re.compile(r"(\^\\circ\s*)([CF])(?![A-Za-z])"), r"\1\\text{\2}"),
    (re.compile(r"(?<!\\)\\\$|\\(?:text)?dollar(?![a-zA-Z])"), "＄"),
    (re.compile(r"\\(?:text)?(?:pounds|sterling)(?![a-zA-Z])"), "£"),
    (re.compile(r"\\(?:text)?euro(?![a-zA-Z])"), "€"),
    (re.compile(r"(?<!\\)\\%"), "%"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r",\s*\\!\s*"), ","),
    (re.compile(rf"\\(?:text|mathrm)\s*\{{\s*([{CURRENCIES}%])\s*\}}"), r"\1"),
    (re.compile(r"(\\(?:text|mathrm)\s*\{[^{}\\^]*)\^\s*\{?\s*(\d)\s*\}?\s*\}"), r"\1}^\2"),
    # Plain text writes 10^-7 and 2**10 where LaTeX needs braces.
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\^\s*(-\s*\d+|\d{2,})"), r"^{\1}"),
    (re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)"), r"\\times "),
    (re.compile(r"(\d*\.\d*)\s*\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))"), r"\1\\overline{\2\3}"),
    (re.compile(r"(\d\.)\((\d+)\)"), r"\1\\overline{\2}"),
    (re.compile(r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d)"), r"\\sqrt\1{\2}"),
    # A thin space between groups of three digits belongs to the number.
    (re.compile(r"(?<=\d)(?:\\[,;: ]|~)+(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<!\\)\\!"), ""),
    (re.compile(r"(?<!\\)\\[,;:>\s~]|\\(?:quad|qquad)(?![a-zA-Z])|~|[\s\x00]+"), " "),
    (re.compile(r"(?<!\\)\\[()\[\]]|\$"), " "),
    (re.compile(r"(?<!\\)\\$"), " "),
]
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
    """Gives `text` without what is set in no ink; one that never closes takes the rest with it."""
    kept, position = [], 0
    while match := _PHANTOM.search(text, position):
        kept.append(text[position : match.start()])
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
        if dress is not None and _closes_last(bare) and (not dress[2] or _NUMERIC.match(dress[3].strip())):
            bare = dress[3].strip()
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
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m.group(1) or m.group(2)}}}", " ".join(text.split()))
    text = _undressed(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    if _GROUPED.fullmatch(text):
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
    pieces = []
    start = 0
    for position, character in top_level(text):
        if character in separators:
            pieces.append(text[start:position].strip())
            start = position + 1
    return [*pieces, text[start:].strip()]
