"""One program against one question: runs in the sandbox, comparison here."""

import secrets
from collections.abc import Sequence
from typing import Protocol

from rlvr.verifiers.sandbox.codec import CodecError, decode, encode
from rlvr.verifiers.sandbox.compare import Test, holds, same_output
from rlvr.verifiers.sandbox.forms import Calls, InProcess, Judged, Question, Stdin
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.judged import Open, examiner, judge
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.ran import Ran
from rlvr.verifiers.sandbox.result import Result, ended, shown

_BESIDE = """

def _rlvr_tests():
    examiner = {{}}
    exec({examiner!r}, examiner)
    held = examiner["beside"]({tests!r}, dict(globals(), __name__="__main__"))
    return {nonce!r} if held else examiner["NOTHING_HELD"]
"""

MET_BY_ANY_OBJECT = ("truth", "is_not")
"""Tests that an object which cannot be read passes, a re.Match say: a plain True would pass them as well."""
MAX_TIMEOUTS = 3
"""So many cases of a program may run out of time before the rest count as failed."""


class Pool(Protocol):
    """What runs programs in sandboxes."""

    @property
    def session(self) -> Open:
        """Loads a program and keeps it at hand."""

    def run_stdin(self, program: str, stdin: bytes, limits: Limits) -> Ran:
        """Runs a program as a script."""

    def run_calls(self, program: str, entry: str, calls: Sequence[bytes], limits: Limits) -> tuple[Ran, list[bytes]]:
        """Calls a function of a program, once for each frame of arguments."""


def run(pool: Pool, question: Question, program: str) -> Result:
    """Gives what becomes of a program under a question, waiting for it."""
    form = question.form
    match form:
        case Calls():
            return _calls(pool, form, program, question.limits)
        case Stdin():
            return _stdin(pool, form, program, question)
        case Judged():
            return judge(pool.session, program, form, question.limits)
        case InProcess():
            return _beside(pool, form, program, question.limits)


def _calls(pool: Pool, form: Calls, program: str, limits: Limits) -> Result:
    ran, replies = pool.run_calls(program, form.entry, form.frames, limits)
    passed, status, failed, error = 0, "ok", "", ran.error
    for number, (call, reply) in enumerate(zip(form.calls, replies, strict=False), start=1):
        fault = _fault(reply, call.test)
        if fault is None:
            passed += 1
        elif not failed:
            raised, said = fault
            failed, status = f"case {number}: {said}"[:300], "exception" if raised else "ok"
            error = error or (said if raised else "")
    if ran.status != "ok":
        return ended("calls", ran, cases=len(form.calls), passed=passed, failed=failed or f"case {len(replies) + 1}")
    return Result(
        "calls",
        passed,
        len(form.calls),
        "exception" if status == "exception" else "ok",
        failed,
        error,
        ran.stderr,
        ran.cpu_seconds,
        ran.wall_seconds,
    )


def _fault(frame: bytes, test: Test) -> tuple[bool, str] | None:
    """Gives whether a reply is an exception, and what is wrong with it; None where it passes."""
    try:
        reply = decode(frame)
    except CodecError as error:
        return False, f"an unreadable value ({error})"
    match reply:
        case ["value", value, list() | None]:
            return None if holds(test, value) else (False, f"gave {shown(value)}")
        case ["raised", str(name), str(text)]:
            return True, f"raised {name}: {text[:200]}"
        case ["unencodable", str(name)]:
            return None if test.kind in MET_BY_ANY_OBJECT else (False, f"gave a {name}")
    return False, "an unreadable value"


def _stdin(pool: Pool, form: Stdin, program: str, question: Question) -> Result:
    """Runs the cases one after the other; where all have to pass, the first that does not ends it.

    Where the share that passes counts, cases after MAX_TIMEOUTS that ran out of time count as failed: a program that
    never ends would hold up the others for as long as there are cases.
    """
    first: Ran | None = None
    failed, passed, timeouts, cpu_seconds, seconds = "", 0, 0, 0.0, 0.0
    ran = Ran("ok")
    for number, (given, expected) in enumerate(form.cases, start=1):
        ran = pool.run_stdin(program, given, question.limits)
        cpu_seconds += ran.cpu_seconds
        seconds += ran.wall_seconds
        if ran.status == "ok" and same_output(ran.stdout, expected, tolerance=form.tolerance):
            passed += 1
            continue
        if first is None:
            text = ran.stdout[:500].decode("utf-8", errors="replace")
            first, failed = ran, f"case {number}" + (f": printed {shown(text)}" if ran.status == "ok" else "")
        if not question.mean or ran.status in ("host_error", "sandbox_failure"):
            first = ran
            break
        timeouts += ran.status == "timeout"
        if timeouts == MAX_TIMEOUTS:
            break
    told = first or ran
    return Result("stdin", passed, len(form.cases), told.status, failed, told.error, told.stderr, cpu_seconds, seconds)


def _beside(pool: Pool, form: InProcess, program: str, limits: Limits) -> Result:
    """Runs the tests in the program's own process: the nonce that says they were passed is there to be found."""
    nonce = secrets.token_hex(16)
    tests = _BESIDE.format(examiner=examiner(), tests=f"{form.preamble}\n{form.tests}", nonce=nonce)
    if refusal := Job("calls", tests.encode("utf-8", "surrogatepass"), limits).refusal():
        return Result("in_process", 0, 1, "bad_reference", error=f"the tests are too large: {refusal}")
    code = program + tests
    ran, replies = pool.run_calls(code, "_rlvr_tests", [encode([[], {}])], limits)
    if ran.status != "ok" or not replies:
        return ended("in_process", ran, cases=1, failed="the tests")
    fault = _fault(replies[0], Test("equal", nonce))
    raised = fault is not None and fault[0] and not fault[1].startswith("raised AssertionError")
    return Result(
        "in_process",
        int(fault is None),
        1,
        "exception" if raised else "ok",
        "" if fault is None else "the tests",
        "" if fault is None else fault[1],
        ran.stderr,
        ran.cpu_seconds,
        ran.wall_seconds,
    )
