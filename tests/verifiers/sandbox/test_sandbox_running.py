"""The trusted side against a program that controls every byte of its replies, and against sandboxes that break."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from rlvr.verifiers.sandbox.codec import MAX_INT_BITS, decode, encode
from rlvr.verifiers.sandbox.forms import Judged, Question, read_question
from rlvr.verifiers.sandbox.judged import MAX_REMOTE_CALLS, judge
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import EndedError
from rlvr.verifiers.sandbox.ran import Ran
from rlvr.verifiers.sandbox.result import shown
from rlvr.verifiers.sandbox.running import run

FORM = Judged("assert f(f(1)) == 2", "", ("f",), ())


class FakePool:
    """A pool whose runs end as it is told."""

    def __init__(self, ran: Ran, replies: Sequence[bytes] = ()) -> None:
        self.ran, self.replies, self.runs = ran, list(replies), 0

    def run_stdin(self, program: str, stdin: bytes, limits: Limits) -> Ran:
        self.runs += 1
        return self.ran

    def run_calls(self, program: str, entry: str, calls: Sequence[bytes], limits: Limits) -> tuple[Ran, list[bytes]]:
        return self.ran, self.replies

    def session(self, program: str, limits: Limits) -> Any:
        raise AssertionError("no session is due")


class FakeSession:
    """A session whose replies a function makes."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.ran: Ran | None = None

    def call(self, frame: bytes) -> bytes:
        return self.answer(frame)


def sessions(candidate: Callable[[bytes], bytes], tests: Callable[[bytes], bytes]) -> Any:
    """What opens the candidate's session first and the tests' second, each time anew."""
    opened: list[str] = []
    preludes: list[str] = []

    @contextlib.contextmanager
    def open_session(program: str, limits: Limits, prelude: str = "") -> Iterator[FakeSession]:
        opened.append(program)
        preludes.append(prelude)
        yield FakeSession(tests if "SCRIPT" in program else candidate)

    open_session.opened = opened  # type: ignore[attr-defined]
    open_session.preludes = preludes  # type: ignore[attr-defined]
    return open_session


def question(**more: Any) -> Question:
    read = read_question({"calls": [{"args": [1], "expected": 2}, {"args": [2], "expected": 3}], "entry": "f", **more})
    assert isinstance(read, Question)
    return read


HUGE = ('["i","0x1' + "0" * (MAX_INT_BITS // 4) + '"]').encode()
LARGEST = ('["i","0x' + "f" * (MAX_INT_BITS // 4) + '"]').encode()
HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"2",
    b'["l"]',
    b'["l","value"]',
    b'["l","value",2]',
    b'["l","value",2,null,null]',
    b'["l","value",2,2]',
    b'["l","value",["h",0],null]',
    b'["l","value",' + HUGE + b",null]",
    b'["l","value",' + LARGEST + b",null]",
    b'["l","value",["l"' + b",0" * 199_990 + b"],null]",
    b'["l","raised",1,2]',
    b'["l","raised","AssertionError"]',
    b'["l","unencodable"]',
    b'["l","passed",""]',
    b'["d","value",2]',
    b'{"value":2}',
    b'["l","ask","call","f",["l",1],["d"]]',
    b"\xff\xfe",
    b"[" * 100_000,
    b'["l","value",NaN,null]',
    json.dumps(["l", "value", "\ud800", None]).encode(),
]


@pytest.mark.parametrize("reply", HOSTILE, ids=lambda reply: repr(reply[:30]))
def test_a_reply_that_no_driver_writes_is_a_wrong_answer(reply: bytes) -> None:
    result = run(FakePool(Ran("ok"), [reply, encode(["value", 3, None])]), question(), "")
    assert (result.status, result.passed, result.cases) == ("ok", 1, 2)
    assert result.failed.startswith("case 1: ")


@pytest.mark.parametrize("reply", HOSTILE, ids=lambda reply: repr(reply[:30]))
def test_a_reply_that_no_driver_writes_never_raises_under_the_tests(reply: bytes) -> None:
    """What is no reply ends the run; what is one reaches the tests, who fail it."""
    asked = encode(["ask", "call", "f", [1], {}])

    def tests(frame: bytes) -> bytes:
        if decode(frame, int)[0] == "enter":
            return asked
        return encode(["value", ["failed", "AssertionError"], None])

    result = judge(sessions(lambda _: reply, tests), "", FORM, Limits())
    assert (result.status, result.passed) == ("ok", 0)


def test_fewer_replies_than_calls_do_not_pass() -> None:
    result = run(FakePool(Ran("timeout", error="5 s"), [encode(["value", 2, None])]), question(), "")
    assert (result.status, result.passed, result.cases, result.failed) == ("timeout", 1, 2, "case 2")


def test_the_first_failure_is_told_and_all_cases_are_counted() -> None:
    replies = [encode(["raised", "ValueError", "bad"]), encode(["value", 3, None])]
    result = run(FakePool(Ran("ok", stderr="hm"), replies), question(), "")
    assert (result.status, result.passed, result.stderr) == ("exception", 1, "hm")
    assert result.failed == "case 1: raised ValueError: bad"


@pytest.mark.parametrize(
    "status", ["exception", "timeout", "memory", "output_limit", "crash", "sandbox_failure", "host_error"]
)
def test_the_status_of_a_run_is_that_of_the_result(status: Any) -> None:
    assert run(FakePool(Ran(status)), question(), "").status == status
    stdin = read_question({"stdin": [{"input": "", "output": ""}] * 3})
    assert isinstance(stdin, Question)
    pool = FakePool(Ran(status))
    assert run(pool, stdin, "").status == status
    assert pool.runs == 1


def test_all_cases_run_only_where_their_share_is_asked_for() -> None:
    cases = [{"input": "", "output": text} for text in ("1", "2", "1")]
    for score, runs, passed in (("all", 2, 1), ("mean", 3, 2)):
        read = read_question({"stdin": cases, "score": score})
        assert isinstance(read, Question)
        pool = FakePool(Ran("ok", stdout=b"1\n"))
        result = run(pool, read, "")
        assert (pool.runs, result.passed, result.cases, result.status) == (runs, passed, 3, "ok")
        assert result.failed == "case 2: printed '1\\n'"


def ending(ran: Ran) -> Callable[[bytes], bytes]:
    def answer(_: bytes) -> bytes:
        raise EndedError(ran)

    return answer


def test_a_program_that_ends_under_its_tests_is_told_as_it_ended() -> None:
    asked = encode(["ask", "call", "f", [1], {}])
    result = judge(sessions(ending(Ran("memory", error="MemoryError")), lambda _: asked), "", FORM, Limits())
    assert (result.status, result.passed, result.error) == ("memory", 0, "MemoryError")


@pytest.mark.parametrize("status", ["memory", "timeout", "crash"])
def test_tests_that_end_before_their_word_are_failed_where_the_program_has_had_one(status: Any) -> None:
    def tests(frame: bytes) -> bytes:
        if decode(frame, int)[0] == "enter":
            return encode(["ask", "call", "f", [1], {}])
        raise EndedError(Ran(status))

    result = judge(sessions(lambda _: encode(["value", 1, None]), tests), "", FORM, Limits())
    assert (result.status, result.passed) == (status, 0)
    result = judge(sessions(lambda _: b"", ending(Ran(status))), "", FORM, Limits())
    assert (result.status, result.passed) == ("bad_reference", 0)


def test_a_sandbox_that_breaks_is_replaced_once_and_then_counts_against_the_program() -> None:
    asked = encode(["ask", "call", "f", [1], {}])
    opened = sessions(ending(Ran("sandbox_failure")), lambda _: asked)
    assert judge(opened, "", FORM, Limits()).status == "sandbox_failure"
    assert len(opened.opened) == 4
    opened = sessions(ending(Ran("host_error")), lambda _: asked)
    assert judge(opened, "", FORM, Limits()).status == "host_error"
    assert len(opened.opened) == 2


def test_only_the_tests_come_after_the_examiner() -> None:
    opened = sessions(ending(Ran("memory")), lambda _: encode(["value", ["passed", ""], None]))
    assert judge(opened, "the program", FORM, Limits()).passed == 1
    assert opened.opened[0] == "the program"
    assert opened.preludes == ["", "examiner"]


def test_calls_without_end_are_given_up() -> None:
    asked = encode(["ask", "call", "f", [1], {}])
    calls = []

    def candidate(frame: bytes) -> bytes:
        calls.append(frame)
        return encode(["value", 1, None])

    result = judge(sessions(candidate, lambda _: asked), "", FORM, Limits())
    assert (result.status, len(calls)) == ("timeout", MAX_REMOTE_CALLS)


@pytest.mark.parametrize(
    "message",
    [
        ["ask"],
        ["ask", "enter", "examine"],
        ["ask", "call", "f"],
        ["other"],
        ["raised", "ValueError", "x"],
        ["unencodable", "x"],
        7,
    ],
)
def test_what_the_tests_may_not_ask_ends_them(message: Any) -> None:
    def candidate(_: bytes) -> bytes:
        raise AssertionError("nothing is asked")

    result = judge(sessions(candidate, lambda _: encode(message)), "", FORM, Limits())
    assert (result.status, result.passed) == ("ok", 0)


def test_only_the_word_passed_passes() -> None:
    for word, status, passed in (
        ("passed", "ok", 1),
        ("failed", "ok", 0),
        ("refused", "ok", 0),
        ("error", "ok", 0),
        ("raised", "exception", 0),
        ("unsendable", "bad_reference", 0),
        ("unasked", "bad_reference", 0),
    ):
        result = judge(sessions(lambda _: b"", lambda _, w=word: encode(["value", [w, "x"], None])), "", FORM, Limits())  # type: ignore[misc]
        assert (result.status, result.passed) == (status, passed)


def test_values_are_shown_short_and_never_raise() -> None:
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown(10**5000) == "a large int"
    assert len(shown("x" * 10**6)) == 121
