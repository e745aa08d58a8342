"""Multiple choice: the letter of the right choice, or its text, and nothing beside it."""

import re
from string import ascii_uppercase
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.reference import answered, read_reference

VERSION = "choice-3"

_NAMED = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:,]+|\s+[-–—]\s|(?=\s*\()|(?=\s*$))[\s*]*(.*)", re.DOTALL)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
_DRESSED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox)\s*\{([^{}]*)\}|\$\$?([^$]*)\$\$?"
)
_KEYS = {"answer": str, "choices": list}


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"answer": a letter, "choices": [text, …], "slot": …}."""
    read = read_reference(reference, _KEYS, required=("answer",))
    if isinstance(read, str):
        return read
    choices = read.get("choices", [])
    if not all(isinstance(choice, str) and choice.strip() for choice in choices) or len(choices) > len(ascii_uppercase):
        return f"choices has to hold at most {len(ascii_uppercase)} texts, found {str(choices)[:80]!r}"
    last = ascii_uppercase[len(choices) - 1] if choices else "Z"
    letter = read["answer"].strip().upper()
    if len(letter) != 1 or not "A" <= letter <= last:
        return f"the answer has to be a letter from A to {last}, found {read['answer'][:40]!r}"
    if len({_plain(choice) for choice in choices}) < len(choices):
        return "two choices are the same text"
    return None


def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer is the right letter (B, (b), B.), the text of that choice, or both together.

    A font of LaTeX or dollars around all of it make no difference: \\text{B}, $B$.
    The reference is {"answer": "B", "choices": […], "slot": …}; the slot is "boxed_or_whole" by default. A letter with
    the text of another choice is a hedge.
    """
    if check_reference(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="boxed_or_whole", version=VERSION)
    if isinstance(answer, Verdict):
        return answer
    answer = _undressed(answer)
    choices = [_plain(choice) for choice in task.reference.get("choices", [])]
    wanted = ascii_uppercase.index(task.reference["answer"].strip().upper())
    extracted = answer[:200]
    if (text := _plain(answer)) in choices:
        return Verdict(float(choices.index(text) == wanted), "ok", extracted, version=VERSION)
    named = _NAMED.fullmatch(answer)
    if named is None:
        return Verdict(0.0, "wrong_format", extracted, version=VERSION)
    letter, rest = ascii_uppercase.index(named[1].upper()), _plain(named[2])
    if rest.startswith("(") and rest.endswith(")") and rest not in choices:
        rest = rest[1:-1].strip()
    if rest and (letter >= len(choices) or rest != choices[letter]):
        return Verdict(0.0, "hedged", extracted, version=VERSION)
    return Verdict(float(letter == wanted), "ok", extracted, version=VERSION)


def _undressed(answer: str) -> str:
    text = _INVISIBLE.sub("", answer).strip("* \t\r\n")
    for _ in range(2):
        if dressed := _DRESSED.fullmatch(text):
            text = (dressed[1] or dressed[2] or "").strip()
    return text


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
