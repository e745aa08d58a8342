"""Whether the published solution of each task solves it here: those that do not are named, with the reason.

A task whose own solution fails would punish right answers. Its tests may be broken, need what the sandbox does not
have, or ask for what cannot be compared.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlvr.types import Completion, Solution, Task, Verdict
from rlvr.verifiers.many import text_completion, verify_tasks


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One task with the verdict on its solution; `reason` is "" where that passes."""

    task: Task
    verdict: Verdict
    reason: str


def calibrate(solutions: Iterable[Solution]) -> Iterator[Calibrated]:
    """Yields every task in its order with its own verifier's verdict on its solution, as training would judge it."""
    waiting: deque[Task] = deque()

    def pairs() -> Iterator[tuple[Task, Completion]]:
        for solution in solutions:
            waiting.append(solution.task)
            yield solution.task, text_completion(solution.text)

    for verdict in verify_tasks(pairs()):
        task = waiting.popleft()
        yield Calibrated(task, verdict, _reason(task, verdict))


def _reason(task: Task, verdict: Verdict) -> str:
    if verdict.outcome is not None and verdict.outcome >= task.threshold:
        return ""
    fault = verdict.extracted if verdict.status == "bad_reference" else ""
    told = [fault, *(str(verdict.parts.get(name, "")) for name in ("failed", "error"))]
    return f"{verdict.status}: {'; '.join(dict.fromkeys(part for part in told if part))}"[:300]
