"""Programs against tests, in a sandbox that never holds an expected value.

The program is the last fenced Python block of a completion, or the whole text where nothing is fenced. References are
those of `rlvr.verifiers.sandbox.forms`; how each test compares says `rlvr.verifiers.sandbox.compare`. The outcome is 1
where every case passes, else 0; with "score": "mean" it is the share that passes.

Statuses: "ok" (it ran; a wrong answer is outcome 0), "exception", "timeout", "memory", "output_limit", "crash" (the
process ended by itself), "sandbox_failure" (the sandbox broke twice under this program), all with what failed first;
"no_answer" and "wrong_format" (another language, or far too long); "host_error" with outcome None, where no sandbox
could be had. The path is "calls", "stdin", "judged" (tests in a sandbox of their own) or "in_process". The parts tell
`passed`, `cases`, `cpu_seconds`, and as texts, where there is something to tell, `error`, `stderr` (its end) and
`failed` (the first case that did not pass); and `sandbox_level` where the isolation was too weak and run all the same.
"""

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rlvr.errors import UsageError
from rlvr.types import Completion, Status, Task, Verdict
from rlvr.verifiers.extract import after_thinking
from rlvr.verifiers.pool import usable_cores
from rlvr.verifiers.sandbox import fence
from rlvr.verifiers.sandbox.forms import Question, read_question
from rlvr.verifiers.sandbox.levels import LOWEST_ALLOWED
from rlvr.verifiers.sandbox.pool import SandboxPool, shared
from rlvr.verifiers.sandbox.remote import RemoteSandbox
from rlvr.verifiers.sandbox.result import Result
from rlvr.verifiers.sandbox.running import run

VERSION = "code-3"
MAX_STDERR_CHARACTERS = 2000
MAX_EXTRACTED_CHARACTERS = 200


PACKAGES = ("numpy",)
"""What programs may import beyond the standard library where a reference asks for it, unless `configure` says more."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How many programs run at once (None: one a core), the address of a sandbox service ("": this machine), whether
    isolation that is too weak is put up with, and which packages a reference may ask for."""

    workers: int | None = None
    url: str = ""
    allow_unsafe_execution: bool = False
    packages: tuple[str, ...] = PACKAGES


_settings = Settings()
_lock = threading.Lock()
_threads: dict[tuple[int, int], ThreadPoolExecutor] = {}


def configure(
    *, workers: int = 0, url: str = "", allow_unsafe_execution: bool = False, packages: Sequence[str] = PACKAGES
) -> None:
    """Sets how programs are run from the next one on; `workers` 0 is one a core.

    A package is imported before the programs, outside of what holds them: name none that does more than define things.
    Raises UsageError for no address.
    """
    global _settings
    if url:
        RemoteSandbox(url)
    _settings = Settings(workers or None, url, allow_unsafe_execution, tuple(packages))


def sandboxes(packages: tuple[str, ...] = ()) -> SandboxPool | RemoteSandbox:
    """Gives what programs run in. Raises VerifierError where the isolation of this machine is too weak."""
    if _settings.url:
        return RemoteSandbox(_settings.url)
    return shared(_settings.workers, packages=packages, allow_unsafe_execution=_settings.allow_unsafe_execution)


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None; whether its tests can be passed only a run can tell."""
    question = _allowed_question(reference)
    return question if isinstance(question, str) else None


def _allowed_question(reference: Any) -> Question | str:
    """Gives the question of a reference, or in words what is wrong with it or not allowed here."""
    question = read_question(reference)
    if isinstance(question, str):
        return question
    refused = [name for name in question.packages if name not in _settings.packages]
    allowed = ", ".join(_settings.packages) or "none"
    return f"the package {refused[0]} is not allowed in the sandbox; allowed: {allowed}" if refused else question


@dataclass(slots=True)
class _Underway:
    """A program that is run for one task, and how many completions wait for what becomes of it."""

    verdict: "asyncio.Future[Verdict]"
    waiting: int = 0


_underway: dict[tuple[asyncio.AbstractEventLoop, int, str, str], _Underway] = {}


async def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the program passes every test of the reference; statuses and parts as the head says.

    The outcome is None only for a broken reference or trouble of the host. Completions of one group that hold the same
    program wait for one run of it, seconds included; nothing is remembered after it, so that luck does not last.
    """
    loop = asyncio.get_running_loop()
    code, fault = fence.program(after_thinking(completion.text) or "")
    key = (loop, id(task), code, fault)
    run = _underway.get(key)
    if run is None:
        run = _underway[key] = _Underway(loop.run_in_executor(_executor(), _judged, task, code, fault))
    run.waiting += 1
    try:
        return await asyncio.shield(run.verdict)
    finally:
        run.waiting -= 1
        if not run.waiting:
            del _underway[key]
            run.verdict.cancel()


def _judged(task: Task, code: str, fault: str) -> Verdict:
    """Gives the verdict, waiting for it; the reference is read only now, so that what waits in line stays small."""
    question = _allowed_question(task.reference)
    if isinstance(question, str):
        return Verdict(None, "bad_reference", question[:MAX_EXTRACTED_CHARACTERS], version=VERSION)
    if not code:
        status: Status = "wrong_format" if fault else "no_answer"
        return Verdict(0.0, status, parts={"error": fault} if fault else {}, version=VERSION)
    return _verdict(question, code, _run(question, code))


def _run(question: Question, code: str) -> Result:
    try:
        return run(sandboxes(question.packages), question, fence.after(question.given, code))
    except UsageError as error:  # packages that are not there, tests that a sandbox service cannot run
        return Result("", 0, 1, "bad_reference", error=error.message)


def _verdict(question: Question, code: str, result: Result) -> Verdict:
    extracted = code.strip()[:MAX_EXTRACTED_CHARACTERS]
    if result.status == "bad_reference":
        return Verdict(None, "bad_reference", result.error[:MAX_EXTRACTED_CHARACTERS], result.path, version=VERSION)
    if result.status == "host_error":
        parts = {"error": result.error} if result.error else {}
        return Verdict(None, "host_error", extracted, result.path, parts=parts, version=VERSION)
    share = result.passed / result.cases if question.mean else float(result.passed == result.cases)
    outcome = share if result.status == "ok" or question.mean else 0.0
    return Verdict(
        0.0 if result.status == "sandbox_failure" else outcome,
        result.status,
        extracted,
        result.path,
        parts=_parts(result),
        seconds=result.seconds,
        version=VERSION,
    )


def _parts(result: Result) -> dict[str, float | str]:
    parts: dict[str, float | str] = {
        "passed": float(result.passed),
        "cases": float(result.cases),
        "cpu_seconds": result.cpu_seconds,
    }
    if _settings.allow_unsafe_execution and not _settings.url and (level := sandboxes().level) < LOWEST_ALLOWED:
        parts["sandbox_level"] = float(level)
    texts = {"error": result.error, "failed": result.failed, "stderr": result.stderr[-MAX_STDERR_CHARACTERS:]}
    return {**parts, **{name: text for name, text in texts.items() if text}}


def _executor() -> ThreadPoolExecutor:
    """Gives the threads that wait for sandboxes: two a sandbox, so that the next run is ready when one ends."""
    key = (os.getpid(), 2 * (_settings.workers or usable_cores()))
    with _lock:
        if key not in _threads:
            _threads[key] = ThreadPoolExecutor(key[1], thread_name_prefix="rlvr-code")
        return _threads[key]
