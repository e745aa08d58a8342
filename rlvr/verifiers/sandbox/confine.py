"""Gives up power, inside the sandbox: resource limits, no new privileges, Landlock, the system call filter.

Standard library only: the fork server loads this file by its path. Each step can be taken once and never be undone.
"""

import ctypes
import os
import resource

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9
STACK_BYTES = 64 << 20
DESCRIPTORS = 64

# Landlock: the same three numbers on every processor.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 2, 4, 8, 16, 32
MAKE_DIR, MAKE_REG, MAKE_SYM, REFER, TRUNCATE = 1 << 7, 1 << 8, 1 << 12, 1 << 13, 1 << 14
FILE_RIGHTS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
BIND_AND_CONNECT_TCP = 3
ABSTRACT_SOCKETS_AND_SIGNALS = 3
READ = READ_FILE | READ_DIR
READ_AND_WRITE = (
    READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
)  # fmt: skip

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 2, 4, 8, 32
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _checked(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int, further: object = 0) -> None:
    """Calls prctl. Raises OSError where it fails."""
    zero = ctypes.c_ulong(0)
    argument = ctypes.c_ulong(further) if isinstance(further, int) else further
    _checked(f"prctl {option}", _libc.prctl(option, ctypes.c_ulong(value), argument, zero, zero))


def landlock_abi() -> int:
    """Gives the kernel's version of Landlock, 0 where there is none."""
    zero = ctypes.c_size_t(0)
    return max(0, int(_libc.syscall(CREATE_RULESET, None, zero, ctypes.c_uint32(CREATE_RULESET_VERSION))))


def landlock_ruleset(readable: list[str], writable: list[str], read_and_write_files: list[str]) -> int:
    """Gives a descriptor of rules that any number of processes can take on.

    Folders of `readable` may be read, those of `writable` used freely (no devices, sockets or pipes made in them), and
    the single files of the last list, devices perhaps, read and written. A path that is not there is left out.
    """
    abi = landlock_abi()
    handled = FILE_RIGHTS_OF_ABI[max(1, min(abi, 5))]
    scoped = ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    rules = _Ruleset(handled, BIND_AND_CONNECT_TCP if abi >= 4 else 0, scoped)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _checked(
        "landlock_create_ruleset",
        _libc.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)),
    )
    allowed = [(path, READ) for path in readable] + [(path, READ_AND_WRITE) for path in writable]
    for path, rights in [*allowed, *((path, READ_FILE | WRITE_FILE) for path in read_and_write_files)]:
        try:
            beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not os.path.isdir(path):
            rights &= READ_FILE | WRITE_FILE | TRUNCATE
        rule = _PathBeneath(rights & handled, beneath)
        result = _libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
        os.close(beneath)
        _checked(f"landlock_add_rule {path}", result)
    return ruleset


def landlock(ruleset: int) -> None:
    """Takes the rules on, for this process and all that it forks."""
    _checked("landlock_restrict_self", _libc.syscall(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))


def cap_files(folder: str, size_bytes: int, number: int) -> None:
    """Bounds bytes and number of files of a tmpfs, from which nothing can be executed either. Raises OSError."""
    flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC
    options = f"size={size_bytes},nr_inodes={number}".encode()
    result = _libc.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(flags), options)
    _checked(f"remount {folder}", result)


def drop_capabilities() -> None:
    """Gives up every capability. Raises OSError where one is left."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _checked("capset", _libc.capset(header, (ctypes.c_uint32 * 6)()))
    found = (ctypes.c_uint32 * 6)()
    _checked("capget", _libc.capget(header, found))
    if any(found):
        raise OSError("capabilities are left")


class Filter:
    """The system call filter, held ready in memory: taking it on is then one call."""

    def __init__(self, instructions: bytes) -> None:
        self._memory = ctypes.create_string_buffer(instructions, len(instructions))
        self._program = _Program(len(instructions) // 8, ctypes.addressof(self._memory))

    def take_on(self) -> None:
        """Filters this process's system calls from here on; it needs no_new_privs."""
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(self._program))


def limit_for_good() -> None:
    """Sets the limits that are the same for every run; no core files, no locked memory, no message queues."""
    stack = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = STACK_BYTES if stack == resource.RLIM_INFINITY else min(stack, STACK_BYTES)
    resource.setrlimit(resource.RLIMIT_STACK, (min(stack, 8 << 20), stack))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    for name in ("CORE", "MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE", "SIGPENDING"):
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            most = 64 if name == "SIGPENDING" else 0
            resource.setrlimit(kind, (most, most))


def limit_run(pid: int, cpu_seconds: int, memory_bytes: int, file_bytes: int, threads: int) -> None:
    """Sets the limits of one run on a process that waits for it. The hard CPU limit kills: no handler can stay it."""
    resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.prlimit(pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.prlimit(pid, resource.RLIMIT_NPROC, (threads, threads))
