"""Runs one submission, in the process that is given up to it.

Standard library only: the fork server loads this file by its path. Nothing here is trusted: the submission can rewrite
all of it, and gains nothing, because only values and output leave, and no expected value ever comes in.

A job is one file of frames (4 bytes of length, then the bytes): a JSON header, the program, then the calls. What goes
back over the socket are frames whose first byte tells a reply (R) from the exception that ended everything (E).
"""

import atexit
import builtins
import importlib
import json
import os
import socket
import struct
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

FILE = "solution.py"
LENGTH = struct.Struct(">I")
REPLY, ENDED = b"R", b"E"
MAX_TEXT = 1000
MAX_HANDLES = 10_000

PRELUDES: dict[str, types.CodeType] = {}
"""Compiled texts of this folder that a session can run before its program."""

_BUILTIN_EXCEPTIONS = {
    kind: kind.__name__
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}


def prepare(folder: str) -> None:
    """Compiles, before the fork, what the second sandbox of a judged question runs first: it takes milliseconds.

    Raises OSError where the text is missing: a sandbox that starts without it would fail right programs.
    """
    importlib.import_module("ast")
    with open(os.path.join(folder, "examiner.py"), encoding="utf-8") as text:
        PRELUDES["examiner"] = compile(text.read(), "examiner.py", "exec")


def serve(job: int, data: int, codec: Any) -> None:
    """Runs the job that the descriptor `job` holds and ends the process; replies go to the socket `data`."""
    frames = iter(list(_read_job(job)))
    os.close(job)
    header = json.loads(next(frames))
    program = next(frames).decode("utf-8", "surrogatepass")
    wire = Wire(data, codec, header["result_bytes"])
    if header["mode"] == "stdin":
        _run_stdin(program, wire)
    elif header["mode"] == "calls":
        run_calls(program, header["entry"], frames, wire)
    else:
        _run_session(program, wire, header["prelude"])
    os._exit(0)


def _read_job(job: int) -> Any:
    size = os.fstat(job).st_size
    place = 0
    while place < size:
        length = LENGTH.unpack(_read_at(job, place, LENGTH.size))[0]
        yield _read_at(job, place + LENGTH.size, length)
        place += LENGTH.size + length


def _read_at(descriptor: int, place: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(descriptor, length, place)
        if not part:
            raise EOFError("the job ends early")
        parts.append(part)
        place += len(part)
        length -= len(part)
    return b"".join(parts)


class Wire:
    """The socket to the trusted side, and the codec."""

    def __init__(self, data: int, codec: Any, result_bytes: int) -> None:
        self.socket = socket.socket(fileno=data)
        self.codec = codec
        self.result_bytes = result_bytes

    def send(self, tag: bytes, frame: bytes) -> None:
        """Sends one frame."""
        self.socket.sendall(LENGTH.pack(len(frame) + 1) + tag + frame)

    def receive(self) -> bytes | None:
        """Gives the next frame; None when the trusted side has no more."""
        length = self._exactly(LENGTH.size)
        return None if length is None else self._exactly(LENGTH.unpack(length)[0])

    def _exactly(self, length: int) -> bytes | None:
        parts = []
        while length:
            part = self.socket.recv(min(length, 1 << 20))
            if not part:
                return None
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE)
    sys.modules[name] = module
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # scripts end with them; without site they are not there
    sys.argv[:] = [FILE]
    return module


def _said(error: BaseException) -> str:
    """Gives class and text of an exception, as the last line of a traceback does."""
    try:
        text = str(error)[:MAX_TEXT]
    except BaseException:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue


def _show_traceback(error: BaseException) -> None:
    try:
        trace = error.__traceback__
        error = error.with_traceback(trace.tb_next if trace else None)
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:
        return


def _run_stdin(program: str, wire: Wire) -> None:
    """Runs the program as a script, with what an interpreter does at its end; gives its exit status."""
    module = _module("__main__")
    code = 0
    try:
        exec(compile(program, FILE, "exec"), module.__dict__)
    except SystemExit as stop:
        code = _exit_code(stop.code)
    except BaseException as error:
        code = 1
        _show_traceback(error)
        wire.send(ENDED, _said(error).encode("utf-8", "replace"))
    _end_as_the_interpreter_does(module)
    os._exit(code)


def _exit_code(given: object) -> int:
    if given is None:
        return 0
    if isinstance(given, int):
        return given & 0xFF
    print(given, file=sys.stderr)
    return 1


def _end_as_the_interpreter_does(module: types.ModuleType) -> None:
    """Waits for threads, runs what was registered, flushes, and drops the program's files so that they flush too."""
    threading: Any = sys.modules.get("threading")  # not imported here: it would make every fork slower by 0.4 ms
    steps: list[Callable[[], object]] = [threading._shutdown] if hasattr(threading, "_shutdown") else []
    for step in (*steps, atexit._run_exitfuncs, _flush, module.__dict__.clear, _flush):
        try:
            step()
        except BaseException as error:
            _show_traceback(error)


def _load(program: str, wire: Wire, prelude: str = "") -> types.ModuleType:
    """Executes the program, after its prelude, as the module "solution"; ends the process where that fails."""
    module = _module("solution")
    try:
        if prelude:
            exec(PRELUDES[prelude], module.__dict__)
        exec(compile(program, FILE, "exec"), module.__dict__)
    except BaseException as error:
        _fail(error, wire)
    return module


def _fail(error: BaseException, wire: Wire) -> None:
    _show_traceback(error)
    _flush()
    wire.send(ENDED, _said(error).encode("utf-8", "replace"))
    os._exit(1)


def _find(module: types.ModuleType, entry: str) -> Any:
    """Gives what `entry` names; in "Solution.solve" the class is called without arguments first."""
    name, *rest = entry.split(".")
    if name not in module.__dict__:
        raise NameError(f"the program defines no {name!r}")
    found = module.__dict__[name]
    for part in rest:
        found = getattr(found() if isinstance(found, type) else found, part)
    return found


def run_calls(program: str, entry: str, calls: Any, wire: Any) -> None:
    """Executes the program and answers the calls over the wire, one reply each."""
    module = _load(program, wire)
    try:
        _find(module, entry)
    except BaseException as error:
        _fail(error, wire)
    for frame in calls:
        args, kwargs = wire.codec.decode(frame)
        try:
            reply = _answer(_find(module, entry), args, kwargs, wire, None)
        except MemoryError as error:
            _fail(error, wire)
        _flush()
        wire.send(REPLY, reply)


def _answer(function: Any, args: list[Any], kwargs: dict[str, Any], wire: Wire, refer: Any) -> bytes:
    """Calls and gives the reply: ["value", value, positional arguments if changed], ["raised", …], ["unencodable", …].

    Raises MemoryError.
    """
    watched = any(type(value) in (list, dict, set, bytearray) for value in args)
    before = _encoded(args, wire, refer) if watched else None
    try:
        value = function(*args, **kwargs)
    except MemoryError:
        raise
    except BaseException as error:
        return bytes(wire.codec.encode(["raised", _builtin_name(error), _text(error)]))
    after = _encoded(args, wire, refer) if watched else None
    changed = args if after is not None and after != before else None
    reply = _encoded(["value", value, changed], wire, refer)
    if reply is not None and changed is not None and len(reply) > wire.result_bytes:
        reply = _encoded(["value", value, None], wire, refer)
    if reply is None or len(reply) > wire.result_bytes:
        return bytes(wire.codec.encode(["unencodable", type(value).__name__[:80]]))
    return reply


def _encoded(value: Any, wire: Wire, refer: Any) -> bytes | None:
    try:
        return bytes(wire.codec.encode(value) if refer is None else wire.codec.encode(value, refer))
    except MemoryError:
        raise
    except BaseException:
        return None


def _builtin_name(error: BaseException) -> str:
    """Gives the nearest builtin class, by identity: a class that only bears such a name counts as its base."""
    return next((_BUILTIN_EXCEPTIONS[kind] for kind in type(error).__mro__ if kind in _BUILTIN_EXCEPTIONS), "Exception")


def _text(error: BaseException) -> str:
    try:
        quoted = isinstance(error, KeyError) and len(error.args) == 1  # str() gives the repr of its argument
        return str(error.args[0] if quoted else error)[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
    except BaseException:
        return ""


class Objects:
    """Objects that stay here; the other side holds their numbers."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self._kept: list[Any] = []

    def refer(self, value: Any) -> Any:
        """Gives a handle for an object that cannot be written."""
        if len(self._kept) >= MAX_HANDLES:
            raise MemoryError("too many objects are referred to")
        self._kept.append(value)
        return self._codec.Handle(len(self._kept) - 1)

    def resolve(self, name: int | str) -> Any:
        """Gives the object of a handle, or the builtin of that name."""
        return self._kept[name] if isinstance(name, int) else getattr(builtins, name)


def _run_session(program: str, wire: Wire, prelude: str) -> None:
    """Answers one operation at a time until the trusted side hangs up."""
    module = _load(program, wire, prelude)
    objects = Objects(wire.codec)
    wire.send(REPLY, b"")
    while (frame := wire.receive()) is not None:
        operation, *rest = wire.codec.decode(frame, objects.resolve)
        try:
            reply = _operate(operation, rest, module, objects, wire)
        except MemoryError as error:
            _fail(error, wire)
        _flush()
        wire.send(REPLY, reply)


def _operate(operation: str, rest: Sequence[Any], module: types.ModuleType, objects: Objects, wire: Wire) -> bytes:
    """Does one of: call NAME ARGS KWARGS · method OBJECT NAME ARGS KWARGS · get NAME · attribute OBJECT NAME ·
    enter NAME, which calls NAME(exchange, codec) where exchange(frame) sends a frame and gives the next one.
    """

    def act() -> Any:
        if operation == "get":
            return _find(module, rest[0])
        if operation == "attribute":
            return getattr(rest[0], rest[1])
        if operation == "enter":
            return _find(module, rest[0])(lambda frame: _exchange(frame, wire), wire.codec)
        raise ValueError(f"unknown operation {operation!r}")

    if operation == "call":
        return _answer(lambda *a, **k: _find(module, rest[0])(*a, **k), rest[1], rest[2], wire, objects.refer)
    if operation == "method":
        return _answer(lambda *a, **k: getattr(rest[0], rest[1])(*a, **k), rest[2], rest[3], wire, objects.refer)
    return _answer(act, [], {}, wire, objects.refer)


def _exchange(frame: bytes, wire: Wire) -> bytes:
    wire.send(REPLY, frame)
    received = wire.receive()
    if received is None:
        os._exit(0)
    return received
