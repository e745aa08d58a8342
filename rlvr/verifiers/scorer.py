"""Verdicts on groups of completions, by whatever verifier their task names."""

import asyncio
import contextlib
import importlib
import inspect
import logging
import math
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, cast

from rlvr.errors import UsageError, VerifierError
from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.settings import settings_from
from rlvr.verifiers.table import JUDGE, PATIENCE_SECONDS, REFERENCE_CHECKS, VERIFIERS, Verifier

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class _Work:
    """A group to score; `begun` is done once its turn has come, and cancelled when nobody waits for it any more."""

    function: Callable[[], list[Verdict]]
    begun: "Future[None]" = field(default_factory=Future)
    verdicts: "Future[list[Verdict]]" = field(default_factory=Future)


class _Lane:
    """One daemon thread that runs plain verifiers one after the other, off the event loop."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="rlvr-verifiers", daemon=True).start()

    def put(self, work: _Work) -> None:
        self._queue.put(work)

    def close(self) -> None:
        """Ends the thread after the work that it has."""
        self._queue.put(None)

    def drain(self) -> list[_Work]:
        """Takes back the work that the thread has not begun."""
        waiting = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._queue.get_nowait())
        return [work for work in waiting if work is not None]

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            if not work.begun.set_running_or_notify_cancel():
                continue
            work.verdicts.set_running_or_notify_cancel()
            work.begun.set_result(None)
            try:
                work.verdicts.set_result(work.function())
            except BaseException as error:
                work.verdicts.set_exception(error)


def checked(verdict: Any, seconds: float) -> Verdict:
    """Gives what a verifier returned, with its seconds. Raises VerifierError where that is no verdict."""
    if not isinstance(verdict, Verdict):
        raise VerifierError(f"a verifier gave {str(verdict)[:80]!r}; expected a Verdict")
    outcome = verdict.outcome
    if outcome is not None and not (math.isfinite(outcome) and 0.0 <= outcome <= 1.0):
        raise VerifierError(f"a verifier gave the outcome {outcome!r}; expected a number in [0, 1] or None")
    return verdict if verdict.seconds else replace(verdict, seconds=seconds)


class Scorer:
    """Scores groups. A plain function runs in one thread, one completion after the other; an async one overlaps."""

    def __init__(
        self,
        verifiers: Mapping[str, Verifier] | None = None,
        *,
        judges: Sequence[Judge] = (),
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """Makes a scorer; `judges` are those whose connections it closes and whose canaries it heeds."""
        self._judges = tuple(judges)
        self._verifiers: dict[str, Verifier] = dict(VERIFIERS if verifiers is None else verifiers)
        self._deadline_seconds = deadline_seconds
        self._failed: set[str] = set()
        self._lane: _Lane | None = None

    def resolve(self, name: str) -> Verifier:
        """Gives the verifier of that name or import path. Raises UsageError where there is none."""
        if name not in self._verifiers:
            self._verifiers[name] = _imported(name, self._verifiers)
        return self._verifiers[name]

    def check_references(self, tasks: Sequence[Task]) -> list[str | None]:
        """Gives for each task what is wrong with its reference, or None; several are checked at once.

        Verifiers from outside the house have no check. Raises UsageError for an unknown verifier.
        """
        for name in dict.fromkeys(task.verifier for task in tasks):
            self.resolve(name)
        return reference_faults(tasks)

    async def score(self, task: Task, completions: Sequence[Completion]) -> list[Verdict]:
        """Gives one verdict per completion, in their order.

        A verifier that raises, or gives no verdict by the deadline, makes the outcome None with status "crash"; the
        first time it is logged. The clock of a plain one starts when the group's turn has come. Raises UsageError for
        an unknown verifier.
        """
        verifier = self.resolve(task.verifier)
        if inspect.iscoroutinefunction(verifier) or inspect.iscoroutinefunction(getattr(verifier, "__call__", None)):  # noqa: B004
            return list(await asyncio.gather(*(self._score_async(verifier, task, c) for c in completions)))
        work = _Work(lambda: [self._score_plain(verifier, task, c) for c in completions])
        if self._lane is None:
            self._lane = _Lane()
        self._lane.put(work)
        await asyncio.wrap_future(work.begun)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work.verdicts), self._deadline_seconds)
        except TimeoutError as error:
            self._leave_lane()
            verdict = self._failure(task, error)
            return [verdict] * len(completions)

    async def settle(self) -> None:
        """Closes the connections of the running event loop, once its verdicts are there.

        Raises VerifierError where a judge was fooled by too many canaries.
        """
        await self.aclose()
        for judge in self._judges:
            judge.refuse_fooled()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        for judge in self._judges:
            await judge.aclose()

    def totals(self) -> dict[str, float]:
        """Gives what the judges have done and cost so far, as metrics "judge/NAME"."""
        totals: dict[str, float] = {}
        for judge in self._judges:
            for name, amount in judge.counts.totals().items():
                totals[f"judge/{name}"] = totals.get(f"judge/{name}", 0.0) + amount
        return totals

    def close(self) -> None:
        """Ends the thread of plain verifiers; the shared worker pool stays, it ends with the program."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None

    def _leave_lane(self) -> None:
        """Moves the waiting groups to a fresh thread: the one that hangs cannot be ended."""
        if self._lane is not None:
            waiting = self._lane.drain()
            self._lane.close()
            self._lane = _Lane()
            for work in waiting:
                self._lane.put(work)

    async def _score_async(self, verifier: Verifier, task: Task, completion: Completion) -> Verdict:
        start = time.monotonic()
        try:
            pending = cast(Awaitable[Verdict], verifier(task, completion))
            verdict = await asyncio.wait_for(pending, PATIENCE_SECONDS.get(task.verifier, self._deadline_seconds))
            return checked(verdict, time.monotonic() - start)
        except Exception as error:
            return self._failure(task, error)

    def _score_plain(self, verifier: Verifier, task: Task, completion: Completion) -> Verdict:
        start = time.monotonic()
        try:
            return checked(verifier(task, completion), time.monotonic() - start)
        except Exception as error:
            return self._failure(task, error)

    def _failure(self, task: Task, error: Exception) -> Verdict:
        if task.verifier not in self._failed:
            self._failed.add(task.verifier)
            reason = f"no verdict in {self._deadline_seconds:.0f} s" if isinstance(error, TimeoutError) else repr(error)
            log.error("verifier %s failed on task %s: %s", task.verifier, task.id, reason, exc_info=error)
        return Verdict(None, "crash")


def make_scorer(judge: Mapping[str, Any]) -> Scorer:
    """Gives a scorer with the verifiers of the house and a judge of these settings; without any, it has no judge.

    Raises UsageError for settings that no judge can have.
    """
    if not judge:
        return Scorer()
    made = Judge(settings_from(judge))
    return Scorer({**VERIFIERS, JUDGE: made.verify}, judges=[made])


def reference_faults(tasks: Sequence[Task]) -> list[str | None]:
    """Gives for each task what is wrong with its reference, or None; several are checked at once."""
    with ThreadPoolExecutor(max_workers=8) as threads:
        return list(threads.map(_reference_fault, tasks))


def _reference_fault(task: Task) -> str | None:
    check = REFERENCE_CHECKS.get(task.verifier)
    return None if check is None else check(task.reference)


def _imported(name: str, known: Mapping[str, Verifier]) -> Verifier:
    if name == JUDGE:
        raise UsageError(
            "an answer is to be judged by a language model, and none is named",
            hint='[judge] in the recipe, or --judge: model = "…", base_url = "http://localhost:8000/v1"',
        )
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        near = get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no verifier {name!r}; known: {', '.join(sorted(known))}",
            hint=f"did you mean {near[0]!r}?" if near else 'name your own as "package.module:function"',
        )
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever the user's module raises
        raise UsageError(
            f"the verifier {name!r} cannot be imported: {type(error).__name__}: {error}",
            hint=f'python -c "from {module_name} import {attribute}" must work in the folder where you start rlvr',
        ) from error
    if not callable(function):
        raise UsageError(
            f"the verifier {name!r} is a {type(function).__name__}, not a function",
            hint="write def verify(task, completion) -> Verdict",
        )
    return cast(Verifier, function)
