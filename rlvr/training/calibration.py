"""Whether the published solution of each task solves it here: those that do not are named, with the reason.

A task whose own solution fails would punish right answers. Its tests may be broken, need what the sandbox does not
have, or ask for what cannot be compared.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlvr.types import Solution, Task, Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.table import REFERENCE_CHECKS


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One task with the verdict on its solution; `reason` is "" where that passes."""

    task: Task
    verdict: Verdict
    reason: str


def calibrate(solutions: Iterable[Solution]) -> Iterator[Calibrated]:
    """Yields every task in its order with the verdict of its own verifier on its solution."""
    for verifier, run in itertools.groupby(solutions, key=lambda solution: solution.task.verifier):
        waiting: list[Task] = []
        for number, verdict in enumerate(verify_many(_rows(run, waiting), verifier)):
            task = waiting[number]
            yield Calibrated(task, verdict, _reason(task, verdict))


def _rows(solutions: Iterable[Solution], waiting: list[Task]) -> Iterator[dict[str, object]]:
    for solution in solutions:
        waiting.append(solution.task)
        yield {"id": solution.id, "completion": solution.text, "reference": solution.task.reference}


def _reason(task: Task, verdict: Verdict) -> str:
    if verdict.outcome is not None and verdict.outcome >= task.threshold:
        return ""
    check = REFERENCE_CHECKS.get(task.verifier)
    fault = check(task.reference) if check is not None and verdict.status == "bad_reference" else None
    told = [fault or "", *(str(verdict.parts.get(name, "")) for name in ("failed", "error"))]
    return f"{verdict.status}: {'; '.join(dict.fromkeys(part for part in told if part))}"[:300]
