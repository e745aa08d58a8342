"""Sandboxes for many runs at once: as many as there are cores, each serving one run at a time.

`run_stdin`, `run_calls` and `session` may be called from any thread, in asyncio through `asyncio.to_thread`. A sandbox
is started on first use and replaced after `MAX_RUNS` runs, or when something was left in it. One that breaks under a
run is replaced and the run is made once more; the second time counts against the program, because breaking the sandbox
must not be a way to go unjudged. Where no sandbox can be started, nothing is said of the program.
"""

import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence

from rlvr.errors import UsageError
from rlvr.verifiers.pool import usable_cores
from rlvr.verifiers.sandbox.box import Box
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.levels import HIGHEST, Assessment, assess, demand
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.ran import Ran, one_line
from rlvr.verifiers.sandbox.talk import BrokenError, Talk

QUEUE_SECONDS = 600.0
MAX_RUNS = 1000
MAX_SHARED = 8
"""How many shared pools keep their sandboxes between runs: one for each combination of packages, as a rule."""
TRIES = 2


class EndedError(Exception):
    """A session's program has ended before its time; `ran` says how."""

    def __init__(self, ran: Ran) -> None:
        super().__init__(f"{ran.status}: {ran.error}")
        self.ran = ran


class Slot:
    """A place for one run, and for those that a thread makes while it holds a session: one sandbox for each depth."""

    def __init__(self) -> None:
        self.boxes: dict[int, Box] = {}

    def drop(self, depth: int) -> None:
        """Ends the sandbox at a depth."""
        box = self.boxes.pop(depth, None)
        if box is not None:
            box.close()


class Session:
    """A program that has been executed and answers one frame at a time."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._is_whole = True
        self.ran: Ran | None = None
        """How it ended; there when the `with` block is over."""

    def call(self, frame: bytes) -> bytes:
        """Sends a frame and gives the reply. Raises EndedError where the program ends instead."""
        if self.ran is not None:
            raise EndedError(self.ran)
        with contextlib.suppress(BrokenError, OSError):
            self._talk.send(frame)
        return self.wait()

    def wait(self) -> bytes:
        """Gives the next reply. Raises EndedError where the program ends instead."""
        try:
            reply = self._talk.reply()
        except (BrokenError, OSError) as error:
            self.ran = _trouble(error)
            raise EndedError(self.ran) from error
        if reply is None:
            self._is_whole = False
            raise EndedError(self.finish())
        return reply

    def finish(self) -> Ran:
        """Ends the program if it has not ended and says how it did."""
        if self.ran is None:
            try:
                self.ran = self._talk.finish(lambda: self._is_whole)
            except (BrokenError, OSError) as error:
                self.ran = _trouble(error)
        return self.ran


class SandboxPool:
    """Sandboxes behind one queue. Close it, or leave that to the end of the program."""

    def __init__(
        self,
        workers: int | None = None,
        *,
        packages: Sequence[str] = (),
        level: int | None = None,
        allow_unsafe_execution: bool = False,
        python: str = "",
    ) -> None:
        """`packages` may be imported by the programs, `python` runs them (default: this one).

        The level is the highest that this machine has, or `level` where that is lower.

        Raises UsageError for fewer than one worker and for packages that are not there, VerifierError where the
        isolation is too weak.
        """
        count = usable_cores() if workers is None else workers
        if count < 1:
            raise UsageError(f"a sandbox pool of {count} workers was asked for; it needs at least 1")
        self.assessment: Assessment = assess(python, tuple(packages), HIGHEST if level is None else level)
        demand(self.assessment, allow_unsafe_execution=allow_unsafe_execution)
        self._slots = [Slot() for _ in range(count)]
        self._free: queue.LifoQueue[Slot] = queue.LifoQueue()
        for slot in self._slots:
            self._free.put(slot)
        self._held = threading.local()
        self._closed = False
        self._retired = False
        _pools.add(self)

    @property
    def level(self) -> int:
        """The level of isolation."""
        return self.assessment.level

    def run_stdin(self, program: str, stdin: bytes, limits: Limits) -> Ran:
        """Runs a program as a script with that standard input; "ok" means exit status 0."""
        return self._run(Job("stdin", _encoded(program), limits, stdin=stdin))[0]

    def run_calls(self, program: str, entry: str, calls: Sequence[bytes], limits: Limits) -> tuple[Ran, list[bytes]]:
        """Executes a program, then calls `entry` with each frame's [args, kwargs]; all in one process.

        A reply is the codec's ["value", value, arguments or None], ["raised", class, text] or ["unencodable", type].
        "ok" means that every call has its reply; otherwise there are those that came before the end. The arguments
        are the positional ones after the call, where it changed one of them. An `entry` such as "Solution.solve" is
        looked up on an instance. Every reply is the program's word.
        """
        return self._run(Job("calls", _encoded(program), limits, entry=entry, calls=tuple(calls)))

    @contextlib.contextmanager
    def session(self, program: str, limits: Limits, prelude: str = "") -> Iterator[Session]:
        """Executes a program and keeps it for `Session.call`, with the operations and preludes that driver.py names.

        A thread that holds a session and opens another takes the second one's sandbox beside the first one's, so that
        two that need each other never wait for a free worker. Nothing is tried again here, where a dialogue would have
        to be: who holds it may, once. Raises EndedError where the program fails at once.
        """
        job = Job("session", _encoded(program), limits, prelude=prelude)
        if refusal := job.refusal():
            raise EndedError(Ran("exception", error=refusal))
        with self._slot() as (slot, depth), contextlib.ExitStack() as stack:
            try:
                session = Session(stack.enter_context(self._box(slot, depth).talk(job)))
            except (BrokenError, OSError) as error:
                slot.drop(depth)
                raise EndedError(_trouble(error)) from error
            try:
                session.wait()
                yield session
            finally:
                session.finish()

    def close(self) -> None:
        """Ends all sandboxes; runs under way are ended too."""
        self._closed = True
        for slot in self._slots:
            for box in list(slot.boxes.values()):
                box.interrupt()
        self._end_idle()

    def retire(self) -> None:
        """Ends the sandboxes that no run is in; the others, and those of runs to come, end with their run."""
        self._retired = True
        self._end_idle()

    def _end_idle(self) -> None:
        taken: list[Slot] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._free.get_nowait())
        for slot in taken:
            for depth in list(slot.boxes):
                slot.drop(depth)
            self._free.put(slot)

    def pids(self) -> list[int]:
        """Gives the processes that were started and are up."""
        return [box.pid for slot in self._slots for box in list(slot.boxes.values())]

    def _run(self, job: Job) -> tuple[Ran, list[bytes]]:
        if refusal := job.refusal():
            return Ran("exception", error=refusal), []
        try:
            with self._slot() as (slot, depth):
                trouble: Exception | None = None
                for _ in range(TRIES):
                    try:
                        return self._box(slot, depth).run(job)
                    except (BrokenError, OSError) as error:
                        trouble = error
                        slot.drop(depth)
                assert trouble is not None
                return _trouble(trouble), []
        except EndedError as ended:
            return ended.ran, []

    @contextlib.contextmanager
    def _slot(self) -> Iterator[tuple[Slot, int]]:
        """Gives a slot for this thread alone, and how many runs this thread already has in it."""
        slot: Slot | None = getattr(self._held, "slot", None)
        depth = 0 if slot is None else self._held.depth + 1
        if slot is None:
            slot = self._wait_for_slot()
        self._held.slot, self._held.depth = slot, depth
        try:
            yield slot, depth
        finally:
            box = slot.boxes.get(depth)
            if box is not None and (box.worn or box.runs >= MAX_RUNS):
                slot.drop(depth)
            if depth:
                self._held.depth = depth - 1
            else:
                self._held.slot = None
                self._free.put(slot)
                if self._closed or self._retired:  # asked after the slot is free: who sets them ends what is free
                    self._end_idle()

    def _wait_for_slot(self) -> Slot:
        try:
            return self._free.get(timeout=QUEUE_SECONDS)
        except queue.Empty:
            raise EndedError(Ran("host_error", error=f"no sandbox was free for {QUEUE_SECONDS:.0f} s")) from None

    def _box(self, slot: Slot, depth: int) -> Box:
        if depth not in slot.boxes and not self._closed:
            slot.boxes[depth] = self.assessment.start()
        if self._closed:  # asked after the start: close() ends what it finds
            raise BrokenError("the sandbox pool is closed", starting=True)
        return slot.boxes[depth]


def _encoded(program: str) -> bytes:
    return program.encode("utf-8", "surrogatepass")


def _trouble(error: Exception) -> Ran:
    """Gives the result of a run whose sandbox failed twice, or could not be had."""
    under_the_run = isinstance(error, BrokenError) and not error.starting
    return Ran("sandbox_failure" if under_the_run else "host_error", error=one_line(str(error)))


_pools: "weakref.WeakSet[SandboxPool]" = weakref.WeakSet()
_shared: dict[tuple[object, ...], SandboxPool] = {}
"""The one that was asked for longest ago comes first."""
_shared_lock = threading.Lock()


def shared(
    workers: int | None = None,
    *,
    packages: Sequence[str] = (),
    level: int | None = None,
    allow_unsafe_execution: bool = False,
    python: str = "",
) -> SandboxPool:
    """Gives this process's pool of these settings; made on first use and closed at exit.

    Past `MAX_SHARED` of them the one that was asked for longest ago retires: who has it can go on using it.
    """
    key = (os.getpid(), workers, tuple(packages), level, allow_unsafe_execution, python)
    retired: list[SandboxPool] = []
    with _shared_lock:
        pool = _shared.pop(key, None) or SandboxPool(
            workers,
            packages=packages,
            level=level,
            allow_unsafe_execution=allow_unsafe_execution,
            python=python,
        )
        _shared[key] = pool
        while len(_shared) > MAX_SHARED:
            retired.append(_shared.pop(next(iter(_shared))))
    for old in retired:
        old.retire()
    return pool


def close_all() -> None:
    """Closes every pool of this process; the next `shared()` makes a new one."""
    pools = list(_pools)
    with _shared_lock:
        _shared.clear()
    for pool in pools:
        pool.close()


def _after_fork() -> None:
    """In a forked child: the sandboxes are the parent's, and the lock may be held by a thread that is not there."""
    global _shared_lock
    _shared_lock = threading.Lock()
    for pool in list(_pools):
        pool._closed = True
        for slot in pool._slots:
            for box in slot.boxes.values():
                box.forget()
    _kept.extend(_pools)
    _pools.clear()
    _shared.clear()


_kept: list[SandboxPool] = []
"""A parent's pools in its forked child: Python warns of a running process whose handle is dropped."""

atexit.register(close_all)
os.register_at_fork(after_in_child=_after_fork)
