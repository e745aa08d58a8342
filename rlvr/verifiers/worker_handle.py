"""One worker as the pool sees it: two processes, the pipes to them, and the limits of a call.

The first process imports, a fork of it calls: see worker.py.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from rlvr.verifiers.worker import HEADER, MAX_FRAME_BYTES, pack

Kind = Literal["value", "error", "timeout", "memory", "crash", "host"]
"""value: what the function gave; error: it raised; timeout, memory: over a limit; crash: the process died, twice;
host: the machine, not the item, is at fault (no worker could start, one was killed from outside or starved)."""

START_SECONDS = 120.0
STARVED_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one item: `value` where `kind` is "value", otherwise the `error` in words.

    `seconds` are those of the call that gave an answer, or of all tries where none did; waiting in the queue is not
    counted.
    """

    kind: Kind
    value: Any = None
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One call to make: its limits, and the future that the reply goes to.

    `tried_seconds` is what a first try took that gave no answer, 0 before it.
    """

    function: str
    payload: Any
    cpu_seconds: float
    wall_seconds: float
    future: "Future[Reply]"
    tried_seconds: float = 0.0


class GoneError(Exception):
    """The worker ended or passed a limit; `kind` says how. `replaced`: a fresh fork will take the next call."""

    def __init__(self, kind: Kind, error: str, *, replaced: bool = False) -> None:
        super().__init__(error)
        self.kind: Kind = kind
        self.error = error
        self.replaced = replaced


def _environment() -> dict[str, str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    path = os.pathsep.join(os.path.abspath(entry or os.curdir) for entry in sys.path)
    # A fixed hash seed: the order of a set must not decide how an expression is simplified.
    return {**os.environ, **threads, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def _process_state(pid: int) -> str:
    """Gives the scheduler's letter for a process (R runs or waits for a core, S sleeps), "" where it is not known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


class Worker:
    """One worker, its two processes, and the two pipes to it; used by one thread only."""

    def __init__(self, memory_bytes: int) -> None:
        self.calls = 0
        self._loaded: set[str] = set()
        self._buffer = bytearray()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rlvr.verifiers.worker", str(memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise GoneError("host", f"a worker process cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        self.pid = self._process.pid
        self._fork: int | None = None
        self._answered = 0

    @property
    def pids(self) -> list[int]:
        """Gives the process that imports and, while there is one, the fork that calls."""
        fork = self._fork
        return [self.pid] if fork is None else [self.pid, fork]

    @property
    def fresh(self) -> bool:
        """Gives whether the next call meets a process that has answered none yet."""
        return self._answered == 0

    def renew(self) -> None:
        """Ends the fork, where there is one, so that the next call meets a fresh one. Raises GoneError."""
        if self._fork is None:
            return
        self.interrupt()
        try:
            self._receive(self.calls + 1, START_SECONDS)
        except GoneError as gone:
            if not gone.replaced:
                raise

    def start(self) -> None:
        """Waits until the process is ready."""
        try:
            self._receive(0, START_SECONDS)
        except GoneError as gone:
            raise GoneError("host", f"a worker did not start: {gone.error}") from gone

    def load(self, function: str) -> str:
        """Imports the function's module in the worker, off the item's clock; gives the error in words, or ""."""
        if function in self._loaded:
            return ""
        self.calls += 1
        try:
            self._send(pack({"id": self.calls, "function": function}), START_SECONDS)
            message = self._receive(self.calls, START_SECONDS)
        except GoneError as gone:
            raise GoneError("host", f"{function} was not loaded: {gone.error}") from gone
        if "error" in message:
            return f"{function} cannot be loaded: {message['error']}"
        self._loaded.add(function)
        return ""

    def call(self, job: Job) -> Reply:
        """Gives the reply to one job. Raises GoneError where the worker died or had to be given up."""
        self.calls += 1
        call = {"id": self.calls, "function": job.function, "payload": job.payload, "cpu_seconds": job.cpu_seconds}
        start = time.monotonic()
        self._send(pack(call), job.wall_seconds)
        message = self._receive(self.calls, job.wall_seconds)
        seconds = time.monotonic() - start
        self._answered += 1
        if "error" in message:
            return Reply(message["kind"], error=message["error"], seconds=seconds)
        return Reply("value", message["value"], seconds=seconds)

    def interrupt(self) -> None:
        """Ends what runs, so that the thread which waits for it wakes up."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pids[-1], signal.SIGKILL)

    def kill(self) -> None:
        """Ends the whole process group and frees the pipes."""
        self.interrupt()
        self.close_pipes()
        # The first process ends with its input, once it has waited for its fork: nobody else would.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # What is stuck in the kernel cannot be waited for and holds nothing of ours.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)

    def close_pipes(self) -> None:
        """Closes this process's ends of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _send(self, frame: bytes, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        view = memoryview(frame)
        while view:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise GoneError("host", f"worker {self.pid} took no input for {seconds:.0f} s")
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def _receive(self, call_id: int, seconds: float) -> Any:
        while True:
            message = self._frame(seconds)
            if "pid" in message:
                self._fork = message["pid"]
            elif "ended" in message:
                self._fork, self._answered = None, 0
                self._loaded.clear()  # what only the fork had loaded is loaded for good when it is asked for again
                raise self._gone(message["ended"], replaced=True)
            elif message.get("id") == call_id:
                return message
            elif message.get("id", call_id) > call_id:
                raise GoneError("crash", f"worker {self.pid} answered another call than {call_id}")

    def _frame(self, seconds: float) -> Any:
        header = self._take(HEADER.size, seconds)
        size = HEADER.unpack(header)[0]
        if size > MAX_FRAME_BYTES:
            raise GoneError("crash", f"worker {self.pid} sent a frame of {size} bytes")
        body = self._take(size, seconds)
        try:
            message = json.loads(body)
        except ValueError as error:
            raise GoneError("crash", f"worker {self.pid} sent no JSON: {error}") from error
        if not isinstance(message, dict):
            raise GoneError("crash", f"worker {self.pid} sent {str(message)[:40]!r}")
        return message

    def _take(self, size: int, seconds: float) -> bytes:
        start = time.monotonic()
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        limit = seconds
        while len(self._buffer) < size:
            if poll.poll(max(0.0, start + limit - time.monotonic()) * 1000):
                chunk = os.read(self._stdout, 1 << 16)
                if not chunk:
                    raise self._ended()
                self._buffer += chunk
            elif _process_state(self.pids[-1]) not in ("R", "D", "T"):
                raise GoneError("timeout", f"no answer in {limit:.1f} s")
            elif limit >= seconds * STARVED_FACTOR:
                raise GoneError("host", f"worker {self.pid} got no processor time in {limit:.0f} s")
            else:
                # Runnable, and the kernel has not ended it for its CPU time: the machine is busy, the item is not slow.
                limit = min(limit + seconds, seconds * STARVED_FACTOR)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _ended(self) -> GoneError:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return GoneError("crash", f"worker {self.pid} closed its pipe")
        return self._gone(code, replaced=False)

    def _gone(self, code: int, *, replaced: bool) -> GoneError:
        """Gives what an exit code says of the call."""
        if -code in (signal.SIGPROF, signal.SIGXCPU):
            return GoneError("timeout", "the limit of CPU seconds was passed", replaced=replaced)
        if -code == signal.SIGKILL:
            reason = f"worker {self.pid} was killed from outside (out of memory?)"
            return GoneError("host", reason, replaced=replaced)
        return GoneError("crash", f"worker {self.pid} ended with code {code}", replaced=replaced)
