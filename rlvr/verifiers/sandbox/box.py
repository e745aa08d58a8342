"""The trusted side's handle of one fork server: starts it, hands runs over, ends it.

Used by one thread at a time. Every wait has a deadline.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from rlvr.verifiers.sandbox.job import Job, files_of
from rlvr.verifiers.sandbox.launch import Launch
from rlvr.verifiers.sandbox.ran import Ran
from rlvr.verifiers.sandbox.talk import ANSWER_SECONDS, Talk, ready

START_SECONDS = 60.0
MAX_MESSAGE = 1 << 16


class BrokenError(Exception):
    """The sandbox is of no use any more: under a run, or (`starting`) before any."""

    def __init__(self, message: str, *, starting: bool = False) -> None:
        super().__init__(message)
        self.starting = starting


class Box:
    """One fork server, its control socket and its folder on the host where it has one."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self.runs = 0
        self.worn = False
        """Something was left behind that could not be removed: no further run belongs here."""
        self._errors = os.memfd_create("sandbox-errors", os.MFD_CLOEXEC)
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with its:
                self._process = subprocess.Popen(
                    [*launch.command, str(its.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    env=dict(launch.environment),
                    pass_fds=[its.fileno()],
                    start_new_session=True,
                )
            self.facts = self._start()
        except (OSError, BrokenError) as error:
            said = self._said() or str(error)
            self.close()
            raise BrokenError(f"the sandbox did not start: {said}", starting=True) from error

    def _start(self) -> dict[str, Any]:
        self._control.send(json.dumps(dict(self._launch.settings)).encode())
        facts = self._message(time.monotonic() + START_SECONDS)
        if "error" in facts:
            raise BrokenError(str(facts["error"]))
        return facts

    @property
    def pid(self) -> int:
        """The process that was started: bubblewrap, or the fork server itself."""
        return self._process.pid if self._process else 0

    def run(self, job: Job) -> tuple[Ran, list[bytes]]:
        """Makes one run; gives how it ended and its replies. Raises BrokenError when the sandbox fails under it."""
        with self.talk(job) as talk:
            replies = talk.replies(len(job.calls))
            return talk.finish(lambda: len(replies) == len(job.calls)), replies

    @contextlib.contextmanager
    def talk(self, job: Job) -> Iterator[Talk]:
        """Hands a job over and gives the talk with its child; the run is over when the block ends."""
        with files_of(job) as files:
            mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            mine.setblocking(False)
            with mine:
                with its:
                    handed = [files.job, files.stdin, files.stdout, files.stderr, its.fileno()]
                    try:
                        socket.send_fds(self._control, [job.order(self._launch.headroom)], handed)
                    except OSError as error:
                        raise BrokenError(f"the fork server is gone: {error}") from error
                self.runs += 1
                talk = Talk(self, job, files, mine)
                try:
                    yield talk
                finally:
                    if talk.ran is None:
                        self.worn = True

    @property
    def control(self) -> int:
        """The descriptor that becomes readable when the fork server has a message."""
        return self._control.fileno()

    def ask_to_kill(self) -> None:
        """Asks the fork server to end the run."""
        with contextlib.suppress(OSError):
            self._control.send(b'{"do": "kill"}')

    def report(self, deadline: float) -> dict[str, Any]:
        """Gives the report of a run that is over or was told to end. Raises BrokenError where none comes."""
        report = self._message(deadline)
        self.worn = self.worn or not report["clean"]
        if report["fault"]:
            raise BrokenError(str(report["fault"]))
        return report

    def _message(self, deadline: float) -> dict[str, Any]:
        while True:
            try:
                text = self._control.recv(MAX_MESSAGE)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise BrokenError("the fork server does not answer") from None
                ready([self._control.fileno()], left)
                continue
            if not text:
                raise BrokenError(f"the fork server ended. {self._said()}".strip())
            return dict(json.loads(text))

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return os.pread(self._errors, 2000, 0).decode("utf-8", errors="replace").strip()
        return ""

    def interrupt(self) -> None:
        """Kills the fork server while another thread may be using it; that one finds out and closes the handle."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the fork server and all that it holds, and frees what the handle has."""
        self._control.close()
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ANSWER_SECONDS)
        if self._launch.box:
            shutil.rmtree(self._launch.box, ignore_errors=True)
        self.forget()

    def forget(self) -> None:
        """Frees this process's copies of the descriptors: in a forked child, the fork server belongs to the parent."""
        self._control.close()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
