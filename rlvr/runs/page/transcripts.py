"""Answers before and after, side by side: the same task and sample, chosen at random by key, failures too."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlvr import keyed
from rlvr.runs.folder import ROLLOUTS, Run
from rlvr.runs.rollouts import read_rollouts

KINDS = {
    "gained": "wrong before, right after",
    "lost": "right before, wrong after",
    "both right": "right before and after",
    "both wrong": "wrong before and after",
}
"""What became of an answer: name → what it means, in the order of the page."""

SEED = 0
MAX_CHARACTERS = 1500

_COLUMNS = ("domain", "task_id", "sample_index", "messages", "text", "finish", "outcome", "threshold", "reference")
_VISIBLE = "\n\t"


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion: its text, made safe to show, whether it is right, and whether it was cut at the limit."""

    text: str
    right: bool
    cut: bool


@dataclass(frozen=True, slots=True)
class Transcript:
    """A task, and what the model answered to it before and after; `kind` is a key of KINDS."""

    kind: str
    task_id: str
    sample_index: int
    prompt: str
    reference: str
    before: Answer
    after: Answer


@dataclass(frozen=True, slots=True)
class DomainTranscripts:
    """One transcript of each kind that the domain has; `rates` is the share of each kind among `num_pairs` pairs."""

    domain: str
    num_pairs: int
    rates: Mapping[str, float]
    chosen: tuple[Transcript, ...]


def read_transcripts(before: Run, after: Run) -> list[DomainTranscripts]:
    """Gives the domains of two evaluations with their transcripts.

    Pairs in which the verifier could not tell are left out. Raises RunError for a file of rollouts that is damaged.
    """
    old, new = _rows(before), _rows(after)
    by_domain: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for key, row in new.items():
        if key in old and row["outcome"] is not None and old[key]["outcome"] is not None:
            by_domain.setdefault(row["domain"], []).append((old[key], row))
    return [_domain(name, pairs) for name, pairs in by_domain.items()]


def _rows(run: Run) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Gives the sampled answers to the first prompt by domain, task and sample."""
    files = sorted((run.path / ROLLOUTS).glob("evaluate-[0-9]*.parquet"))
    if not files:
        return {}
    rows = read_rollouts(files[-1]).select(list(_COLUMNS)).to_pylist()
    return {(row["domain"], row["task_id"], row["sample_index"]): row for row in rows}


def _domain(name: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> DomainTranscripts:
    by_kind: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {kind: [] for kind in KINDS}
    for old, new in pairs:
        by_kind[_kind(_right(old), _right(new))].append((old, new))
    chosen = []
    for kind, found in by_kind.items():
        if found:
            draws = keyed.bits(SEED, f"transcripts {name} {kind}", np.arange(len(found)))
            chosen.append(_transcript(kind, *found[int(np.argmin(draws))]))
    rates = {kind: len(found) / len(pairs) for kind, found in by_kind.items()}
    return DomainTranscripts(name, len(pairs), rates, tuple(chosen))


def _kind(before: bool, after: bool) -> str:
    if before == after:
        return "both right" if after else "both wrong"
    return "gained" if after else "lost"


def _right(row: Mapping[str, Any]) -> bool:
    return bool(row["outcome"] >= row["threshold"])


def _transcript(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Transcript:
    turns = json.loads(new["messages"])
    several = len(turns) > 1
    prompt = "\n".join(f"{turn['role']}: {turn['content']}" if several else str(turn["content"]) for turn in turns)
    return Transcript(
        kind=kind,
        task_id=harmless(new["task_id"]),
        sample_index=new["sample_index"],
        prompt=harmless(prompt),
        reference=harmless(_reference(json.loads(new["reference"])), limit=300),
        before=_answer(old),
        after=_answer(new),
    )


def _reference(reference: Any) -> str:
    """Gives the one answer where the reference is nothing else, and otherwise the reference as JSON."""
    if isinstance(reference, dict):
        inner = reference.get("entry")  # of reasoning-gym
        answer = (inner if isinstance(inner, dict) else reference).get("answer")
        if isinstance(answer, (str, int, float)):
            return str(answer)
    return reference if isinstance(reference, str) else json.dumps(reference, ensure_ascii=False)


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(harmless(row["text"]), _right(row), row["finish"] == "length")


def harmless(text: str, *, limit: int = MAX_CHARACTERS) -> str:
    """Gives the text with at most `limit` characters, characters that steer a display shown as ⟨U+202E⟩.

    Such are control and format characters, which turn the direction of writing or hide what is there. The result is
    plain text still: whoever puts it into a page escapes it.
    """
    head = "".join(
        character if character in _VISIBLE or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        else f"⟨U+{ord(character):04X}⟩"
        for character in text[:limit]
    )  # fmt: skip
    left = len(text) - limit
    return f"{head} … ({left} more characters)" if left > 0 else head
