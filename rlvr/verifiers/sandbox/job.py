"""A run as it is handed over: sealed files in memory that go in, what comes out, and the end of the story in words.

Standard output and error go to files in memory too, which the file size limit bounds, so that nobody has to read along.
"""

import contextlib
import fcntl
import json
import math
import os
import signal
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.ran import Ran, Status, one_line, shown

LENGTH = struct.Struct(">I")
Mode = Literal["stdin", "calls", "session"]
MAX_PROGRAM_BYTES = 1 << 20
MAX_JOB_BYTES = 64 << 20
LATER_FACTOR = 12.0
"""The fork server keeps a clock too, in case that the trusted side is stopped; no run lasts so long otherwise."""
SLACK_SECONDS = 0.05
"""What the waiting child has used of its CPU time before the program begins, at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make. A session may have a `prelude`, which driver.py knows by its name."""

    mode: Mode
    program: bytes
    limits: Limits
    entry: str = ""
    calls: Sequence[bytes] = ()
    stdin: bytes = b""
    prelude: str = ""

    def refusal(self) -> str:
        """Says why the job is not even tried; "" where it is."""
        if len(self.program) > MAX_PROGRAM_BYTES:
            return f"the program has {len(self.program)} bytes; at most {MAX_PROGRAM_BYTES} are run"
        size = sum(len(call) + LENGTH.size for call in self.calls) + len(self.stdin)
        return f"the inputs have {size} bytes; at most {MAX_JOB_BYTES} are handed over" if size > MAX_JOB_BYTES else ""

    def order(self, headroom: int) -> bytes:
        """Gives the message that the fork server reads: limits, nothing of the submission.

        `headroom` is how many processes its user has beside the run: the kernel counts them together.
        """
        limits = self.limits
        order = {
            "do": "run",
            "cpu": math.ceil(limits.cpu_seconds),
            "memory": limits.memory_bytes,
            "file": max(limits.file_bytes, limits.output_bytes + 1),
            "threads": limits.threads + headroom,
            "wall": limits.deadline_seconds * LATER_FACTOR,
        }
        return json.dumps(order).encode()

    def frames(self) -> bytes:
        """Gives what the child reads: a header, the program, the calls."""
        header = {
            "mode": self.mode,
            "entry": self.entry,
            "result_bytes": self.limits.result_bytes,
            "prelude": self.prelude,
        }
        parts = [json.dumps(header).encode(), self.program, *self.calls]
        return b"".join(LENGTH.pack(len(part)) + part for part in parts)


@dataclass(frozen=True, slots=True)
class Files:
    """The descriptors of one run's files in memory."""

    job: int
    stdin: int
    stdout: int
    stderr: int


@contextlib.contextmanager
def files_of(job: Job) -> Iterator[Files]:
    """Gives the files of a run and closes them afterwards."""
    made: list[int] = []
    try:
        for name, content in (("job", job.frames()), ("stdin", job.stdin)):
            made.append(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
            _write(made[-1], content)
            fcntl.fcntl(made[-1], fcntl.F_ADD_SEALS, _seals())
        made += [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdout", "stderr")]
        yield Files(*made)
    finally:
        for descriptor in made:
            os.close(descriptor)


def _seals() -> int:
    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)


def read_output(descriptor: int, most: int) -> tuple[bytes, int]:
    """Gives the first bytes of a file, at most `most`, and its whole size."""
    return os.pread(descriptor, most, 0), os.fstat(descriptor).st_size


def told(
    job: Job,
    report: dict[str, Any],
    files: Files,
    error: str,
    *,
    flaw: Status | None,
    complete: bool,
    seconds: float,
) -> Ran:
    """Puts what the fork server reported, what was printed and what came back into one result.

    `flaw` is what the trusted side ended the run for. `complete` says whether all that was asked for has come back; a
    script has its exit status instead.
    """
    limits = job.limits
    stdout, num_stdout = read_output(files.stdout, limits.output_bytes)
    stderr, num_stderr = read_output(files.stderr, limits.output_bytes)
    code, cpu, killed = report["code"], float(report["cpu"]), report["killed"]
    used_up = code == -signal.SIGKILL and not killed
    slow = cpu > limits.cpu_seconds + SLACK_SECONDS or code == -signal.SIGXCPU or used_up
    status: Status
    if flaw == "timeout" or slow:
        status, error = "timeout", f"{cpu:.2f} s of CPU and {seconds:.2f} s of wall time"
    elif flaw is not None:
        status = flaw
    elif num_stdout + num_stderr > limits.output_bytes:
        status, error = "output_limit", f"{num_stdout + num_stderr} bytes of output; at most {limits.output_bytes}"
    elif code == 0 if job.mode == "stdin" else complete:
        status, error = "ok", ""
    elif error.startswith("MemoryError"):
        status = "memory"
    elif code is not None and code < 0 and not killed:
        status, error = "crash", f"ended by signal {-code}"
    else:
        status, error = "exception", error or ("it hung up" if killed else f"exit status {code}")
    return Ran(status, stdout, shown(stderr), cpu, seconds, code, one_line(error))
