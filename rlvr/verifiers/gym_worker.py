"""The part of the reasoning-gym verifier that runs in a worker process; only it imports the library."""

from functools import lru_cache
from typing import Any

from reasoning_gym.factory import get_score_answer_fn

from rlvr.verifiers.guard import side_effects_barred

NONSENSE = "qzx no answer at all"

_scorer = lru_cache(maxsize=200)(get_score_answer_fn)


def score(payload: dict[str, Any]) -> float:
    """Gives the library's score in [0, 1] of an answer to an entry; an answer that breaks the scorer gets 0.

    Raises ValueError for an unknown dataset, and what the scorer raises on the reference's own answer.
    """
    scorer: Any = _scorer(payload["dataset"])
    entry = payload["entry"]
    with side_effects_barred():  # some of the library's scorers evaluate the answer as Python
        try:
            return float(scorer(answer=payload["answer"], entry=entry))
        except Exception:
            scorer(answer=entry["answer"], entry=entry)
            return 0.0


def fault(payload: dict[str, Any]) -> str | None:
    """Gives why the library's scorer cannot be trusted with an entry, or None."""
    entry = payload["entry"]
    if isinstance(entry["answer"], str):  # puzzles with many solutions store none
        own = score({**payload, "answer": entry["answer"]})
        if own < 1.0:
            return f"the scorer of {payload['dataset']} gives {own} to the entry's own answer"
    if score({**payload, "answer": NONSENSE}) >= 1.0:
        return f"the scorer of {payload['dataset']} gives full marks to nonsense"
    return None
