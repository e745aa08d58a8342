"""Many completions by one verifier: a bad row costs only itself, and order is kept.

from rlvr.verifiers.many import verify_many
for verdict in verify_many([{"completion": r"So \\boxed{4}", "answer": "4"}], "math"): ...
"""

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers import choice, exact, numeric, refusal, string_set
from rlvr.verifiers import math as mathematics
from rlvr.verifiers.instructions import verify as instructions
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import REFERENCE_CHECKS, VERIFIERS

WINDOW = 4096
"""Rows that are read ahead of the oldest one without a verdict."""

CLOSE_SECONDS = 10.0

AT_ONCE: Mapping[str, Callable[[Task, Completion], Verdict | None]] = {
    "choice": choice.verify,
    "exact": exact.verify,
    "instructions": instructions.verify,
    "math": mathematics.at_once,
    "numeric": numeric.verify,
    "refusal": refusal.verify,
    "string_set": string_set.verify,
}
"""Verifiers that can tell all or most verdicts without waiting; None sends the row the long way."""

_BARE: Mapping[str, str] = {
    "choice": "answer",
    "numeric": "answer",
    "refusal": "refuse",
    "regex": "pattern",
    "string_set": "answers",
}
"""Verifiers whose references are objects, each with the key that a bare value stands for."""

_NO_TOKENS = read_only([], np.int64)
_NO_LOGPROBS = read_only([], np.float32)
_NONE_TRAINABLE = read_only([], np.bool_)

Row = Mapping[str, Any]


def verify_many(
    rows: Iterable[Row],
    verifier: str = "math",
    *,
    options: Mapping[str, Any] | None = None,
    completion_field: str = "completion",
    answer_field: str = "",
    scorer: Scorer | None = None,
) -> Iterator[Verdict]:
    """Gives one verdict per row, in their order, as they become known.

    A row is an object with the completion's text and its reference, under `answer_field`, by default "reference" or
    "answer"; `full_reference` says how it is read and `options` are added to it. A row that is no such object gets
    outcome None and status "bad_row", `extracted` saying why. `verifier` is a name of the house or
    "package.module:function"; one of your own making comes with its `scorer`, which is closed at the end;
    `make_scorer` makes one with a judge.
    Raises UsageError for an unknown verifier, before the first row is read.
    """
    scorer = scorer or Scorer()
    scorer.resolve(verifier)
    settings = verifier, dict(options or {}), completion_field, answer_field
    return _verdicts(scorer, (_read(row, *settings) for row in rows))


def verify_tasks(pairs: Iterable[tuple[Task, Completion]], *, scorer: Scorer | None = None) -> Iterator[Verdict]:
    """Gives one verdict per task and completion, in their order, as they become known: by each task's own verifier.

    As in training: a task whose reference its verifier does not take has outcome None and status "bad_reference".
    """
    scorer = scorer or Scorer()

    def checked(task: Task, completion: Completion) -> tuple[Task, Completion] | Verdict:
        (fault,) = scorer.check_references([task])
        return (task, completion) if fault is None else Verdict(None, "bad_reference", fault[:200])

    return _verdicts(scorer, (checked(*pair) for pair in pairs))


def reference_fault(row: Row, verifier: str, *, options: Mapping[str, Any], answer_field: str = "") -> str | None:
    """Gives what is wrong with a row's reference, or None; verifiers from outside the house have no check."""
    read = _read({**row, "completion": ""}, verifier, dict(options), "completion", answer_field)
    check = REFERENCE_CHECKS.get(verifier)
    return None if check is None or isinstance(read, Verdict) else check(read[0].reference)


def _verdicts(scorer: Scorer, pairs: Iterable[tuple[Task, Completion] | Verdict]) -> Iterator[Verdict]:
    pending: deque[Verdict | Future[Verdict]] = deque()
    loop = _Loop(scorer)
    try:
        for read in pairs:
            if isinstance(read, Verdict):
                pending.append(read)
            else:
                at_once = AT_ONCE.get(read[0].verifier)
                known = _now(at_once, *read) if at_once else None
                pending.append(known or loop.submit(*read))
            while pending and (len(pending) > WINDOW or not isinstance(pending[0], Future) or pending[0].done()):
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    finally:
        loop.close()
        scorer.close()


def _read(
    row: Any, verifier: str, options: dict[str, Any], completion_field: str, answer_field: str
) -> tuple[Task, Completion] | Verdict:
    try:
        return _read_row(row, verifier, options, completion_field, answer_field)
    except Exception as error:  # what a row holds may not even have a text: whole numbers of 5000 digits, endless lists
        return _bad_row(f"the row cannot be read: {type(error).__name__}: {error}")


def _read_row(
    row: Any, verifier: str, options: dict[str, Any], completion_field: str, answer_field: str
) -> tuple[Task, Completion] | Verdict:
    if not isinstance(row, Mapping):
        return _bad_row(f"expected an object, found {str(row)[:100]!r}")
    if completion_field not in row:
        return _bad_row(f"the row has no {completion_field!r}")
    text = row[completion_field]
    if not isinstance(text, str):
        return _bad_row(f"{completion_field!r} is {str(text)[:60]!r}; expected a string")
    field = answer_field or ("reference" if "reference" in row else "answer")
    if field not in row:
        wanted = repr(answer_field) if answer_field else "'reference' nor 'answer'"
        return _bad_row(f"the row has no {wanted}")
    reference = full_reference(row[field], verifier, options)
    return Task(str(row.get("id", "")), (), reference, verifier, "rows", "rows"), text_completion(text)


def full_reference(reference: Any, verifier: str, options: Mapping[str, Any]) -> Any:
    """Gives a row's reference as its verifier reads it, with what it does not say itself taken from `options`.

    To a verifier of the house a number means its text, and a bare value the one key that its references need.
    """
    if verifier in VERIFIERS and _is_number(reference):
        reference = str(reference)
    key = _BARE.get(verifier)
    if key == "answers" and isinstance(reference, str):
        reference = [reference]
    if key is not None and not isinstance(reference, Mapping):
        reference = {key: reference}
    if not options:
        return reference
    return {**options, **(reference if isinstance(reference, dict) else {"answer": reference})}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def text_completion(text: str) -> Completion:
    """Gives a completion that is known by its text alone."""
    return Completion(_NO_TOKENS, _NO_LOGPROBS, _NONE_TRAINABLE, text, "stop", 0)


def _bad_row(reason: str) -> Verdict:
    return Verdict(None, "bad_row", reason[:200])


def _now(function: Callable[[Task, Completion], Verdict | None], task: Task, completion: Completion) -> Verdict | None:
    start = time.perf_counter()
    try:
        verdict = function(task, completion)
        return None if verdict is None else _timed(verdict, time.perf_counter() - start)
    except Exception:  # the long way says so, with the trace, and counts it
        return None


def _timed(verdict: Verdict, seconds: float) -> Verdict:
    """What dataclasses.replace gives; that takes several times as long, which would be a tenth of a simple row."""
    v = verdict
    return Verdict(v.outcome, v.status, v.extracted, v.path, v.score, v.parts, seconds, v.version)


def _result(known: "Verdict | Future[Verdict]") -> Verdict:
    return known.result() if isinstance(known, Future) else known


class _Loop:
    """An event loop in a thread of its own, so that callers with and without a loop are served alike."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, task: Task, completion: Completion) -> "Future[Verdict]":
        """Gives the verdict to come. It always comes: the scorer gives up what hangs."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="rlvr-verify-many", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._score(task, completion), self._loop)

    async def _score(self, task: Task, completion: Completion) -> Verdict:
        (verdict,) = await self._scorer.score(task, [completion])
        return verdict

    def close(self) -> None:
        """Ends the thread; what is still under way is dropped."""
        if self._loop is not None and self._thread is not None:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(_end(self._scorer), self._loop).result(CLOSE_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_SECONDS)
            if not self._thread.is_alive():
                self._loop.close()


async def _end(scorer: Scorer) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await scorer.aclose()
