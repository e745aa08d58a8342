"""Test code in a sandbox of its own, the program in another, and this side between them.

Every message is read and written anew here, so that nothing but plain data and handles crosses. A test that ends in
anything but silence is a program that failed it, however the program brought that about; the exceptions are tests that
are too large, end before they ask anything or hand the program what cannot be sent, and trouble of the host.
"""

import contextlib
import functools
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rlvr.verifiers.sandbox.codec import MAX_BYTES, CodecError, Handle, decode, encode
from rlvr.verifiers.sandbox.forms import Judged
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import EndedError
from rlvr.verifiers.sandbox.ran import Ran
from rlvr.verifiers.sandbox.result import Result, ended, shown

PATH = "judged"
PRELUDE = "examiner"
MAX_REMOTE_CALLS = 5000
SPARE_SECONDS = 10.0
"""How much longer the tests may take than the program they wait for."""

_ARGUMENTS = {"call": 3, "method": 4, "get": 1, "attribute": 2}
"""The operations that tests may ask for, and how many arguments each has."""


class Session(Protocol):
    """A program that is loaded in its sandbox and answers one operation at a time."""

    ran: Ran | None

    def call(self, frame: bytes) -> bytes:
        """Gives the reply to one operation."""


class Open(Protocol):
    """Loads a program in a sandbox of its own, after the prelude of that name."""

    def __call__(self, program: str, limits: Limits, prelude: str = "") -> AbstractContextManager[Session]:
        """Gives the session while it lasts."""


def judge(open_session: Open, program: str, form: Judged, limits: Limits) -> Result:
    """Runs the tests of a question against a program; a sandbox that breaks is replaced once."""
    if refusal := Job("session", script(form).encode("utf-8", "surrogatepass"), limits).refusal():
        return _broken(f"the tests are too large: {refusal}")
    result = _once(open_session, program, form, limits)
    return _once(open_session, program, form, limits) if result.status == "sandbox_failure" else result


def _once(open_session: Open, program: str, form: Judged, limits: Limits) -> Result:
    try:
        with open_session(program, limits) as candidate:
            try:
                with open_session(script(form), _longer(limits), PRELUDE) as tests:
                    verdict = _relay(candidate, tests)
            except EndedError as error:
                return replace(ended(PATH, error.ran, cases=1), error=f"under the tests: {error.ran.error}", stderr="")
    except EndedError as error:
        return ended(PATH, error.ran, cases=1)
    result = verdict if isinstance(verdict, Result) else _told(*verdict)
    ran = candidate.ran
    if ran is None:
        return result
    return replace(result, stderr=ran.stderr, cpu_seconds=ran.cpu_seconds, seconds=ran.wall_seconds)


def _longer(limits: Limits) -> Limits:
    """Gives the limits of the tests, whose questions may be longer than the program's answers."""
    return replace(limits, wall_seconds=limits.deadline_seconds + SPARE_SECONDS, result_bytes=MAX_BYTES)


@functools.cache
def examiner() -> str:
    """Gives the text of examiner.py."""
    return Path(__file__).with_name("examiner.py").read_text(encoding="utf-8")


def script(form: Judged) -> str:
    """Gives the program of the second sandbox, which comes after the examiner."""
    said = {
        "preamble": form.preamble,
        "tests": form.tests,
        "wanted": list(form.wanted),
        "modules": list(form.modules),
    }
    return f"SCRIPT.update({said!r})\n"


def _relay(candidate: Session, tests: Session) -> Result | tuple[str, str]:
    """Carries messages until the tests are over; gives what they say, or how the program ended under them."""
    try:
        frame = tests.call(encode(["enter", "examine"]))
    except EndedError as error:
        if error.ran.status in ("sandbox_failure", "host_error"):
            raise
        return _broken(f"the tests end before they call the program: {error.ran.status} {error.ran.error}")
    for _ in range(MAX_REMOTE_CALLS):
        match _read(frame):
            case ["value", [str(kind), str(text)], _]:
                return kind, text
            case ["ask", str(word), *rest] if len(rest) == _ARGUMENTS.get(word):
                operation = [word, *rest]
            case message:
                return "error", f"the tests ended with {shown(message)}"
        try:
            reply = candidate.call(encode(operation))
        except EndedError as error:
            return ended(PATH, error.ran, cases=1)
        answer = _answer(reply)
        if answer is None:
            return "refused", "the program's side answered with what is no reply"
        frame = tests.call(answer)
    return Result(PATH, 0, 1, "timeout", error=f"more than {MAX_REMOTE_CALLS} calls")


def _read(frame: bytes) -> list[Any]:
    try:
        message = decode(frame, Handle)
    except CodecError as error:
        return ["broken", str(error)]
    return message if isinstance(message, list) and message else ["broken"]


def _answer(frame: bytes) -> bytes | None:
    """Gives a reply of the program's side written anew, None where it is none."""
    match _read(frame):
        case ["value", _, list() | None] | ["raised", str(), str()] | ["unencodable", str()] as reply:
            with contextlib.suppress(CodecError):
                return encode(reply)
    return None


def _told(kind: str, text: str) -> Result:
    match kind:
        case "passed":
            return Result(PATH, 1, 1)
        case "raised":
            return Result(PATH, 0, 1, "exception", "the tests", text)
        case "unsendable":
            return _broken(f"the tests cannot run apart from the program: {text}")
        case "unasked":
            return _broken(f"the tests cannot judge a program: {text}")
    return Result(PATH, 0, 1, "ok", "the tests", text)


def _broken(reason: str) -> Result:
    return Result(PATH, 0, 1, "bad_reference", error=reason)
