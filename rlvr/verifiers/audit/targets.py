"""What is attacked: the seed of a verifier, or the references of a corpus, each with answers that are wrong for it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.errors import UsageError
from rlvr.keyed import permutation
from rlvr.types import Task
from rlvr.verifiers.audit.cases import Case, Target
from rlvr.verifiers.audit.seeds import SEEDS
from rlvr.verifiers.equality import same
from rlvr.verifiers.extract import SLOTS
from rlvr.verifiers.forms import parse
from rlvr.verifiers.many import full_reference
from rlvr.verifiers.scorer import reference_faults
from rlvr.verifiers.table import JUDGE

HOUSE_SLOTS: Mapping[str, str] = {
    "choice": "boxed_or_whole",
    "code": "whole",
    "exact": "whole",
    "gym": "boxed_or_tag",
    "instructions": "whole",
    "json_schema": "whole",
    JUDGE: "whole",
    "math": "boxed",
    "numeric": "boxed_or_whole",
    "refusal": "whole",
    "regex": "boxed_or_whole",
    "string_set": "boxed_or_whole",
}
"""Where an answer stands for each verifier of the house, when its reference does not say."""

MANY_RIGHT = ("code", "instructions", "json_schema", "refusal", "regex")
"""Verifiers whose references many texts meet, and which name none of them."""

MAX_WRONGS = 3
MAX_TRIED = 60
"""So many answers of other rows are compared with a reference, to find MAX_WRONGS that differ."""


@dataclass(slots=True)
class Corpus:
    """What the rows of a corpus hold: labelled cases, references to attack, and why rows were left out."""

    cases: list[Case] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def slot_of(verifier: str, reference: Any, slot: str) -> str:
    """Gives where the answer to a reference stands; `slot` says so for functions from outside the house."""
    named = reference.get("slot") if isinstance(reference, Mapping) else None
    return named if isinstance(named, str) and named in SLOTS else HOUSE_SLOTS.get(verifier, slot)


def seed_targets(verifier: str, *, options: Mapping[str, Any] | None = None) -> list[Target]:
    """Gives the built-in targets of a verifier of the house. Raises UsageError for any other."""
    if verifier not in SEEDS:
        raise UsageError(
            f"there are no built-in references for {verifier!r}; known: {', '.join(sorted(SEEDS))}",
            hint=f"rlvr audit {verifier} --corpus ROWS.jsonl, each row with a reference or an answer",
        )
    targets = []
    for number, seed in enumerate(SEEDS[verifier], start=1):
        reference = full_reference(seed.reference, verifier, options or {})
        where = slot_of(verifier, reference, "boxed")
        targets.append(Target(f"seed {number}", reference, where, seed.rights, seed.wrongs, verifier not in MANY_RIGHT))
    return targets


def read_corpus(
    rows: Iterable[Any],
    verifier: str,
    *,
    completion_field: str = "completion",
    answer_field: str = "",
    label_field: str = "label",
    options: Mapping[str, Any] | None = None,
    slot: str = "boxed",
    seed: int = 0,
) -> Corpus:
    """Gives the labelled cases and the references of rows; a row that cannot be used is counted with the reason.

    A row holds a reference, under `answer_field`, by default "reference" or "answer", and may hold a completion with
    its label, true or false.
    """
    corpus = Corpus()
    names: dict[str, str] = {}
    references: dict[str, Any] = {}
    for number, row in enumerate(rows, start=1):
        key = answer_field or ("reference" if isinstance(row, Mapping) and "reference" in row else "answer")
        if not isinstance(row, Mapping) or key not in row:
            corpus.left_out[f"no {key}" if isinstance(row, Mapping) else "no object"] += 1
            continue
        name = str(row["id"]) if isinstance(row.get("id"), str | int) else f"row {number}"
        reference = full_reference(row[key], verifier, options or {})
        known = json.dumps(reference, sort_keys=True)
        references.setdefault(known, reference)
        names.setdefault(known, name)
        _add_case(corpus, row, name, reference, completion_field, label_field)
    _drop_bad_references(corpus, references, verifier)
    corpus.targets = _targets(verifier, {names[known]: references[known] for known in references}, slot, seed)
    return corpus


def _add_case(corpus: Corpus, row: Any, name: str, reference: Any, completion_field: str, label_field: str) -> None:
    completion, label = row.get(completion_field), row.get(label_field)
    if completion is None and label is None:
        return
    if not isinstance(completion, str):
        corpus.left_out[f"{completion_field} is no text"] += 1
    elif label not in (True, False):
        corpus.left_out[f"{label_field} is missing" if label is None else f"{label_field} is not true or false"] += 1
    else:
        corpus.cases.append(
            Case(name, "corpus, right" if label else "corpus, wrong", reference, completion, bool(label))
        )


def _drop_bad_references(corpus: Corpus, references: dict[str, Any], verifier: str) -> None:
    tasks = [Task("", (), reference, verifier, "audit", "audit") for reference in references.values()]
    faults = reference_faults(tasks)
    bad = {known for known, fault in zip(list(references), faults, strict=True) if fault is not None}
    if not bad:
        return
    for fault in filter(None, faults):
        corpus.left_out[f"bad reference: {fault[:100]}"] += 1
    for known in bad:
        del references[known]
    corpus.cases = [case for case in corpus.cases if json.dumps(case.reference, sort_keys=True) not in bad]


def _targets(verifier: str, references: Mapping[str, Any], slot: str, seed: int) -> list[Target]:
    answers = {name: _right_answers(verifier, reference) for name, reference in references.items()}
    pool = list(dict.fromkeys(texts[0] for texts in answers.values() if texts))
    pool = [pool[index] for index in permutation(seed, "audit/wrong answers", 0, len(pool))]
    targets = []
    for number, (name, reference) in enumerate(references.items()):
        rights = answers[name]
        offered = [pool[(number + step) % len(pool)] for step in range(min(MAX_TRIED, len(pool)))]
        wrongs = _wrong_answers(verifier, reference, rights, offered)
        targets.append(Target(name, reference, slot_of(verifier, reference, slot), rights, wrongs, bool(rights)))
    return targets


def _right_answers(verifier: str, reference: Any) -> tuple[str, ...]:
    """Gives what a reference itself says is right; () where it names no text."""
    if verifier in MANY_RIGHT:
        return ()
    if verifier == "string_set":
        texts = reference["answers"]
        return tuple(texts) if reference.get("match") == "any" else (", ".join(texts),)
    if verifier == "gym":
        reference = reference["entry"]
    answer = reference.get("answer") if isinstance(reference, Mapping) else reference
    if isinstance(answer, bool) or not isinstance(answer, str | int | float) or not str(answer).strip():
        return ()
    return (str(answer),)


def _wrong_answers(verifier: str, reference: Any, rights: Sequence[str], offered: Sequence[str]) -> tuple[str, ...]:
    """Gives some of the answers of other rows that are wrong for this one beyond doubt."""
    if not rights or verifier in ("gym", JUDGE):  # a puzzle may have several solutions, a rubric several good answers
        return ()
    found: list[str] = []
    for text in offered:
        if all(_differ(verifier, reference, right, text) for right in rights):
            found.append(text)
        if len(found) == MAX_WRONGS:
            break
    return tuple(found)


def _differ(verifier: str, reference: Any, right: str, other: str) -> bool:
    """Gives whether two answers differ as texts, neither in the other, and exact arithmetic does not hold them equal.

    Where it cannot tell, as with roots, they may be equal: no. Tolerances of a `numeric` reference are kept away from.
    """
    plain, plain_other = ("".join(text.casefold().split()) for text in (right, other))
    if plain in plain_other or plain_other in plain:
        return False
    if verifier in ("choice", "exact", "string_set"):
        return True
    if verifier == "numeric":
        return _far(reference, other)
    return same(parse(right), parse(other)) is False


def _far(reference: Any, other: str) -> bool:
    try:
        wanted, found = float(reference["answer"]), float(other)
        absolute, relative = float(reference.get("absolute", 0)), float(reference.get("relative", 0))
    except (ValueError, OverflowError):
        return False
    return abs(found - wanted) > 2 * max(absolute, relative * abs(wanted), 1e-9 * abs(wanted))
