"""Attacks beside the shared corpus: programs that print REACHED only where their act worked, and how they are run.

Run as a script with a level it makes all of them, as the user who runs it, and prints what failed.
"""

import json
import sys
import time

from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
from rlvr.verifiers.sandbox.ran import Ran

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=15.0)
SHORT = Limits(cpu_seconds=1.0, wall_seconds=2.0)

PRELUDE = """
import ctypes, errno, fcntl, os, resource, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
"""

ACTS = {
    "have the kernel send a signal (F_SETOWN)": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "choose the signal that the kernel sends (F_SETSIG)": "fcntl.fcntl(0, 10, signal.SIGKILL)",
    "be dumpable again": "assert libc.prctl(4, 1, 0, 0, 0) == 0",
    "outlive its parent": "assert libc.prctl(1, 0, 0, 0, 0) == 0",
    "adopt orphans": "assert libc.prctl(36, 1, 0, 0, 0) == 0",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))",
    "raise the limits of others": "assert call(302, os.getppid(), 7, 0, 0) == 0",
    "clone a process": "assert call(56, 17, 0, 0, 0, 0) >= 0",
    "clone3 a process": "assert call(435, ctypes.create_string_buffer(88), 88) >= 0",
    "vfork": "assert call(58) >= 0",
    "clone a thread into a new user namespace": "assert call(56, 0x10010900, 0, 0, 0, 0) >= 0",
    "make a file to execute in memory": "os.memfd_create('x')",
    "execute by descriptor": "os.execve(os.open(sys.executable, os.O_RDONLY), ['python'], {})",
    "set up io_uring": "assert call(425, 8, ctypes.create_string_buffer(120)) >= 0",
    "call by the numbers of x32": "assert call(0x40000000 | 57) >= 0",
    "become root": "os.setuid(0)",
    "change groups": "os.setgroups([0])",
    "mount": "assert libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "pivot the root": "assert call(155, b'/', b'/tmp') == 0",
    "enter a namespace": "assert call(308, 0, 0) == 0",
    "be traced": "assert libc.ptrace(0, 0, 0, 0) == 0",
    "open a process by descriptor": "assert call(434, 1, 0) >= 0",
    "signal everybody": "os.kill(-1, signal.SIGKILL)",
    "signal the fork server's thread": "assert call(234, 1, 1, 9) == 0",
    "queue a signal": "assert call(129, 1, 10, ctypes.create_string_buffer(128)) == 0",
    "have a handle of the trusted side": (
        "found = [n for n in range(3, 64) if not fcntl_fails(n)]\n"
        "for n in found:\n    s = socket.socket(fileno=os.dup(n))\n    s.getsockopt(1, 77)"
    ),
    "know who the trusted side is": (
        "found = [n for n in range(3, 64) if not fcntl_fails(n)]\n"
        "for n in found:\n    s = socket.socket(fileno=os.dup(n))\n    s.getsockopt(1, 17, 12)"
    ),
    "make a device": "os.mknod('zero', 0o20666, os.makedev(1, 5))",
    "make a pipe with a name": "os.mkfifo('pipe')",
    "bind a socket with a name": "socket.socket(socket.AF_UNIX).bind('socket')",
    "make an internet socket pair": "socket.socketpair(socket.AF_INET)",
    "speak to the kernel by netlink": "socket.socket(16, 3, 0)",
    "send a raw packet": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "resolve a name": "socket.getaddrinfo('localhost', 80)[0] and socket.create_connection(('localhost', 80), 1)",
    "write to a device of the host": "open('/dev/urandom', 'w').write('x')",
    "mark a file": "os.setxattr('/tmp', 'user.x', b'1')",
    "change the owner of the box": "os.chown('/tmp', 0, 0)",
    "write beside the box": "open('/sandbox/x', 'w')",
    "change what the sandbox runs": "open('/sandbox/zygote.py', 'a').write('#')",
    "read who the users are": "open('/etc/passwd').read()",
    "read the machine's name": "assert os.uname().nodename != 'sandbox'",
    "see what the system is made of": "assert os.listdir('/sys')",
    "find descriptors that are not its own": (
        "found = [n for n in range(64) if not fcntl_fails(n)]\nassert found != [0, 1, 2, found[-1]] or len(found) > 4"
    ),
    "write to its own standard input": "os.write(0, b'x')",
    "load a kernel module": "assert call(175, 0, 0, b'') == 0",
    "watch files": "assert call(253) >= 0",
    "open by handle": "assert call(304, 3, 0, 0) >= 0",
    "change the clock": "time.clock_settime(time.CLOCK_REALTIME, 0)",
    "take another processor's time first": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
    "run in real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "fill the disk": "open('big', 'wb').write(b'x' * (2 << 20))",
    "hold more than the box": (
        "for n in range(40):\n    open(str(n), 'wb').write(b'x' * 1000000)\nassert n == 39"
    ),
    "make more files than the box holds": "for n in range(5000): open(str(n), 'w').close()",
    "map code from a file that it wrote": (
        "import mmap\nopen('code', 'wb').write(b'\\xc3' * 4096)\nf = open('code', 'rb')\n"
        "mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)"
    ),
    "have capabilities": "assert call(126, ctypes.create_string_buffer(8), ctypes.create_string_buffer(24)) == 0",
    "map memory that it shares with nobody past the limit": "import mmap\nmmap.mmap(-1, 1200 << 20)",
    "start a hundred threads": (
        "import threading\nfor _ in range(100): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()"
    ),
}  # fmt: skip

NASTY = {
    "the 32-bit gate": (
        "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "assert f() >= 0\nprint('REACHED')"
    ),
    "a locked box": "os.mkdir('a'); os.mkdir('a/b'); open('a/b/c', 'w').close(); os.chmod('a/b', 0); os.chmod('a', 0)",
    "a box closed to all": "os.chmod('/tmp', 0)",
    "many files": "for n in range(5000): open(str(n), 'w').close()",
    "odd names": "open(b'\\xff\\n', 'w').close(); os.symlink('/', 'link'); os.mkdir('...'); os.symlink('.', '.../x')",
    "a deep folder": "for _ in range(1500): os.mkdir('d'); os.chdir('d')",
    "a full box": "for n in range(40): open(str(n), 'wb').write(b'x' * 1000000)",
    "an abort": "os.abort()",
    "a stack overflow": "sys.setrecursionlimit(10**9)\nf = lambda g: f([g])\nimport json\nx = []\n"
                        "for _ in range(10**6): x = [x]\nrepr(x)",
    "closed descriptors": "os.closerange(0, 64)",
    "a patched exit": "os._exit = sys.exit = lambda *a: None\nimport atexit\natexit._run_exitfuncs = lambda: 1 / 0",
    "descriptors sent to the trusted side": (
        "for fd in range(3, 64):\n    try: socket.send_fds(socket.socket(fileno=os.dup(fd)), [b'x'], [0, 1, 2] * 10)\n"
        "    except OSError: pass"
    ),
    "an endless reply": (
        "b = b'\\x00\\x00\\x00\\x02Rx' * 10000\nwhile True:\n    for fd in range(3, 64):\n"
        "        try: os.write(fd, b)\n        except OSError: pass"
    ),
    "an empty frame": "for fd in range(3, 64):\n    try: os.write(fd, b'\\x00' * 4)\n    except OSError: pass",
    "a hung up socket": "os.closerange(3, 64)",
    "threads that spin after the end": (
        "import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()"
    ),
    "a storm of signals": "signal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(0, 1e-6, 1e-6)\n"
                          "while True: pass",
    "an ignored CPU limit": "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n"
                            "    try:\n        while 1: pass\n    except BaseException: pass",
}  # fmt: skip

TEXTS = {
    "nothing": ("", "ok"),
    "a NUL": ("print(1)\x00", "exception"),
    "a lone surrogate": ("print('\ud800')", "exception"),
    "binary garbage": (bytes(range(256)).decode("latin-1") * 50, "exception"),
    "ten megabytes": ("x = 1\n" * 1_700_000, "exception"),
    "a thousand brackets": ("(" * 1000 + ")" * 1000, "exception"),
    "an exit status past 255": ("import sys; sys.exit(256 * 3 + 7)", "exception"),
    "an unknown codec": ("# -*- coding: nonsense -*-\nprint(1)", "ok"),
}


NEEDS_A_HOST_OF_ITS_OWN = (
    "read the machine's name",
    "see what the system is made of",
    "hold more than the box",
    "make more files than the box holds",
    "map code from a file that it wrote",
)


def acts(level: int) -> list[str]:
    """Gives the acts that a level keeps a program from."""
    return [what for what in ACTS if level >= 3 or not (what in NEEDS_A_HOST_OF_ITS_OWN or "/tmp" in ACTS[what])]


def honest(pool: SandboxPool) -> Ran:
    return pool.run_stdin("import os\nprint(input()[::-1], os.listdir('.'))", b"olleh\n", LIMITS)


def run(pool: SandboxPool, body: str, limits: Limits = LIMITS) -> Ran:
    helper = (
        "def fcntl_fails(n):\n    try: fcntl.fcntl(n, fcntl.F_GETFD)\n    except OSError: return True\n"
    )  # fmt: skip
    return pool.run_stdin(PRELUDE + helper + body, b"input\n", limits)


def stopped(pool: SandboxPool, what: str) -> str:
    """Makes an act; says what is wrong, "" where it failed as it should and an honest run passes after it."""
    ran = run(pool, f"{ACTS[what]}\nprint('REACHED')")
    if b"REACHED" in ran.stdout or ran.status not in ("exception", "crash", "memory"):
        return f"{what}: {ran}"
    after = honest(pool)
    return "" if after.stdout == b"hello []\n" else f"after {what}: {after}"


def survived(pool: SandboxPool, what: str) -> str:
    """Makes a mess; says what is wrong, "" where it ended in time and an honest run passes after it."""
    start = time.monotonic()
    ran = run(pool, NASTY[what], SHORT)
    if time.monotonic() - start > 60 or b"REACHED" in ran.stdout or ran.status in ("host_error", "sandbox_failure"):
        return f"{what}: {ran}"
    after = honest(pool)
    return "" if (after.status, after.stdout) == ("ok", b"hello []\n") else f"after {what}: {after}"


def main() -> None:
    """Makes all of them and prints how many there were and what was wrong."""
    pool = SandboxPool(1, level=int(sys.argv[1]))
    wrong = [said for what in acts(pool.level) if (said := stopped(pool, what))]
    wrong += [said for what in NASTY if (said := survived(pool, what))]
    pool.close()
    print(json.dumps({"level": pool.level, "made": len(acts(pool.level)) + len(NASTY), "wrong": wrong}))


if __name__ == "__main__":
    main()
