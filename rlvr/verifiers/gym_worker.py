"""The part of the reasoning-gym verifier that runs in a worker process; only it imports the library."""

from functools import lru_cache
from typing import Any

from reasoning_gym.factory import get_score_answer_fn

_scorer = lru_cache(maxsize=200)(get_score_answer_fn)


def score(payload: dict[str, Any]) -> float:
    """Gives the library's score in [0, 1] of an answer to an entry; an answer that breaks the scorer gets 0.

    Raises ValueError for an unknown dataset, and what the scorer raises on the reference's own answer.
    """
    scorer: Any = _scorer(payload["dataset"])
    entry = payload["entry"]
    try:
        return float(scorer(answer=payload["answer"], entry=entry))
    except Exception:
        scorer(answer=entry["answer"], entry=entry)
        return 0.0
