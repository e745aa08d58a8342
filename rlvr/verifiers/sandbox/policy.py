"""Which system calls a submission may make: an allow-list, compiled once and handed to the sandbox as BPF.

What is not listed fails with EPERM, so that a program meets an OSError and not a dead process. There is no way to
another program, another process, the network, kernel memory or another user: no exec, no fork, no socket but a pair,
no signal, no tracing, no shared memory of System V or POSIX, no keyring, no io_uring, no bpf.
"""

import errno
import functools
import tempfile

from rlvr.errors import VerifierError

FILES = """
    read write readv writev pread64 pwrite64 preadv pwritev open openat openat2 close close_range
    stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
    getcwd chdir fchdir getdents getdents64 lseek dup dup2 dup3 flock ftruncate truncate fallocate fsync fdatasync
    rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir link linkat symlink symlinkat
    umask sendfile copy_file_range fadvise64
"""
MODES_AND_TIMES = "chmod fchmod fchmodat fchmodat2 utimensat"
"""Landlock does not rule over these: they reach whatever belongs to the user of the run."""
WAITING = """
    pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2 sendto recvfrom sendmsg recvmsg shutdown getsockname
    nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times alarm getitimer setitimer pause
    restart_syscall wait4 waitid
"""
MEMORY = "brk mmap munmap mremap mprotect madvise msync"
THREADS = """
    futex futex_waitv set_robust_list get_robust_list rseq set_tid_address arch_prctl sched_yield sched_getaffinity
    sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu exit exit_group
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
"""
ABOUT_ITSELF = """
    getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid
    getrusage getrlimit getpriority sysinfo uname getrandom
"""
ALLOWED = " ".join((FILES, WAITING, MEMORY, THREADS, ABOUT_ITSELF))

CLONE_THREAD = 0x10000
CLONE_NEW_ANYTHING = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
AF_UNIX = 1
PR_SET_NAME, PR_GET_NAME = 15, 16
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""Copies, flags, locks and the size of a pipe: nothing that makes the kernel send signals (F_SETOWN, F_SETSIG)."""
SOL_SOCKET = 1
SOCKET_OPTIONS = (3, 4, 38, 39)
"""SO_TYPE, SO_ERROR, SO_PROTOCOL, SO_DOMAIN: not who is at the other end (SO_PEERPIDFD gives a handle of it)."""
TERMINAL_AND_QUEUE = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what open() and isatty() of Python ask."""


@functools.cache
def compiled(*, modes_and_times: bool) -> bytes:
    """Gives the allow-list as instructions of classic BPF for this processor; modes and times of files may be set only
    where all that the user of the run owns and can reach is the box. Elsewhere they stay as they are without a word,
    because copying a file sets them, and the library takes no refusal for an answer.

    Raises VerifierError where libseccomp or its Python binding is missing.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError) as error:
        hint = "apt-get install libseccomp2; pip install pyseccomp"
        raise VerifierError(f"the system call filter cannot be made: {error}", hint=hint) from error
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    of_files = seccomp.ALLOW if modes_and_times else seccomp.ERRNO(0)
    for names, action in ((ALLOWED, seccomp.ALLOW), (MODES_AND_TIMES, of_files)):
        for name in names.split():
            number = _number(seccomp, name)
            if number is not None:
                made.add_rule(action, number)
    _add_rules_by_argument(seccomp, made)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _add_rules_by_argument(seccomp: object, made: object) -> None:
    """Adds what is allowed for some arguments only. clone3, whose flags BPF cannot see, is "not there": glibc then
    takes clone. Attributes of files are "not supported", with which shutil puts up."""
    from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg, SyscallFilter

    assert isinstance(made, SyscallFilter)
    rules = [
        ("clone", [Arg(0, MASKED_EQ, CLONE_THREAD | CLONE_NEW_ANYTHING, CLONE_THREAD)]),
        ("socketpair", [Arg(0, EQ, AF_UNIX)]),
        ("prlimit64", [Arg(0, EQ, 0)]),
        *(("prctl", [Arg(0, EQ, option)]) for option in (PR_SET_NAME, PR_GET_NAME)),
        *(("getsockopt", [Arg(1, EQ, SOL_SOCKET), Arg(2, EQ, option)]) for option in SOCKET_OPTIONS),
        *(("fcntl", [Arg(1, MASKED_EQ, 0xFFFFFFFF, command)]) for command in FCNTL),
        *(("ioctl", [Arg(1, MASKED_EQ, 0xFFFFFFFF, request)]) for request in TERMINAL_AND_QUEUE),
    ]
    for name, arguments in rules:
        number = _number(seccomp, name)
        assert number is not None, name
        made.add_rule(ALLOW, number, *arguments)
    clone3 = _number(seccomp, "clone3")
    if clone3 is not None:
        made.add_rule(ERRNO(errno.ENOSYS), clone3)
    for name in ("listxattr", "llistxattr", "flistxattr"):
        number = _number(seccomp, name)
        if number is not None:
            made.add_rule(ERRNO(errno.ENOTSUP), number)


def _number(seccomp: object, name: str) -> int | None:
    """Gives the number of a system call; None where this processor has none of that name (negative: not its own)."""
    from pyseccomp import Arch, resolve_syscall

    try:
        number = int(resolve_syscall(Arch.NATIVE, name))
    except OSError:
        return None
    return number if number >= 0 else None
