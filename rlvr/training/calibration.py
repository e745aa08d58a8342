"""Whether the published solution of each task passes the task's own tests here: those that fail are named.

A task whose reference solution fails would punish right answers. Its tests may be broken, need what the sandbox does
not have, or ask for what cannot be compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlvr.types import Task, Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.table import REFERENCE_CHECKS


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One task with the verdict on its reference solution; `reason` is "" where that passes."""

    task: Task
    verdict: Verdict
    reason: str


def calibrate(pairs: Iterable[tuple[Task, str]], verifier: str = "code") -> Iterator[Calibrated]:
    """Yields every task in its order with the verdict on its solution."""
    waiting: list[Task] = []

    def rows() -> Iterator[dict[str, object]]:
        for task, solution in pairs:
            waiting.append(task)
            yield {"id": task.id, "completion": solution, "reference": task.reference}

    for number, verdict in enumerate(verify_many(rows(), verifier)):
        task = waiting[number]
        yield Calibrated(task, verdict, _reason(task, verdict, verifier))


def _reason(task: Task, verdict: Verdict, verifier: str) -> str:
    if verdict.outcome is not None and verdict.outcome >= task.threshold:
        return ""
    check = REFERENCE_CHECKS.get(verifier)
    fault = check(task.reference) if check is not None and verdict.status == "bad_reference" else None
    told = [fault or "", *(str(verdict.parts.get(name, "")) for name in ("failed", "error"))]
    return f"{verdict.status}: {'; '.join(part for part in told if part)}"[:300]
