"""Functions on hostile input, each in a process that can be killed: one bad item costs only itself.

`Pool.submit("package.module:function", payload)` gives a future of a `Reply`, from any thread; in asyncio await
`asyncio.wrap_future(...)`. The future never raises: what went wrong is the reply's `kind`. Each slot of the pool is a
thread with one worker of its own, started on first use: a process that imports, and a fork of it that calls. An item
has a limit of CPU seconds, which the kernel enforces, so that a loaded machine does not change verdicts, and a limit of
wall seconds for what sleeps.
A worker bounds time and memory; it is no fence against code that wants to reach files or the network.
"""

import atexit
import contextlib
import os
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.worker import pack
from rlvr.verifiers.worker_handle import GoneError, Job, Reply, Worker

QUEUE_SECONDS = 600.0
MAX_CALLS_PER_WORKER = 10_000
OTHERS_FIRST = 100
"""So many items that wait may go before a second try."""


class Pool:
    """Worker processes behind one bounded queue. Close it, or leave that to the end of the program."""

    def __init__(self, num_workers: int, *, memory_bytes: int = 2 << 30, queue_size: int = 100_000) -> None:
        if num_workers < 1:
            raise UsageError(f"a pool of {num_workers} workers was asked for; it needs at least 1")
        self._memory_bytes = memory_bytes
        self._jobs: queue.Queue[Job | None] = queue.Queue(queue_size)
        self._again: deque[tuple[int, Job]] = deque()
        self._taken = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._workers: dict[int, Worker] = {}
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
        timeout or the death of its worker an item is tried once more, behind OTHERS_FIRST others, in a fresh worker; a
        timeout in a worker that was fresh stands. Raises VerifierError for a closed pool, TypeError or ValueError for a
        payload that JSON cannot hold.
        """
        if self._closed.is_set():
            raise VerifierError("the worker pool is closed", hint="score before the pool is closed")
        pack(payload)
        wall = 2 * cpu_seconds + 1 if wall_seconds is None else wall_seconds
        job = Job(function, payload, cpu_seconds, wall, Future())
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
            worker.interrupt()
        for _ in self._threads:
            with contextlib.suppress(queue.Full):
                self._jobs.put_nowait(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=15)

    def leave_to_parent(self) -> None:
        """Frees, in a forked child, its copies of the pipes: the workers belong to the parent and end with it."""
        for worker in list(self._workers.values()):
            worker.close_pipes()

    def worker_pids(self) -> list[int]:
        """Gives the process ids of the workers that are up, each with its fork."""
        return [pid for worker in list(self._workers.values()) for pid in worker.pids]

    def _drain(self) -> None:
        while self._again:
            with contextlib.suppress(IndexError):  # a thread was faster
                self._again.popleft()[1].future.set_result(Reply("host", error="the pool was closed"))
        ends = 0
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is None:
                    ends += 1
                elif job.future.set_running_or_notify_cancel():
                    job.future.set_result(Reply("host", error="the pool was closed"))
        for _ in range(ends):
            self._jobs.put(None)

    def _serve(self, slot: int) -> None:
        while (job := self._next()) is not None:
            if not job.tried_seconds and not job.future.set_running_or_notify_cancel():
                continue
            try:
                reply = self._answer(slot, job)
            except Exception as error:  # a fault of ours must reach the caller, not end the slot
                self._discard(slot)
                reply = Reply("host", error=f"the pool failed: {type(error).__name__}: {error}")
            if reply is not None:
                job.future.set_result(reply)
            if self._closed.is_set():
                break
        self._discard(slot)

    def _next(self) -> Job | None:
        """Gives the next item: a second try once enough others went before it, or where nothing else waits."""
        while True:
            with self._lock:
                waits = bool(self._again)
                if waits and (self._jobs.empty() or self._taken - self._again[0][0] >= OTHERS_FIRST):
                    return self._again.popleft()[1]
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(block=not waits)
                self._taken += 1
                return job

    def _answer(self, slot: int, job: Job) -> Reply | None:
        """Gives the reply, or None where the item waits for its second try."""
        start = time.monotonic()
        fresh = False
        try:
            worker = self._ready_worker(slot, renewed=job.tried_seconds > 0)
            fresh = worker.fresh
            if fault := worker.load(job.function):
                return Reply("error", error=fault)
            reply = worker.call(job)
        except GoneError as gone:
            if not gone.replaced:
                self._discard(slot)
            seconds = job.tried_seconds + time.monotonic() - start
            if self._closed.is_set():
                return Reply("host", error=gone.error, seconds=seconds)
            if job.tried_seconds or (fresh and gone.kind == "timeout"):
                return Reply(gone.kind, error=gone.error, seconds=seconds)
            self._again.append((self._taken, replace(job, tried_seconds=seconds)))
            if self._closed.is_set():
                self._drain()
            return None
        if reply.kind == "memory" or worker.calls >= MAX_CALLS_PER_WORKER:
            self._discard(slot)
        return reply

    def _ready_worker(self, slot: int, *, renewed: bool) -> Worker:
        if renewed and slot in self._workers and not self._workers[slot].fresh:
            self._workers[slot].renew()
            if not self._workers[slot].fresh:  # one that cannot fork
                self._discard(slot)
        if slot not in self._workers:
            worker = Worker(self._memory_bytes)
            self._workers[slot] = worker
            if self._closed.is_set():
                raise GoneError("host", "the pool was closed")
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
            _shared[os.getpid()] = Pool(_shared_size or usable_cores())
        return _shared[os.getpid()]


def close_shared() -> None:
    """Closes the pool of this process; the next `shared()` makes a new one."""
    with _shared_lock:
        pool = _shared.pop(os.getpid(), None)
    if pool is not None:
        pool.close()


def _after_fork() -> None:
    """In a forked child: none of the parent's threads is there to serve its pool or to give back the lock.

    The parent's pool stays in the table: Python warns of a running process whose handle is dropped.
    """
    global _shared_lock
    _shared_lock = threading.Lock()
    for pool in _shared.values():
        pool.leave_to_parent()


atexit.register(close_shared)
os.register_at_fork(after_in_child=_after_fork)


def usable_cores() -> int:
    """Gives how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
