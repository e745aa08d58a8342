"""What of a completion a judge gets to see, and what it need not see to know that it is worth nothing."""

import unicodedata
from typing import Any

from rlvr.verifiers.extract import SLOTS, Answer, after_thinking
from rlvr.verifiers.judge.template import clean
from rlvr.verifiers.reference import slot_fault

DEFAULT_SLOT = "whole"
MAX_SCALE = 1_000_000
_KEYS = frozenset(("question", "answer", "rubric", "slot", "scale"))


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None.

    It is {"rubric": text} and, as needed, "question" (else the task's last user turn), "answer" (a right one), "slot"
    (a name in SLOTS; else the whole text after the thinking part) and "scale" ([worst, best], two whole numbers).
    """
    if not isinstance(reference, dict) or not isinstance(reference.get("rubric"), str):
        return f'expected {{"rubric": text, …}}, found {str(reference)[:80]!r}'
    if unknown := sorted(str(key) for key in set(reference) - _KEYS):
        return f"unknown key {unknown[0]!r} in the reference; known: {', '.join(sorted(_KEYS))}"
    for key in ("rubric", "question", "answer"):
        if key in reference and not (isinstance(reference[key], str) and clean(reference[key])):
            return f"the reference's {key} is {str(reference[key])[:80]!r}; expected text"
    if fault := slot_fault(reference):
        return fault
    scale = reference.get("scale", [0, 1])
    ends = scale if isinstance(scale, list | tuple) and len(scale) == 2 else ()
    if not ends or not all(type(end) is int and abs(end) <= MAX_SCALE for end in ends) or ends[0] >= ends[1]:
        return f"the reference's scale is {str(scale)[:80]!r}; expected [worst, best], two rising whole numbers"
    return None


def _telling(character: str) -> bool:
    """Gives whether a character can carry an answer: letters, digits, and symbols such as ∞ but not those of ASCII."""
    kind = unicodedata.category(character)[0]
    return kind in "LN" or (kind == "S" and not character.isascii())


def screen(text: str, reference: Any, *, min_characters: int, max_characters: int) -> Answer:
    """Gives the answer to be judged, status "ok", or why it is worth nothing.

    "no_answer": nothing in the slot, or fewer than `min_characters` letters, digits and symbols, and not the
    reference's answer; "wrong_format": longer than `max_characters`, because what is cut off would go unjudged.
    """
    rest = after_thinking(text)
    if rest is None:
        return Answer("", "no_answer")
    answer = SLOTS[reference.get("slot", DEFAULT_SLOT)](rest)
    if answer.status != "ok":
        return answer
    if len(answer.text) > max_characters:
        return Answer(answer.text[:200], "wrong_format")
    seen = clean(answer.text)
    known = clean(reference.get("answer", ""))
    if sum(map(_telling, seen)) < min_characters and not (known and seen == known):
        return Answer(answer.text[:200], "no_answer")
    return Answer(seen, "ok")
