"""Exact match of strings, white space aside."""

from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.reference import answered, slot_fault

VERSION = "exact-1"


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: a string, or {"answer": str, "slot": a name in SLOTS}."""
    if isinstance(reference, str):
        return None if reference.split() else "the reference answer is empty"
    if not isinstance(reference, dict) or not isinstance(reference.get("answer"), str):
        return f'expected a string or {{"answer": string}}, found {str(reference)[:80]!r}'
    if fault := slot_fault(reference):
        return fault
    return None if reference["answer"].split() else "the reference answer is empty"


def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer equals the reference, runs of white space counting as one space.

    The reference is a string, compared to the whole text after the thinking part, or {"answer": …, "slot": …}.
    """
    fault = check_reference(task.reference)
    if fault is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="whole", version=VERSION)
    if isinstance(answer, Verdict):
        return answer
    wanted = task.reference["answer"] if isinstance(task.reference, dict) else task.reference
    return Verdict(float(answer.split() == wanted.split()), "ok", answer[:200], version=VERSION)
