"""The part of an audit that runs in a worker process: one case by a verifier from outside the house."""

import asyncio
import inspect
import time
from typing import Any

from rlvr.types import Task
from rlvr.verifiers.many import text_completion
from rlvr.verifiers.scorer import Scorer, checked

_scorer = Scorer()


def judge(payload: dict[str, Any]) -> dict[str, Any]:
    """Gives the verdict on one case as JSON. Raises what the verifier raises, and VerifierError for no verdict."""
    verifier = _scorer.resolve(payload["verifier"])
    task = Task("audit", (), payload["reference"], payload["verifier"], "audit", "audit")
    start = time.monotonic()
    pending: Any = verifier(task, text_completion(payload["completion"]))
    verdict = asyncio.run(_awaited(pending)) if inspect.isawaitable(pending) else pending
    found = checked(verdict, time.monotonic() - start)
    outcome = None if found.outcome is None else float(found.outcome)
    return {
        "outcome": outcome,
        "status": str(found.status),
        "extracted": str(found.extracted)[:200],
        "path": str(found.path)[:200],
        "seconds": float(found.seconds),
        "version": str(found.version)[:200],
    }


async def _awaited(pending: Any) -> Any:
    return await pending
