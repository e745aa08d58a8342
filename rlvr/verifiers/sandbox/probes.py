"""Programs that try to get out: the self-test runs them, and none may reach what it reaches for.

Each prints REACHED where its act worked. `{secret}` is a file that anybody on the host may read, `{folder}` a folder
that anybody may write to, `{port}` a TCP port on 127.0.0.1 that listens, `{name}` an abstract socket that listens.
"""

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rlvr.verifiers.sandbox.box import Box
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.talk import BrokenError

REACHED = "reached"
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=20.0, memory_bytes=512 << 20, output_bytes=4096)
KNOWN = ("PATH", "LANG", "LC_CTYPE", "PYTHONHASHSEED", "HOME", "TMPDIR", "PWD", "OMP_NUM_THREADS",
         "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # fmt: skip

_SYSCALL = "import ctypes\ncall = ctypes.CDLL(None, use_errno=True).syscall\n"
ACTS: Mapping[str, str] = {
    "read a file of the host": "open({secret!r}).read()",
    "write to the host": "open({folder!r} + '/written', 'w').write('x')",
    "change the standard library": "import os\nopen(os.__file__, 'r+').close()",
    "read the host's environment": (
        f"import os\nassert set(os.environ) - set({KNOWN!r}) or open('/proc/1/environ').read(1) "
        "or open('/proc/self/environ').read(1)"
    ),
    "see other processes": "import os\nassert sum(p.isdigit() for p in os.listdir('/proc')) > 3",
    "connect by TCP": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)",
    "connect to an abstract socket": "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + {name!r})",
    "fork": "import os\nif os.fork() == 0: os._exit(0)",
    "start a program": "import os\nos.posix_spawn('/bin/true', ['true'], {{}})",
    "signal another process": "import os\nos.kill(os.getppid(), 0)",
    "read another process's memory": _SYSCALL + "import os\nassert call(310, os.getppid(), 0, 0, 0, 0, 0) == 0",
    "make a user namespace": "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "share memory": "import ctypes\nassert ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0",
    "take too much memory": "assert len(bytearray(1 << 30)) == 1 << 30",
    "leave a file behind": "import os\nfound = os.path.exists('left')\nopen('left', 'w').close()\nassert found",
}
TWICE = ("leave a file behind",)
HONEST = """
import asyncio, json, os, re, tempfile, threading
from collections import Counter
def work(found): found.append(sum(range(1000)))
found = []
threads = [threading.Thread(target=work, args=(found,)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
with tempfile.TemporaryFile("w+") as file:
    file.write("x"); file.seek(0); assert file.read() == "x"
assert asyncio.run(asyncio.sleep(0, 7)) == 7
print(json.dumps(sorted(Counter(map(int, input().split()))) + [len(found)]))
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """One act and whether the sandbox held: `what` was not done, or, for the honest run, was."""

    what: str
    held: bool
    said: str


@contextlib.contextmanager
def bait() -> Iterator[dict[str, object]]:
    """Gives what the acts reach for, there for anybody outside the sandbox."""
    with tempfile.TemporaryDirectory(prefix="rlvr-bait-") as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o777)
        secret = Path(folder, "secret")
        secret.write_text("secret")
        secret.chmod(0o644)
        port = 9
        with contextlib.suppress(OSError):  # a host without a loopback has nothing to connect to
            port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        name = f"rlvr-bait-{Path(folder).name}"
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind("\0" + name)
        abstract.listen()
        yield {"secret": str(secret), "folder": folder, "port": port, "name": name}


def honest(box: Box) -> Probe:
    """Runs the honest program."""
    job = Job("stdin", HONEST.encode(), LIMITS, stdin=b"3 1 2\n")
    ran, _ = box.run(job)
    held = ran.status == "ok" and ran.stdout.decode() == json.dumps([1, 2, 3, 8]) + "\n"
    return Probe("run an honest program", held, ran.error or ran.status)


def attack(box: Box) -> Iterator[Probe]:
    """Runs every act, the last one twice, and an honest program after them."""
    with bait() as there:
        for what, act in ACTS.items():
            job = Job("stdin", f"{act.format(**there)}\nprint({REACHED!r})\n".encode(), LIMITS)
            ran, _ = box.run(job)
            if what in TWICE:
                ran, _ = box.run(job)
            yield Probe(what, REACHED.encode() not in ran.stdout, ran.error or ran.status)
    yield honest(box)


def examine(box: Box) -> tuple[Probe, ...]:
    """Gives what the self-test found, beginning with the honest run; a sandbox that breaks under it has not held."""
    found: list[Probe] = []
    try:
        found.append(honest(box))
        found.extend(attack(box))
    except BrokenError as error:
        found.append(Probe("stay whole", False, str(error)))
    return tuple(found)
