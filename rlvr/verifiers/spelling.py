"""The rules that bring LaTeX into one spelling, in the order in which they apply."""

import re

CURRENCIES = "＄€£¥₹¢"
"""Currency signs as they stand in normalised text; the wide dollar sign is the one that is no delimiter of LaTeX."""

FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("ln", "log", "lg", "exp"),
)
"""Names that are functions with and without a backslash or an upright font."""

MATH_FONTS = r"\\(?:mathbf|mathsf|mathtt|mathit|mathnormal|boldsymbol|bm|ensuremath)"
TEXT_FONTS = r"\\(?:text|textbf|textit|textsf|texttt|emph)"
SIZES = r"\\(?:bf|rm|it|tiny|small|normalsize|large|Large|LARGE|huge|Huge)(?![a-zA-Z])"

_FUNCTION = "|".join(FUNCTIONS)
_END = "(?![a-zA-Z])"
_LETTER = r"\\(?:pi|alpha|beta|gamma|delta|theta|lambda|mu|sigma|phi|omega)"
_RULES: tuple[tuple[str, str, str], ...] = (
    ("\\", rf"\\(?:left|right|middle|[bB]igg?[lr]?){_END}\s*\.?(?=[^a-zA-Z0-9]|$)", ""),
    ("style", rf"\\(?:display|text|script)style{_END}", ""),
    ("limits", rf"\\(?:no)?limits{_END}", ""),
    # An upright font is text, and what is set in white is not seen and stays, to be refused.
    ("\\", r"\\(?:mathrm|mbox|textrm|textnormal|operatorname\*?)\s*(?=\{)", r"\\text"),
    ("color", r"\\(?:text)?color\s*\{\s*(?!white)[a-zA-Z]+\s*\}", ""),
    ("{\\", rf"(?<!\\)\{{{SIZES}([^{{}}]*)\}}", r"\\text{\1}"),
    ("frac", rf"\\(?:[dtc]|nice|s)frac{_END}", r"\\frac"),
    ("frac", rf"\\frac\s*({_LETTER}){_END}", r"\\frac{\1}"),
    ("frac", rf"\\frac\s*(\d)\s*({_LETTER}){_END}", r"\\frac{\1}{\2}"),
    ("frac", rf"(\\frac\{{[^{{}}]*\}})\s*({_LETTER}){_END}", r"\1{\2}"),
    ("binom", rf"\\[dt]binom{_END}", r"\\binom"),
    ("\\over", rf"(?<!\\)\{{([^{{}}]*)\\over{_END}([^{{}}]*)\}}", r"\\frac{\1}{\2}"),
    ("leq", rf"\\leq(?:slant)?{_END}", r"\\le"),
    ("geq", rf"\\geq(?:slant)?{_END}", r"\\ge"),
    ("neq", rf"\\neq{_END}", r"\\ne"),
    ("<=", "<=", r"\\le "),
    (">=", ">=", r"\\ge "),
    ("\\lt", rf"\\lt{_END}", "<"),
    ("\\gt", rf"\\gt{_END}", ">"),
    ("\\lbrace", rf"\\lbrace{_END}", r"\\{"),
    ("\\rbrace", rf"\\rbrace{_END}", r"\\}"),
    ("\\lbrack", rf"\\lbrack{_END}\s*", "["),
    ("\\rbrack", rf"\\rbrack{_END}\s*", "]"),
    ("\\lor", rf"\\lor{_END}", r"\\vee"),
    ("\\land", rf"\\land{_END}", r"\\wedge"),
    ("varnothing", rf"\\varnothing{_END}", r"\\emptyset"),
    ("\\mathb", r"\\(?:mathbb|mathbf)\s*\{?R\}?", r"\\mathbb{R}"),
    ("\\Bbb", r"\\Bbb\s*\{?R\}?", r"\\mathbb{R}"),
    ("\\R", rf"\\R{_END}", r"\\mathbb{R}"),
    ("\\mathbb", rf"(\\mathbb\{{[A-Z]\}})\s*(?:-|\\backslash{_END})\s*(?=\\\{{|[(\[])", r"\1\\setminus "),
    ("circ", r"\^\s*\{?\s*\\circ\s*\}?", r"^\\circ "),
    ("degree", rf"\^\s*\{{?\s*\\degree\s*\}}?|\\degree{_END}", r"^\\circ "),
    ("circ", r"(\^\\circ\s*)([CF])(?![A-Za-z])", r"\1\\text{\2}"),
    ("bigcup", rf"\\bigcup{_END}", r"\\cup"),
    ("colon", rf"\\colon{_END}", ":"),
    ("\\\\", r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|cm|mm)\s*\]", r"\\\\"),
    ("space", r"\\[hv]space\*?\s*\{[^{}]*\}", " "),
    ("strut", rf"\\(?:math)?strut{_END}", " "),
    ("\\text", r"\\text\s*\{\s*(and|or)\s*\}", r" \1 "),
    ("\\text", r"\\text\s*\{\s+\}", " "),
    ("\\text", r"\\text\s*\{\s*([,;.]?)\s*\}", r"\1"),
    ("\\text", rf"\\text\s*\{{\s*({_FUNCTION})\s*\}}", r"\\\1 "),
    ("\\text", r"(\\[A-Za-z]+|)\\text\s*\{\s*([ei])\s*\}", r"\1 \2"),
    ("\\", rf"(?:{TEXT_FONTS}|{MATH_FONTS})\s*\{{([-+]?[\d.,]+)\}}", r"\1"),
    *((name, rf"(?<![A-Za-z\\]){name}(?=\s*[(\d\\])", rf"\\{name} ") for name in FUNCTIONS),
    ("sqrt", r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    ("pi", r"(?<![A-Za-z\\{])pi(?![A-Za-z}])", r"\\pi "),
    ("\\$", r"(?<!\\)\\\$", "＄"),
    ("dollar", rf"\\(?:text)?dollar{_END}", "＄"),
    ("pounds", rf"\\(?:text)?pounds{_END}", "£"),
    ("euro", rf"\\(?:text)?euro{_END}", "€"),
    ("\\%", r"(?<!\\)\\%", "%"),
    ("{,}", r"\{,\}", ","),
    ("\\!", r",\s*\\!\s*", ","),
    ("\\text", rf"\\text\s*\{{\s*([{CURRENCIES}%])\s*\}}", r"\1"),
    ("\\text", r"(\\text\s*\{[^{}\\^$]*)\$?\^\s*\{?\s*(\d)\s*\}?\$?\s*\}", r"\1}^\2"),
    # Plain text writes 10^-7 and 2**10 where LaTeX needs braces.
    ("**", r"\*\*", "^"),
    ("^", r"\^\s*(-\s*\d+|\d{2,})", r"^{\1}"),
    ("^", r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
    (".", r"(?<![\d.])(\d*\.\d*)\s*\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))", r"\1\\overline{\2\3}"),
    (".(", r"(\d\.)\((\d+)\)", r"\1\\overline{\2}"),
    # A thin space between groups of three digits belongs to the number.
    ("", r"(?<=\d)(?:\\[,;: ]|~)+(?=\d{3}(?!\d))", ""),
    ("\\!", r"(?<!\\)\\!", ""),
    ("", rf"(?<!\\)\\[,;:>\s~]|\\q?quad{_END}|~|[\s\x00]+", " "),
    ("", r"(?<!\\)\\[()\[\]]|\$", " "),
    ("\\", r"(?<!\\)\\$", " "),
    ("sqrt", r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d)", r"\\sqrt\1{\2}"),
)
_COMPILED = tuple((needed, re.compile(pattern).sub, replacement) for needed, pattern, replacement in _RULES)


def respelled(text: str) -> str:
    """Gives `text` after every rule of which the first part stands in it."""
    for needed, substitute, replacement in _COMPILED:
        if needed in text:
            text = substitute(replacement, text)
    return text
