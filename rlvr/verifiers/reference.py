"""Reading a reference that is an object, known keys each of its type, and the answer in the slot that it names."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.types import Completion, Verdict
from rlvr.verifiers.extract import MAX_ANSWER_CHARACTERS, SLOTS, extract


def read_reference(
    reference: Any, keys: Mapping[str, type | tuple[type, ...]], *, required: Sequence[str] = ()
) -> dict[str, Any] | str:
    """Gives the reference, or in words what is wrong with it; a "slot" that SLOTS holds is always allowed."""
    if not isinstance(reference, dict):
        return f"expected an object with {', '.join(required)}, found {str(reference)[:80]!r}"
    known = {**keys, "slot": object}
    for key, value in reference.items():
        if key not in known:
            return f"unknown key {key!r} in the reference; known: {', '.join(sorted(known))}"
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            return f"{key} is {str(value)[:80]!r}, a {type(value).__name__}"
    for key in required:
        if key not in reference:
            return f"the reference has no {key!r}"
    return slot_fault(reference) or reference


def slot_fault(reference: Mapping[str, Any]) -> str | None:
    """Gives what is wrong with the reference's "slot", or None; a reference without one is right."""
    slot = reference.get("slot", "whole")
    if isinstance(slot, str) and slot in SLOTS:
        return None
    return f"unknown slot {str(slot)[:80]!r}; known: {', '.join(SLOTS)}"


def answered(
    reference: Any,
    completion: Completion,
    *,
    default: str,
    version: str,
    max_characters: int = MAX_ANSWER_CHARACTERS,
) -> str | Verdict:
    """Gives the answer's text, or outcome 0 with the status that says why there is none."""
    slot = reference.get("slot", default) if isinstance(reference, dict) else default
    answer = extract(completion.text, slot, max_characters=max_characters)
    return answer.text if answer.status == "ok" else Verdict(0.0, answer.status, answer.text[:200], version=version)
