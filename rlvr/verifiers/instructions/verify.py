"""The verifier: which of a row's constraints a text keeps, strictly or loosely, and what outcome that is.

First, letters and their accents are joined (NFC), and invisible characters (zero-width spaces, soft hyphens, direction
marks, tags, control characters, Hangul fillers) and marks that join no letter are removed, from the text and from the
words asked for: they hide no word and split none.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.extract import after_thinking
from rlvr.verifiers.instructions.catalogue import CONSTRAINTS
from rlvr.verifiers.instructions.text import visible

VERSION = "instructions-4"

MAX_CHARACTERS = 50_000
"""An answer longer than this is not read: "wrong_format"."""

MODES = ("strict", "loose")
"""Whether only the text itself counts, or also the text without its first or last line or its asterisks."""

SCORES = ("all", "mean")
"""Whether the outcome is 1 where every constraint is kept and 0 otherwise, or the share of them that is."""

_OPTIONS: Mapping[str, tuple[str, ...]] = {"mode": MODES, "score": SCORES}


def _given(constraint: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a constraint as written; published rows fill those of other constraints with null."""
    return {name: value for name, value in (constraint.get("kwargs") or {}).items() if value is not None}


def _kept(texts: list[str], constraint: Mapping[str, Any]) -> bool:
    wanted = CONSTRAINTS[constraint["id"]]
    given = {name: wanted.arguments[name].read(value) for name, value in _given(constraint).items()}
    return any(wanted.check(text, **given) for text in texts)


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, list(CONSTRAINTS), n=1)
    families = sorted({known.partition(":")[0] for known in CONSTRAINTS})
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(f'{family}:…' for family in families)}"


def _fault(constraint: Any) -> str | None:
    if not isinstance(constraint, dict) or not isinstance(constraint.get("kwargs"), dict | None):
        return f'expected {{"id": name, "kwargs": {{…}}}}, found {str(constraint)[:80]!r}'
    name = constraint.get("id")
    if not isinstance(name, str) or name not in CONSTRAINTS:
        return f"unknown constraint {str(name)[:80]!r}; {_near(str(name)[:80])}"
    given, arguments = _given(constraint), CONSTRAINTS[name].arguments
    if set(given) != set(arguments):
        return f"{name} takes {sorted(arguments)}, found {sorted(map(str, given))}"
    for key, value in given.items():
        if not arguments[key].holds(value):
            return f"{key} of {name}: expected {arguments[key].words}, found {str(value)[:80]!r}"
    return None


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None.

    A reference is {"constraints": [{"id": a name in CONSTRAINTS, "kwargs": …}], "mode": one of MODES, "score": one of
    SCORES}; without `mode` and `score` it is strict and asks for all.
    """
    constraints = reference.get("constraints") if isinstance(reference, dict) else None
    if not isinstance(constraints, list) or not constraints:
        return f'expected {{"constraints": [one or more]}}, found {str(reference)[:80]!r}'
    for name, allowed in _OPTIONS.items():
        if reference.get(name, allowed[0]) not in allowed:
            return f"{name}: expected {' or '.join(allowed)}, found {str(reference[name])[:80]!r}"
    return next((fault for fault in map(_fault, constraints) if fault is not None), None)


def readings(text: str, mode: str) -> list[str]:
    """Gives the texts one of which has to keep a constraint: the text itself, and its loose variants where loose.

    These are IFEval's eight, the text without its first line, its last line or both, each with and without its
    asterisks; and these texts without double asterisks only, where single ones are bullets.
    """
    if mode == "strict":
        return [text]
    lines = text.split("\n")
    cut = [text, "\n".join(lines[1:]), "\n".join(lines[:-1]), "\n".join(lines[1:-1])]
    variants = dict.fromkeys(
        one.strip() for part in cut for one in (part, part.replace("*", ""), part.replace("**", ""))
    )
    return [variant for variant in variants if variant]


def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the text after the thinking part keeps every constraint, else 0, or the share it keeps.

    `parts` says for each constraint, as "NAME/INDEX", whether it is kept. A text of nothing visible keeps none. Where
    an <answer> tag holds the whole text, what it holds counts.
    """
    if check_reference(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    rest = _untagged((after_thinking(completion.text) or "").strip())
    if len(rest) > MAX_CHARACTERS:
        return Verdict(0.0, "wrong_format", rest[:200], version=VERSION)
    text = visible(rest).strip()
    if not text:
        return Verdict(0.0, "no_answer", version=VERSION)
    texts = readings(text, task.reference.get("mode", "strict"))
    parts = {
        f"{constraint['id']}/{index}": float(_kept(texts, constraint))
        for index, constraint in enumerate(task.reference["constraints"])
    }
    kept = list(parts.values())
    outcome = sum(kept) / len(kept) if task.reference.get("score", "all") == "mean" else min(kept)
    return Verdict(outcome, "ok", text[:200], parts=parts, version=VERSION)


def _untagged(text: str) -> str:
    inside = text.removeprefix("<answer>").removesuffix("</answer>")
    return inside.strip() if len(inside) == len(text) - len("<answer></answer>") else text
