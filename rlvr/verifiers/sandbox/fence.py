"""The program in a completion: the last fenced block of Python, or the whole text where nothing is fenced."""

import re
from dataclasses import dataclass

MAX_CHARACTERS = 1_000_000
PYTHON = frozenset({"python", "py", "python3", "py3", "pyi", "cpython"})

_FUTURE = re.compile(r"^from __future__ import [\w, \t]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language in small letters, "" where none is said, and what it holds."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Gives the fenced blocks in order; one that never closes reaches to the end."""
    found: list[Block] = []
    opened, start, place = "", 0, 0
    language, indent = "", 0
    for line in text.split("\n"):
        fence, info = _fence(line)
        if fence and not opened:
            opened, language, start = fence, _language(info), place + len(line) + 1
            indent = len(line) - len(line.lstrip(" "))
        elif fence and not info and fence.startswith(opened):
            found.append(Block(language, _shifted(text[start:place], indent)))
            opened = ""
        place += len(line) + 1
    if opened:
        found.append(Block(language, _shifted(text[start:], indent)))
    return found


def _shifted(text: str, indent: int) -> str:
    """Gives the lines without as many spaces at their beginning as the fence has, as in a list of Markdown."""
    if not indent:
        return text
    return "\n".join(line[:indent].lstrip(" ") + line[indent:] for line in text.split("\n"))


def _fence(line: str) -> tuple[str, str]:
    """Gives the three or more marks that begin a line, and what follows them; "" where there are none.

    Written without a regular expression, because every pattern for it can be made to backtrack.
    """
    text = line[:3].lstrip(" ") + line[3:]
    mark = text[:1]
    rest = text.lstrip(mark) if mark in ("`", "~") else text
    info = rest.strip()
    length = len(text) - len(rest)
    return (mark * length, info) if length >= 3 and not (mark == "`" and "`" in info) else ("", "")


def _language(info: str) -> str:
    word = info.split(maxsplit=1)[0] if info else ""
    return word.strip("{}.").lower()[:40]


def program(text: str) -> tuple[str, str]:
    """Gives the program of a text, and "" or in words why there is none.

    Of several fenced blocks it is the last that says Python, else the last that says no language: what a model adds
    below its answer is often sample output. Blocks of other languages alone are refused.
    """
    if len(text) > MAX_CHARACTERS:
        return "", f"the answer has {len(text)} characters; at most {MAX_CHARACTERS} are read"
    fenced = blocks(text)
    chosen = text
    if fenced:
        spoken = [block for block in fenced if block.language in PYTHON] or [b for b in fenced if not b.language]
        if not spoken:
            return "", f"the code block is {fenced[-1].language}; only Python is run"
        chosen = spoken[-1].text
    if not chosen.strip():
        return "", ""
    try:
        chosen.encode("utf-8")
    except UnicodeEncodeError:
        return "", "the program has a lone surrogate"
    return chosen, ""


def after(given: str, code: str) -> str:
    """Gives the program with the code that the prompt gives before it; imports from __future__ stay first."""
    if not given.strip():
        return code
    futures = _FUTURE.findall(code)
    return "\n".join([*futures, given, _FUTURE.sub("", code) if futures else code])
