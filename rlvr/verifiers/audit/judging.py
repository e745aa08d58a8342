"""Verdicts on cases, twice: those of the house in this process, which its own worker pool keeps safe, any other
function in worker processes that can be killed, because it may hang, eat the memory or end the process."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rlvr.types import Verdict
from rlvr.verifiers import pooled
from rlvr.verifiers.audit.cases import Case
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.pool import Pool, usable_cores
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE, VERIFIERS
from rlvr.verifiers.worker_handle import Reply

MAX_GIVEN_UP = 5
"""After so many cases without an answer in time the audit stops: not every hang may be waited for."""

MEMORY_BYTES = 32 << 30
"""Address space of a worker: a user's verifier may load large libraries."""

MAX_SHORT = 10_000
"""A completion of more characters is long."""

_JUDGE = "rlvr.verifiers.audit.worker:judge"


@dataclass(frozen=True, slots=True)
class Judgment:
    """A verdict, with the reason in words where the verifier failed."""

    verdict: Verdict
    reason: str = ""

    @property
    def given_up(self) -> bool:
        """Whether no answer came in time. On a busy machine the pool blames the machine, not the verifier."""
        return self.verdict.outcome is None and self.verdict.status in ("timeout", "host_error")


Judge = Callable[[Sequence[Case]], Iterator[Judgment]]
"""Gives the judgment on each case, in order, as they become known."""


@contextmanager
def judging(verifier: str, *, scorer: Scorer, deadline_seconds: float, workers: int) -> Iterator[Judge]:
    """Gives a judge by that verifier; `workers` 0 is one per core. `scorer` asks the verifiers of the house.

    The deadline is that of a function from outside: the verifiers of the house keep their own.
    """
    if verifier in VERIFIERS or verifier == JUDGE:
        yield functools.partial(_by_the_house, verifier, scorer)
        return
    num_workers = workers or usable_cores()
    pool = Pool(num_workers, memory_bytes=MEMORY_BYTES)
    try:
        yield functools.partial(_by_workers, pool, num_workers, verifier, deadline_seconds)
    finally:
        pool.close()


def collected(stream: Iterator[Judgment], told: Callable[[], None]) -> list[Judgment]:
    """Gives all judgments, fewer where too many cases ran into the deadline; `told()` is called after each."""
    found: list[Judgment] = []
    given_up = 0
    for judgment in stream:
        found.append(judgment)
        told()
        given_up += judgment.given_up
        if given_up >= MAX_GIVEN_UP:
            break
    return found


def _by_the_house(verifier: str, scorer: Scorer, cases: Sequence[Case]) -> Iterator[Judgment]:
    pooled.memory.forget()
    for some in _batches(cases, 2 * usable_cores()):
        rows = [{"reference": case.reference, "completion": case.completion} for case in some]
        yield from map(Judgment, verify_many(rows, verifier, scorer=scorer))


def _batches(cases: Sequence[Case], size: int) -> Iterator[list[Case]]:
    """Gives the cases in order, few at a time and long ones alone, so that no case waits for another on its clock."""
    batch: list[Case] = []
    for case in cases:
        if batch and (len(batch) == size or len(case.completion) > MAX_SHORT):
            yield batch
            batch = []
        batch.append(case)
        if len(case.completion) > MAX_SHORT:
            yield batch
            batch = []
    if batch:
        yield batch


def _by_workers(
    pool: Pool, workers: int, verifier: str, deadline_seconds: float, cases: Sequence[Case]
) -> Iterator[Judgment]:
    waiting: deque[Future[Reply]] = deque()
    for case in cases:
        payload = {"verifier": verifier, "reference": case.reference, "completion": case.completion}
        waiting.append(pool.submit(_JUDGE, payload, cpu_seconds=deadline_seconds, wall_seconds=deadline_seconds))
        if len(waiting) > 4 * workers:
            yield _judgment(waiting.popleft().result())
    while waiting:
        yield _judgment(waiting.popleft().result())


def _judgment(reply: Reply) -> Judgment:
    if reply.kind == "value":
        value: Mapping[str, Any] = reply.value
        return Judgment(Verdict(**value))
    if reply.kind == "timeout":
        return Judgment(Verdict(None, "timeout", seconds=reply.seconds), reply.error)
    if reply.kind == "host":
        return Judgment(Verdict(None, "host_error", seconds=reply.seconds), reply.error)
    return Judgment(Verdict(None, "crash", seconds=reply.seconds), reply.error)
