"""Sandboxes on other machines, reached by HTTP: level 4, kept by whoever runs the service.

A service is three things: where to post, what to post, how to read the reply. `SandboxFusion` is the first. Calls go
as a script that reads them from standard input and prints encoded replies; as everywhere, expected values stay here.
"""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

from rlvr.errors import UsageError
from rlvr.verifiers.sandbox.limits import RESULT_FRAMES, Limits
from rlvr.verifiers.sandbox.ran import Ran, one_line, shown

HERE = Path(__file__).parent
LATER_SECONDS = 30.0
"""How long a service may take beside the run itself."""
MAX_REPLY_BYTES = 64 << 20


class UnavailableError(Exception):
    """The service cannot be reached or does not answer as it should; nothing is known of the program."""


class Service(Protocol):
    """How one kind of service is spoken to."""

    @property
    def path(self) -> str:
        """Where to post, below the address."""

    def request(self, program: str, stdin: str, limits: Limits) -> dict[str, Any]:
        """Gives what is posted, as JSON."""

    def read(self, reply: Any, limits: Limits) -> Ran:
        """Gives the result; "sandbox_failure" where the service says that it failed. Raises UnavailableError."""


@dataclass(frozen=True, slots=True)
class SandboxFusion:
    """`run_code` of SandboxFusion (github.com/bytedance/SandboxFusion)."""

    path: str = "/run_code"

    def request(self, program: str, stdin: str, limits: Limits) -> dict[str, Any]:
        """Gives the request; the service's clock is wall time, so that it gets the wall limit."""
        return {
            "code": program,
            "language": "python",
            "stdin": stdin,
            "compile_timeout": limits.deadline_seconds,
            "run_timeout": limits.deadline_seconds,
            "memory_limit_MB": limits.memory_bytes >> 20,
            "files": {},
            "fetch_files": [],
        }

    def read(self, reply: Any, limits: Limits) -> Ran:
        """Reads status, run_result.status, return_code, stdout, stderr and execution_time."""
        run = reply.get("run_result") if isinstance(reply, dict) else None
        if isinstance(reply, dict) and reply.get("status") == "SandboxError":
            return Ran("sandbox_failure", error=one_line(str(reply.get("message"))))
        if not isinstance(run, dict) or run.get("status") not in ("Finished", "TimeLimitExceeded", "Error"):
            raise UnavailableError(f"a reply without a run_result: {str(reply)[:200]}")
        stdout = str(run.get("stdout") or "").encode("utf-8", "surrogatepass")
        stderr = str(run.get("stderr") or "")
        seconds, code = run.get("execution_time") or 0.0, run.get("return_code")
        if not isinstance(seconds, int | float) or not isinstance(code, int | None):
            raise UnavailableError(f"a reply with execution_time {seconds!r} and return_code {code!r}")
        ran = Ran("ok", stdout, shown(stderr.encode("utf-8", "replace")), 0.0, seconds, code)
        if run["status"] == "Error":
            return _ended(ran, "sandbox_failure", f"the service could not run it: {stderr[:200]}")
        if run["status"] == "TimeLimitExceeded":
            return _ended(ran, "timeout", f"{seconds:.2f} s of wall time")
        last = stderr.strip().rpartition("\n")[2]
        if code == 0:
            return ran
        if last.startswith("MemoryError"):
            return _ended(ran, "memory", last)
        if isinstance(code, int) and (code < 0 or code > 128):
            return _ended(ran, "crash", f"exit status {code}")
        return _ended(ran, "exception", last or f"exit status {code}")


@dataclass(frozen=True, slots=True)
class RemoteSandbox:
    """A sandbox service behind an address, with `run_stdin` and `run_calls` as a SandboxPool has them; from as many
    threads as you like."""

    url: str
    service: Service = field(default_factory=SandboxFusion)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"{self.url!r} is no address of a sandbox service", hint="http://localhost:8080")

    @property
    def level(self) -> int:
        """The level of isolation, on the word of who keeps the service."""
        return 4

    def run_stdin(self, program: str, stdin: bytes, limits: Limits) -> Ran:
        """Runs a program as a script with that standard input; "ok" means exit status 0.

        Raises UsageError for input that is no UTF-8.
        """
        try:
            text = stdin.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError("a remote sandbox takes standard input as UTF-8 text only") from error
        ran = self._post(program, text, limits)
        if ran.status == "ok" and len(ran.stdout) + len(ran.stderr) > limits.output_bytes:
            return _ended(ran, "output_limit", f"more than {limits.output_bytes} bytes of output")
        return ran

    def run_calls(self, program: str, entry: str, calls: Sequence[bytes], limits: Limits) -> tuple[Ran, list[bytes]]:
        """Executes a program, then calls `entry` with each frame; replies as those of SandboxPool.run_calls."""
        parts = [program.encode("utf-8", "surrogatepass"), *calls]
        stdin = "\n".join(base64.b64encode(part).decode() for part in parts)
        ran = self._post(_script(entry, limits), stdin, limits)
        replies, error = _read_replies(ran.stdout, len(calls))
        size = sum(map(len, replies))
        if size > RESULT_FRAMES * limits.result_bytes:
            return _ended(ran, "output_limit", f"{size} bytes of replies"), []
        without = Ran(ran.status, b"", ran.stderr, ran.cpu_seconds, ran.wall_seconds, ran.exit_code, ran.error)
        if ran.status in ("ok", "exception", "crash", "memory"):
            if len(replies) == len(calls):
                return _ended(without, "ok", ""), replies
            word = "memory" if error.startswith("MemoryError") else "exception" if ran.status == "ok" else ran.status
            return _ended(without, word, error or ran.error or f"exit status {ran.exit_code}"), replies
        return without, replies

    def session(self, program: str, limits: Limits, prelude: str = "") -> NoReturn:
        """Raises UsageError: a dialogue needs a sandbox on this machine."""
        raise UsageError(
            f"{self.url} runs whole programs; asserts that are judged call by call need a sandbox on this machine",
            hint="rlvr sandbox check",
        )

    def _post(self, program: str, stdin: str, limits: Limits) -> Ran:
        """Posts once more after any trouble; the second failure of the sandbox counts against the program.

        So does a program that gets no answer twice from a service which answers another one in between: else a program
        that keeps the service from answering would go unjudged.
        """
        ran = trouble = self._try(program, stdin, limits)
        if ran.status in ("host_error", "sandbox_failure"):
            ran = self._try(program, stdin, limits)
        if ran.status == trouble.status == "host_error" and self._try("", "", limits).status == "ok":
            ran = self._try(program, stdin, limits)
            return _ended(ran, "sandbox_failure", ran.error) if ran.status == "host_error" else ran
        return ran

    def _try(self, program: str, stdin: str, limits: Limits) -> Ran:
        start = time.monotonic()
        try:
            return self.service.read(self._fetch(self.service.request(program, stdin, limits), limits), limits)
        except UnavailableError as error:
            seconds = time.monotonic() - start
            return Ran("host_error", wall_seconds=seconds, error=one_line(f"{self.url}: {error}"))

    def _fetch(self, request: dict[str, Any], limits: Limits) -> Any:
        body = json.dumps(request).encode("ascii")
        headers = {"Content-Type": "application/json", **self.headers}
        order = urllib.request.Request(self.url.rstrip("/") + self.service.path, body, headers)
        try:
            with urllib.request.urlopen(order, timeout=limits.deadline_seconds + LATER_SECONDS) as answer:
                text = answer.read(MAX_REPLY_BYTES + 1)
            if len(text) > MAX_REPLY_BYTES:
                raise UnavailableError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
            return json.loads(text)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError, RecursionError) as error:
            raise UnavailableError(f"{type(error).__name__}: {error}") from error


_SCRIPT = """\
import base64, os, sys, types
def load(name, text):
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(base64.b64decode(text), name + ".py", "exec"), module.__dict__)
    return module
driver, codec = load("driver", {driver!r}), load("codec", {codec!r})
program, *frames = [base64.b64decode(line) for line in sys.stdin.buffer.read().split(b"\\n")]
out = os.fdopen(os.dup(1), "wb", 0)
os.dup2(2, 1)
class Wire:
    result_bytes = {result_bytes}
    def send(self, tag, frame):
        out.write(b"@" + tag + base64.b64encode(frame) + b"\\n")
wire = Wire()
wire.codec = codec
driver.run_calls(program.decode("utf-8", "surrogatepass"), {entry!r}, frames, wire)
os._exit(0)
"""


def _script(entry: str, limits: Limits) -> str:
    """Gives the program that makes calls on the other machine: our driver and codec, and what reads and prints."""
    texts = {name: base64.b64encode((HERE / f"{name}.py").read_bytes()).decode() for name in ("driver", "codec")}
    return _SCRIPT.format(entry=entry, result_bytes=limits.result_bytes, **texts)


def _read_replies(stdout: bytes, number: int) -> tuple[list[bytes], str]:
    """Gives the replies, at most so many, and the exception that ended the run, "" where none did."""
    replies: list[bytes] = []
    for line in stdout.split(b"\n"):
        try:
            content = base64.b64decode(line[2:], validate=True)
        except ValueError:
            break
        if line[:2] == b"@E":
            return replies, one_line(content.decode("utf-8", "replace"))
        if line[:2] != b"@R" or len(replies) == number:
            break
        replies.append(content)
    return replies, ""


def _ended(ran: Ran, status: Any, error: str) -> Ran:
    return Ran(status, ran.stdout, ran.stderr, ran.cpu_seconds, ran.wall_seconds, ran.exit_code, one_line(error))
