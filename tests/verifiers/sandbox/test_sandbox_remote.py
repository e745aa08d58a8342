"""Remote sandboxes: SandboxFusion's request and reply, and what a service that misbehaves does to a verdict."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.sandbox import codec
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
from rlvr.verifiers.sandbox.remote import RemoteSandbox

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=15.0)


class Fake:
    """A service that answers by a function, and keeps what it was asked."""

    def __init__(self, answer: Callable[[dict[str, Any]], tuple[int, bytes]]) -> None:
        self.asked: list[dict[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.asked.append({"path": self.path, **asked})
                status, body = answer(asked)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Fake]:
    """SandboxFusion as it answers, with our own sandbox behind it."""
    try:
        pool = SandboxPool(1)
    except VerifierError as error:
        pytest.skip(error.message)

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        limits = Limits(cpu_seconds=1.0, wall_seconds=asked["run_timeout"], output_bytes=8 << 20, file_bytes=8 << 20)
        ran = pool.run_stdin(asked["code"], asked["stdin"].encode(), limits)
        status = "TimeLimitExceeded" if ran.status == "timeout" else "Finished"
        run = {
            "status": status,
            "execution_time": ran.wall_seconds,
            "return_code": ran.exit_code,
            "stdout": ran.stdout.decode("utf-8", "replace"),
            "stderr": ran.stderr,
        }
        whole = "Success" if ran.status == "ok" else "Failed"
        return 200, json.dumps({"status": whole, "message": "", "compile_result": None, "run_result": run}).encode()

    fake = Fake(answer)
    yield fake
    fake.close()
    pool.close()


@pytest.mark.parametrize(
    ("program", "status", "error"),
    [
        ("print(int(input()) + 1)", "ok", ""),
        ("1 / 0", "exception", "ZeroDivisionError: division by zero"),
        ("while True: pass", "timeout", ""),
        ("x = bytearray(4 << 30)", "memory", "MemoryError"),
        ("import ctypes; ctypes.string_at(8)", "crash", "exit status -11"),
        ("print('x' * 300_000)", "output_limit", "more than 262144 bytes of output"),
    ],
)
def test_a_script_has_the_same_statuses_as_here(service: Fake, program: str, status: str, error: str) -> None:
    ran = RemoteSandbox(service.url).run_stdin(program, b"41\n", LIMITS)
    assert ran.status == status, ran
    assert error in ran.error
    if status == "ok":
        assert ran.stdout == b"42\n"
    asked = service.asked[-1]
    assert (asked["path"], asked["language"], asked["code"]) == ("/run_code", "python", program)
    assert (asked["run_timeout"], asked["memory_limit_MB"]) == (15.0, 1024)


def test_calls_travel_and_no_print_of_the_program_is_taken_for_a_reply(service: Fake) -> None:
    program = "print('@RAAAA')\ndef f(x):\n    print('@RAAAA')\n    if x == 2: raise KeyError(x)\n    return x + 1"
    calls = [codec.encode([[n], {}]) for n in (1, 2, 3)]
    ran, replies = RemoteSandbox(service.url).run_calls(program, "f", calls, LIMITS)
    assert ran.status == "ok"
    expected = [["value", 2, None], ["raised", "KeyError", "2"], ["value", 4, None]]
    assert [codec.decode(reply) for reply in replies] == expected


@pytest.mark.parametrize(
    ("program", "status", "error"),
    [
        ("x = 1", "exception", "NameError: the program defines no 'f'"),
        ("import os\ndef f(x): os._exit(0)", "exception", "exit status 0"),
        ("def f(x):\n    while True: pass", "timeout", ""),
        ("def f(x): return bytearray(4 << 30)", "memory", "MemoryError"),
    ],
)
def test_calls_without_a_reply_have_a_status(service: Fake, program: str, status: str, error: str) -> None:
    ran, replies = RemoteSandbox(service.url).run_calls(program, "f", [codec.encode([[1], {}])], LIMITS)
    assert (ran.status, replies) == (status, [])
    assert error in ran.error


def reply(**run: Any) -> bytes:
    return json.dumps({"status": "Success", "run_result": run}).encode()


@pytest.mark.parametrize(
    ("answer", "status", "posts"),
    [
        ((500, b"{}"), "host_error", 3),
        ((200, b"no JSON"), "host_error", 3),
        ((200, b"[" * 100_000), "host_error", 3),
        ((200, b"[]"), "host_error", 3),
        ((200, reply(status="Odd")), "host_error", 3),
        ((200, reply(status="Finished", return_code="0")), "host_error", 3),
        ((200, b'{"status": "SandboxError", "message": "lost"}'), "sandbox_failure", 2),
        ((200, reply(status="Error", stderr="no cgroup")), "sandbox_failure", 2),
        ((200, reply(status="Finished", return_code=0, stdout="1\n")), "ok", 1),
        ((200, reply(status="Finished", return_code=137)), "crash", 1),
    ],
)
def test_trouble_of_the_service_is_told_from_trouble_of_the_program(
    answer: tuple[int, bytes], status: str, posts: int
) -> None:
    fake = Fake(lambda asked: answer)
    try:
        assert RemoteSandbox(fake.url).run_stdin("print(1)", b"", LIMITS).status == status
        assert len(fake.asked) == posts
    finally:
        fake.close()


def test_a_service_that_is_not_there_says_nothing_of_the_program() -> None:
    ran = RemoteSandbox("http://127.0.0.1:9").run_stdin("print(1)", b"", LIMITS)
    assert ran.status == "host_error"
    assert "127.0.0.1:9" in ran.error


def test_what_cannot_be_sent_is_refused_with_words() -> None:
    with pytest.raises(UsageError, match="no address"):
        RemoteSandbox("localhost:8080")
    with pytest.raises(UsageError, match="UTF-8"):
        RemoteSandbox("http://127.0.0.1:9").run_stdin("", b"\xff", LIMITS)
    with pytest.raises(UsageError, match="on this machine"):
        RemoteSandbox("http://127.0.0.1:9").session("", LIMITS)
