"""What computer algebra reads whole: an answer with any other sign, word or command in it is compared as text only.

The library leaves out what it does not know (words, primes, marks over and under), adds up what stands side by side
(4{5} is 9 to it), and an answer that is not read whole is not the answer that was given.
"""

import re

_COMMANDS = frozenset(
    name
    for line in (
        "frac sqrt cdot times div pm mp binom pi infty emptyset overline",
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp min max gcd lcm",
        "sum prod int lim to begin end le ge ne in cup cap setminus mathbb lfloor rfloor lceil rceil lvert rvert",
        "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau",
        "phi varphi chi psi omega",
    )
    for name in line.split()
)
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_NAMED = re.compile(r"\\(?:begin|end)\s*\{(?:[pbBvV]?matrix|array)\}(?:\{[lcr|]*\})?|\\mathbb\{[RQZNC]\}")
_PLAIN = re.compile(r"(?:[0-9A-Za-z+\-*/^_(){}\[\]!|=<>,.& ]|\\[{}|\\])*")
_WORD = re.compile(r"[A-Za-z]{4}")
_OPEN = r"(?:^|[-+*/(=,\[|])\s*"
_MISREAD = re.compile(
    r"(?<![_^\d.])\d[\d.]*\s+\.?\d|\.\d*\."  # numbers side by side: 4 5, 4.0.5
    rf"|{_OPEN}[\d.]+\s*\{{|{_OPEN}\{{[^{{}}]*\}}\s*[\d{{(]"  # 4{{5}}, {{4}}5
    r"|(?<![_^\d.])\d[\d.]*\)?\s*\(\s*[\d.]+\s*\)"  # 2(3) with more around it
    r"|(?<!\\)\{[^{}()\[\]]*\d\s*,\s*\d|(?<!\\)\{\s*\}"  # \sqrt{1,5}, {}
    r"|[\d)\]|]\s*_|^\s*[\^_]"  # 4_5, ^4
    r"|\^\s*(?:\{\s*)?(?:T(?![A-Za-z])|[-+*]\s*(?:\}|$|[^\d({\\A-Za-z\s]))"  # 4^T, 4^+
)
_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_EXPONENT = re.compile(r"(?<![A-Za-z\d.])(\d+\.?\d*|\.\d+)[eE]([-+]?\d{1,4})(?![\dA-Za-z.])")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?|\{\d+(?:\.\d+)?\})\s*\^\\circ")


def readable(text: str) -> bool:
    """Gives whether computer algebra reads every sign of a normalised text."""
    text = _NAMED.sub(" x ", text)
    if not _COMMANDS.issuperset(_COMMAND.findall(text)) or _MISREAD.search(text):
        return False
    letters = _COMMAND.sub(" ", text)
    return _PLAIN.fullmatch(letters) is not None and _WORD.search(letters) is None


def as_read(text: str) -> str | None:
    """Gives a single value as computer algebra shall read it, degrees in radians, 1,000 as 1000; None: not readable."""
    text = _GROUPED.sub(lambda number: number.group().replace(",", ""), text)
    text = _EXPONENT.sub(r"(\1\\cdot 10^{\2})", text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)
    return text if readable(text) else None


def same_case(reference: str, answer: str) -> bool:
    """Gives whether no letter of the answer is one of the reference in the other case; x and X are read alike."""
    known, given = (set(_COMMAND.sub(" ", _NAMED.sub(" ", text))) for text in (reference, answer))
    return not any(letter.isalpha() and letter not in known and letter.swapcase() in known for letter in given)
