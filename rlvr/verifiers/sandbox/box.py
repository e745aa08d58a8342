"""The trusted side's handle of one fork server: starts it, hands runs over, ends it.

Used by one thread at a time. Every wait has a deadline.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvr.verifiers.sandbox.job import Job, files_of
from rlvr.verifiers.sandbox.launch import Launch
from rlvr.verifiers.sandbox.ran import Ran
from rlvr.verifiers.sandbox.talk import ANSWER_SECONDS, BrokenError, Talk, ready

START_SECONDS = 60.0
MAX_MESSAGE = 1 << 16
CREDENTIALS = struct.Struct("3i")
"""What the kernel says of a sender: process, user, group."""


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
        self.pid = 0
        """The fork server, as this side sees it; bubblewrap, which started it, is another process and waits for it."""
        self._pidfd = -1
        self._waited_before = 0.0
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
        """Sends the settings and waits for the fork server, whose process id the kernel tells with its first word."""
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._control.send(json.dumps(dict(self._launch.settings)).encode())
        if not ready([self.control], START_SECONDS):
            raise BrokenError("it said nothing")
        text, ancillary, _, _ = self._control.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(CREDENTIALS.size))
        if not text:
            raise BrokenError("it ended at once")
        facts = json.loads(text)
        if "error" in facts:
            raise BrokenError(str(facts["error"]))
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        self.pid = CREDENTIALS.unpack(ancillary[0][2])[0]
        self._pidfd = os.pidfd_open(self.pid)
        return dict(facts)

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
                self._waited_before = waited_seconds(Path(f"/proc/{self.pid}"))
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

    def starved_seconds(self) -> float:
        """How long fork server and run have stood ready without getting a core; 0 where the kernel does not say.

        Of the run's threads the one that waited longest counts.
        """
        longest = 0.0
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                for thread in Path(f"/proc/{child}/task").iterdir():
                    longest = max(longest, waited_seconds(thread))
        return longest + max(0.0, waited_seconds(Path(f"/proc/{self.pid}")) - self._waited_before)

    def report(self, deadline: float) -> dict[str, Any]:
        """Gives the report of a run that is over or was told to end. Raises BrokenError where none comes."""
        report = self._message(deadline)
        self.worn = self.worn or not report["clean"]
        if report["fault"]:
            raise BrokenError(str(report["fault"]), starting=True)
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
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._kill()

    def _kill(self) -> None:
        """Kills the fork server and with it, as process 1, all that it has; bubblewrap may not signal its user."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the fork server and all that it holds, and frees what the handle has."""
        self._kill()
        self._control.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ANSWER_SECONDS)
        if self._pidfd >= 0:
            ready([self._pidfd], ANSWER_SECONDS)
        if self._launch.box:
            remove_tree(self._launch.box)
        self.forget()

    def forget(self) -> None:
        """Frees this process's copies of the descriptors: in a forked child, the fork server belongs to the parent."""
        self._control.close()
        for descriptor in (self._errors, self._pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self._errors = self._pidfd = -1


def waited_seconds(process: Path) -> float:
    """Gives how long a process or thread has stood ready without a core: the second number of its schedstat."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((process / "schedstat").read_text().split()[1]) / 1e9
    return 0.0


def remove_tree(folder: str) -> None:
    """Removes a folder and all in it, however deep it is and whatever a run has closed to its owner."""
    waiting = [folder]
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
        while waiting:
            path = waiting.pop()
            with os.scandir(path) as found:
                entries = list(found)
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                # To the top with it: a deep path would be too long for the kernel.
                waiting.append(os.path.join(folder, f"rlvr-{secrets.token_hex(8)}"))
                os.rename(entry.path, waiting[-1])
            if path != folder:
                os.rmdir(path)
        os.rmdir(folder)
