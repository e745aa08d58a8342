"""The process on the other side of the pool: reads calls from standard input, answers on its first standard output.

A frame is four bytes of big-endian length and that many bytes of JSON. A call names a function as "package.module:name"
and is answered by one frame: {"id", "value"}, or {"id", "error", "kind"} where the function raised. The parent starts
it as `python -m rlvr.verifiers.worker MEMORY_BYTES`; it ends with its parent.

This process imports; a fork of it calls, so that after a call that had to be ended a fresh one is there in
milliseconds. The fork says {"pid"} first; when it dies this process says {"ended": exit code}.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import math
import os
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 64 << 20
_PR_SET_PDEATHSIG = 1


def pack(message: Any) -> bytes:
    """Gives the frame of a JSON-able message. Raises TypeError or ValueError for what JSON cannot hold."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES} bytes")
    return HEADER.pack(len(body)) + body


def _read(fd: int, size: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < size:
        chunk = os.read(fd, size - len(chunks))
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)


def _read_message(fd: int) -> Any:
    header = _read(fd, HEADER.size)
    body = None if header is None else _read(fd, HEADER.unpack(header)[0])
    return None if body is None else json.loads(body)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _die_with_parent() -> None:
    # Standard input closes when the parent dies, which an idle worker sees; a busy one needs the signal.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limit_memory(memory_bytes: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    except (ValueError, OSError):
        if sys.platform == "linux":  # elsewhere the kernel does not offer this limit
            raise
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: float) -> None:
    """Lets the kernel end this process after that much more CPU time: by timer, and by limit should the timer go."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    ceiling = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (ceiling, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _load(path: str, loaded: dict[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    if path not in loaded:
        module_name, _, name = path.partition(":")
        module = importlib.import_module(module_name)
        loaded[path] = getattr(module, name)
        prepare = getattr(module, "prepare", None)
        if prepare is not None:
            prepare()
    return loaded[path]


def _answer(call: Any, loaded: dict[str, Callable[[Any], Any]]) -> bytes:
    try:
        function = _load(call["function"], loaded)
        if "payload" not in call:
            return pack({"id": call["id"], "value": None})
        _limit_cpu(call["cpu_seconds"])
        value = function(call["payload"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        return pack({"id": call["id"], "value": value})
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # the parent decides what an error means; even SystemExit is only an answer
        signal.setitimer(signal.ITIMER_PROF, 0)
        kind = "memory" if isinstance(error, MemoryError) else "error"
        return pack({"id": call["id"], "kind": kind, "error": f"{type(error).__name__}: {error}"[:2000]})


def _serve(call: Any, requests: int, answers: int, loaded: dict[str, Callable[[Any], Any]]) -> None:
    """Answers `call` and all that follow."""
    while call is not None:
        _write(answers, _answer(call, loaded))
        call = _read_message(requests)


def _serve_in_fork(call: Any, requests: int, answers: int, loaded: dict[str, Callable[[Any], Any]]) -> None:
    """Leaves the calls to a fork for as long as it lives."""
    parent = os.getpid()
    gc.freeze()
    child = os.fork()
    if child == 0:
        try:
            _die_with_parent()
            if os.getppid() == parent:
                _write(answers, pack({"pid": os.getpid()}))
                _serve(call, requests, answers, loaded)
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        with contextlib.suppress(BrokenPipeError):  # the pool has ended it and listens no more
            _write(answers, pack({"ended": code}))


def _reset_signals() -> None:
    """Undoes what the parent ignores or blocks: the limits need SIGPROF and SIGXCPU, the wait for a fork SIGCHLD."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGPROF, signal.SIGXCPU, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Serves calls until standard input closes."""
    _reset_signals()
    _die_with_parent()
    _limit_memory(int(sys.argv[1]))
    # What a verifier prints must not get among the frames.
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    loaded: dict[str, Callable[[Any], Any]] = {}
    _write(answers, pack({"id": 0, "value": "ready"}))
    while (call := _read_message(requests)) is not None:
        if "payload" in call and threading.active_count() == 1:
            _serve_in_fork(call, requests, answers, loaded)
        else:  # a fork has none of the threads that an import started
            _write(answers, _answer(call, loaded))
    os._exit(0)


if __name__ == "__main__":
    main()
