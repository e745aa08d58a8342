"""The program in a completion: the last fenced block of Python, or the whole text where nothing is fenced."""

import re
from dataclasses import dataclass

MAX_CHARACTERS = 1_000_000
PYTHON = frozenset({"python", "py", "python3", "py3", "pyi", "cpython"})

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\n`]*)$", re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import [\w, \t]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language in small letters, "" where none is said, and what it holds."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Gives the fenced blocks in order; one that never closes reaches to the end."""
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    for match in _FENCE.finditer(text):
        fence, info = match[1], match[2].strip()
        if opened is None:
            opened = fence, _language(info), match.end() + 1
        elif not info and fence[0] == opened[0][0] and len(fence) >= len(opened[0]):
            found.append(Block(opened[1], text[opened[2] : match.start()]))
            opened = None
    if opened is not None:
        found.append(Block(opened[1], text[opened[2] :]))
    return found


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
