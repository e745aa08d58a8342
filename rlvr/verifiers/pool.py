"""Functions on hostile input, each in a process that can be killed: one bad item costs only itself.

`Pool.submit("package.module:function", payload)` gives a future of a `Reply`, from any thread; in asyncio await
`asyncio.wrap_future(...)`. The future never raises: what went wrong is the reply's `kind`. Each slot of the pool is a
thread with one worker process of its own, started on first use. An item has a limit of CPU seconds, which the kernel
enforces, so that a loaded machine does not change verdicts, and a limit of wall seconds for what sleeps.
A worker bounds time and memory; it is no fence against code that wants to reach files or the network.
"""

import atexit
import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.worker import HEADER, MAX_FRAME_BYTES, pack

Kind = Literal["value", "error", "timeout", "memory", "crash", "host"]
"""value: what the function gave; error: it raised; timeout, memory: over a limit; crash: the process died, twice;
host: the machine, not the item, is at fault (no worker could start, one was killed from outside or starved)."""

START_SECONDS = 120.0
QUEUE_SECONDS = 600.0
STARVED_FACTOR = 10.0
MAX_CALLS_PER_WORKER = 10_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one item: `value` where `kind` is "value", otherwise the `error` in words.

    `seconds` count from the moment when a worker took the item; both attempts where there were two.
    """

    kind: Kind
    value: Any = None
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Job:
    function: str
    payload: Any
    cpu_seconds: float
    wall_seconds: float
    future: "Future[Reply]"


class _GoneError(Exception):
    """The worker ended or passed a limit; `kind` says how."""

    def __init__(self, kind: Kind, error: str) -> None:
        super().__init__(error)
        self.kind: Kind = kind
        self.error = error


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


class _Worker:
    """One worker process and the two pipes to it; used by one thread only."""

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
            raise _GoneError("host", f"a worker process cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        self.pid = self._process.pid

    def start(self) -> None:
        """Waits until the process is ready."""
        try:
            self._receive(0, START_SECONDS)
        except _GoneError as gone:
            raise _GoneError("host", f"a worker did not start: {gone.error}") from gone

    def load(self, function: str) -> str:
        """Imports the function's module in the worker, off the item's clock; gives the error in words, or ""."""
        if function in self._loaded:
            return ""
        self.calls += 1
        try:
            self._send(pack({"id": self.calls, "function": function}), START_SECONDS)
            message = self._receive(self.calls, START_SECONDS)
        except _GoneError as gone:
            raise _GoneError("host", f"{function} was not loaded: {gone.error}") from gone
        if "error" in message:
            return f"{function} cannot be loaded: {message['error']}"
        self._loaded.add(function)
        return ""

    def call(self, job: _Job) -> Reply:
        """Gives the reply to one job. Raises _GoneError where the worker died or had to be given up."""
        self.calls += 1
        call = {"id": self.calls, "function": job.function, "payload": job.payload, "cpu_seconds": job.cpu_seconds}
        start = time.monotonic()
        self._send(pack(call), job.wall_seconds)
        message = self._receive(self.calls, job.wall_seconds)
        seconds = time.monotonic() - start
        if "error" in message:
            return Reply(message["kind"], error=message["error"], seconds=seconds)
        return Reply("value", message["value"], seconds=seconds)

    def kill(self) -> None:
        """Ends the whole process group and frees the pipes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # stuck in the kernel; it cannot be waited for and holds nothing of ours
            return

    def _send(self, frame: bytes, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        view = memoryview(frame)
        while view:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise _GoneError("host", f"worker {self.pid} took no input for {seconds:.0f} s")
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def _receive(self, call_id: int, seconds: float) -> Any:
        header = self._take(HEADER.size, seconds)
        size = HEADER.unpack(header)[0]
        if size > MAX_FRAME_BYTES:
            raise _GoneError("crash", f"worker {self.pid} sent a frame of {size} bytes")
        body = self._take(size, seconds)
        try:
            message = json.loads(body)
        except ValueError as error:
            raise _GoneError("crash", f"worker {self.pid} sent no JSON: {error}") from error
        if not isinstance(message, dict) or message.get("id") != call_id:
            raise _GoneError("crash", f"worker {self.pid} answered another call than {call_id}")
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
            elif _process_state(self.pid) not in ("R", "D", "T"):
                raise _GoneError("timeout", f"no answer in {limit:.1f} s")
            elif limit >= seconds * STARVED_FACTOR:
                raise _GoneError("host", f"worker {self.pid} got no processor time in {limit:.0f} s")
            else:
                # Runnable, and the kernel has not ended it for its CPU time: the machine is busy, the item is not slow.
                limit = min(limit + seconds, seconds * STARVED_FACTOR)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _ended(self) -> _GoneError:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return _GoneError("crash", f"worker {self.pid} closed its pipe")
        if -code in (signal.SIGPROF, signal.SIGXCPU):
            return _GoneError("timeout", "the limit of CPU seconds was passed")
        if -code == signal.SIGKILL:
            return _GoneError("host", f"worker {self.pid} was killed from outside (out of memory?)")
        return _GoneError("crash", f"worker {self.pid} ended with code {code}")


class Pool:
    """Worker processes behind one bounded queue. Close it, or leave that to the end of the program."""

    def __init__(self, num_workers: int, *, memory_bytes: int = 2 << 30, queue_size: int = 100_000) -> None:
        if num_workers < 1:
            raise UsageError(f"a pool of {num_workers} workers was asked for; it needs at least 1")
        self._memory_bytes = memory_bytes
        self._jobs: queue.Queue[_Job | None] = queue.Queue(queue_size)
        self._closed = threading.Event()
        self._workers: dict[int, _Worker] = {}
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"rlvr-pool-{slot}", daemon=True)
            for slot in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, function: str, payload: Any, *, cpu_seconds: float = 5.0, wall_seconds: float | None = None
    ) -> "Future[Reply]":
        """Gives a future of the reply to `function(payload)`, called in a worker; both ways it travels as JSON.

        `wall_seconds` (default 2 × cpu_seconds + 1) counts from the moment when a ready worker takes the item. After a
        timeout or the death of its worker an item is tried once more in a fresh one. Raises VerifierError for a closed
        pool, TypeError or ValueError for a payload that JSON cannot hold.
        """
        if self._closed.is_set():
            raise VerifierError("the worker pool is closed", hint="score before the pool is closed")
        pack(payload)
        wall = 2 * cpu_seconds + 1 if wall_seconds is None else wall_seconds
        job = _Job(function, payload, cpu_seconds, wall, Future())
        try:
            self._jobs.put(job, timeout=QUEUE_SECONDS)
        except queue.Full:
            job.future.set_result(Reply("host", error=f"the pool's queue stayed full for {QUEUE_SECONDS:.0f} s"))
        if self._closed.is_set():
            self._drain()
        return job.future

    def close(self) -> None:
        """Ends all workers; what is still queued gets a reply of kind "host"."""
        self._closed.set()
        self._drain()
        for worker in list(self._workers.values()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.pid, signal.SIGKILL)
        for _ in self._threads:
            with contextlib.suppress(queue.Full):
                self._jobs.put_nowait(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=15)

    def worker_pids(self) -> list[int]:
        """Gives the process ids of the workers that are up."""
        return [worker.pid for worker in list(self._workers.values())]

    def _drain(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None and job.future.set_running_or_notify_cancel():
                    job.future.set_result(Reply("host", error="the pool was closed"))

    def _serve(self, slot: int) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                reply = self._answer(slot, job)
            except Exception as error:  # a fault of ours must reach the caller, not end the slot
                self._discard(slot)
                reply = Reply("host", error=f"the pool failed: {type(error).__name__}: {error}")
            job.future.set_result(reply)
            if self._closed.is_set():
                break
        self._discard(slot)

    def _answer(self, slot: int, job: _Job) -> Reply:
        start = time.monotonic()
        for attempt in (1, 2):
            try:
                worker = self._ready_worker(slot)
                if fault := worker.load(job.function):
                    return Reply("error", error=fault)
                reply = worker.call(job)
            except _GoneError as gone:
                self._discard(slot)
                if attempt == 2 or self._closed.is_set():
                    kind: Kind = "host" if self._closed.is_set() else gone.kind
                    return Reply(kind, error=gone.error, seconds=time.monotonic() - start)
                continue
            if reply.kind == "memory" or worker.calls >= MAX_CALLS_PER_WORKER:
                self._discard(slot)
            return reply
        raise AssertionError("two attempts always end in a reply")

    def _ready_worker(self, slot: int) -> _Worker:
        if slot not in self._workers:
            worker = _Worker(self._memory_bytes)
            self._workers[slot] = worker
            if self._closed.is_set():
                raise _GoneError("host", "the pool was closed")
            worker.start()
        return self._workers[slot]

    def _discard(self, slot: int) -> None:
        worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.kill()


_shared_lock = threading.Lock()
_shared: dict[int, Pool] = {}
_shared_size = 0


def configure_shared(num_workers: int) -> None:
    """Sets how many workers `shared()` has from its next call on; 0 is one per usable core."""
    global _shared_size
    if num_workers != _shared_size:
        _shared_size = num_workers
        close_shared()


def shared() -> Pool:
    """Gives the pool of this process, sized by `configure_shared`; made on first use and closed at exit."""
    with _shared_lock:
        if os.getpid() not in _shared:
            # A fork has the parent's table but none of its threads.
            _shared.clear()
            _shared[os.getpid()] = Pool(_shared_size or usable_cores())
        return _shared[os.getpid()]


def close_shared() -> None:
    """Closes the pool of this process; the next `shared()` makes a new one."""
    with _shared_lock:
        pool = _shared.pop(os.getpid(), None)
    if pool is not None:
        pool.close()


atexit.register(close_shared)


def usable_cores() -> int:
    """Gives how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
