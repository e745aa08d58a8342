"""One run while it lasts: the socket to its child, what came back over it, and the clock."""

import contextlib
import math
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from rlvr.verifiers.sandbox.job import LENGTH, Files, Job, told
from rlvr.verifiers.sandbox.limits import RESULT_FRAMES
from rlvr.verifiers.sandbox.ran import Ran, Status

READ_BYTES = 1 << 16
ANSWER_SECONDS = 20.0
"""How long the fork server may take to end a run that it was told to end."""
CPU_COUNTED_SECONDS = 0.3
"""How far the CPU time that the kernel reports may lie below the one that it limited."""
STARVED_FACTOR = 10.0
"""How many times its wall limit a run may last on a host that does not let it run."""
LAST_WORD_SECONDS = 1.0
"""How long a child that has answered everything, or hung up, may take to end by itself."""


class BrokenError(Exception):
    """The sandbox is of no use any more: under a run, or (`starting`) before any."""

    def __init__(self, message: str, *, starting: bool = False) -> None:
        super().__init__(message)
        self.starting = starting


class Server(Protocol):
    """What a talk needs of the fork server's handle."""

    @property
    def control(self) -> int:
        """The descriptor that becomes readable when the fork server has a message."""

    def report(self, deadline: float) -> dict[str, Any]:
        """Gives the report of the run, waiting until the deadline."""

    def ask_to_kill(self) -> None:
        """Asks the fork server to end the run."""

    def starved_seconds(self) -> float:
        """How long the run has stood ready without getting a core; 0 where the kernel does not say."""


class Talk:
    """Frames to and from one child. Every wait ends at the run's deadline, every frame is capped before it is read."""

    def __init__(self, server: Server, job: Job, files: Files, data: socket.socket) -> None:
        self._server, self._job, self._files, self._data = server, job, files, data
        self._began = time.monotonic()
        self._wall = job.limits.deadline_seconds
        self._until = self._began + self._wall
        self._room = RESULT_FRAMES * job.limits.result_bytes
        self._buffer = bytearray()
        self._open = True
        self._report: dict[str, Any] | None = None
        self._seconds = 0.0
        self._flaw: Status | None = None
        self._error = ""
        self.ran: Ran | None = None

    def replies(self, number: int) -> list[bytes]:
        """Gives so many replies, fewer where the run ends before."""
        found: list[bytes] = []
        while len(found) < number and (reply := self.reply()) is not None:
            found.append(reply)
        return found

    def reply(self) -> bytes | None:
        """Gives the next reply; None where none will come."""
        while (frame := self._take()) is None:
            if self._flaw is not None or not self._more():
                return None
        if frame[:1] == b"R":
            return frame[1:]
        self._error = frame[1:].decode("utf-8", errors="replace")
        return None

    def send(self, frame: bytes) -> None:
        """Sends one frame; what the child does not take until the deadline is dropped."""
        view = memoryview(LENGTH.pack(len(frame)) + frame)
        while view:
            try:
                view = view[self._data.send(view, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                if self._left() <= 0:
                    self._flaw = "timeout"
                    return
                ready([self._data.fileno()], self._left(), select.POLLOUT)
            except OSError:
                return

    def finish(self, is_complete: Callable[[], bool]) -> Ran:
        """Waits for the end of a script, ends what does not end, and gives the result."""
        if self._job.mode == "stdin":
            self.reply()
            while self._flaw is None and self._report is None and self._left() > 0:
                self._await_report(self._left())
        elif self._report is None and self._flaw is None:
            with contextlib.suppress(OSError):
                self._data.shutdown(socket.SHUT_WR)
            self._await_report(min(LAST_WORD_SECONDS, self._left()))
        complete = is_complete()
        if self._report is None:
            if self._left() <= 0 and not (complete and self._job.mode != "stdin"):
                self._flaw = self._flaw or "timeout"
            self._server.ask_to_kill()
            self._seconds = time.monotonic() - self._began
            self._report = self._server.report(time.monotonic() + ANSWER_SECONDS)
        if self._was_killed_from_outside(self._report):
            raise BrokenError("the run was killed from outside")
        self.ran = told(
            self._job, self._report, self._files, self._error, flaw=self._flaw, complete=complete, seconds=self._seconds
        )
        return self.ran

    def _was_killed_from_outside(self, report: dict[str, Any]) -> bool:
        """No run can kill itself, nor did the fork server, and the kernel's CPU limit was not reached."""
        reached = math.ceil(self._job.limits.cpu_seconds) - CPU_COUNTED_SECONDS
        return report["code"] == -signal.SIGKILL and not report["killed"] and float(report["cpu"]) < reached

    def _left(self) -> float:
        """Gives the seconds until the deadline, which moves by what a busy host has kept the run from: that is no fault
        of the program. Who stands ready to run gets the rest sooner or later, and then the CPU limit ends it."""
        left = self._until - time.monotonic()
        if left <= 0 and self._report is None:
            allowed = min(self._wall + self._server.starved_seconds(), self._wall * STARVED_FACTOR)
            self._until = self._began + allowed
            left = self._until - time.monotonic()
        return left

    def _take(self) -> bytes | None:
        """Takes one whole frame from what has been read."""
        if len(self._buffer) < LENGTH.size:
            return None
        length = LENGTH.unpack_from(self._buffer)[0]
        if not 1 <= length <= self._job.limits.result_bytes + 1:
            self._flaw, self._error = "output_limit", f"a reply of {length} bytes"
            return None
        if len(self._buffer) < LENGTH.size + length:
            return None
        frame = bytes(self._buffer[LENGTH.size : LENGTH.size + length])
        del self._buffer[: LENGTH.size + length]
        return frame

    def _more(self) -> bool:
        """Waits for more bytes; False when the child has hung up, time is over or there were too many.

        When the run has ended, so has every process that held the other end: what is left is read, then comes the end.
        """
        while self._open:
            watched = [self._data.fileno()] if self._report else [self._data.fileno(), self._server.control]
            left = self._left()
            if left <= 0 and self._report is None:
                self._flaw = self._flaw or "timeout"
                return False
            found = ready(watched, left)
            if self._data.fileno() in found:
                return self._receive()
            if found:
                self._await_report()
            elif self._report is not None:
                return False
        return False

    def _receive(self) -> bool:
        try:
            part = self._data.recv(READ_BYTES)
        except OSError:
            part = b""
        self._open = bool(part)
        self._room -= len(part)
        self._buffer += part
        if self._room < 0:
            self._flaw, self._error = "output_limit", "too many bytes of replies"
        return self._open and self._room >= 0

    def _await_report(self, seconds: float = 0.0) -> None:
        if ready([self._server.control], seconds):
            self._seconds = time.monotonic() - self._began
            self._report = self._server.report(time.monotonic() + ANSWER_SECONDS)


def ready(descriptors: list[int], seconds: float, what: int = select.POLLIN) -> set[int]:
    """Gives which of the descriptors are ready, waiting at most so long."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, what)
    return {number for number, _ in poll.poll(max(0.0, seconds) * 1000 + 1)}
