"""The program of the second sandbox: runs test code whose calls reach the program under test in another one.

Standard library only: the fork server compiles this file as the prelude of a program that fills SCRIPT. Every name of
the tests that nobody binds is a stand-in for the program's: calling it sends the arguments out and brings plain data
back. Objects of the program's own classes stay there; their attributes and methods can be used, but to compare, order,
iterate or weigh one ends the test as failed, because the answer would be the program's. So does an exception class that
is no ordinary builtin one: it arrives as RuntimeError. A list, dict or set that the program changed is changed here
only where the test drops what the call gave, else "clear the input, return nothing" would pass `f(a) == sorted(a)`.

Assertions that held are counted here, where the program cannot reach: one whose answers lead the tests past all of them
has not passed. Tests that can fail in a way that is not noted are not counted, so that no right program fails by it.
"""

import ast
import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

SCRIPT: dict[str, Any] = {"preamble": "", "tests": "", "wanted": [], "modules": []}
"""What is run: the preamble, the tests, the names that reach the program, and the modules that the tests assume."""

MAX_TEXT = 500
NOTHING_HELD = "no assertion was evaluated"
_NOT_RAISED = (AssertionError, StopIteration, StopAsyncIteration)
_BUILTIN_NAMES = {id(value): name for name, value in vars(builtins).items() if not name.startswith("_")}


class Refused(BaseException):
    """The test asked an object of the program something that the program would decide."""


class Unsendable(BaseException):
    """The test hands the program something that cannot leave this sandbox, before the program has said anything."""


class Line:
    """The way to the program under test."""

    def __init__(self, exchange: Callable[[bytes], bytes], codec: Any) -> None:
        self._exchange = exchange
        self._codec = codec
        self.refused = ""
        self.unsendable = ""
        self.raised: BaseException | None = None
        self.asked = 0
        self.held = 0

    def ask(self, *operation: Any) -> tuple[Any, Any]:
        """Gives the value that the program's side answers and its changed arguments; raises what it raised."""
        self.asked += 1
        try:
            frame = self._codec.encode(["ask", *operation], self._refer)
        except self._codec.CodecError as error:
            self._cannot_send(str(error))
        reply = self._codec.decode(self._exchange(frame), self._resolve)
        if reply[0] == "unencodable":
            self.refuse(f"a value of type {reply[1]} cannot be read")
        if reply[0] == "raised":
            self.raised = _exception(reply[1], reply[2])
            raise self.raised
        return reply[1], reply[2]

    def refuse(self, reason: str) -> NoReturn:
        """Ends the test; the reason stays, so that catching everything does not help."""
        self.refused = self.refused or reason
        raise Refused(reason)

    def _refer(self, value: Any) -> Any:
        if type(value) is Stub:
            return handle_of(value)
        if id(value) not in _BUILTIN_NAMES:
            self._cannot_send(f"a {type(value).__name__}")
        return self._codec.Handle(_BUILTIN_NAMES[id(value)])

    def _cannot_send(self, what: str) -> NoReturn:
        if self.asked > 1:  # what the program answered may have led the test here, and must not mask the verdict
            self.refuse(f"{what} is handed to the program, which cannot be sent")
        self.unsendable = self.unsendable or f"{what} is handed to the program"
        raise Unsendable(self.unsendable)

    def note_held(self) -> None:
        """Counts an assertion that held; one before the program was asked says nothing of it."""
        self.held += self.asked > 0

    def note_caught(self) -> None:
        """Counts the exception that is being handled, where it is the program's."""
        self.held += self.raised is not None and sys.exc_info()[1] is self.raised

    def _resolve(self, name: Any) -> Any:
        return Stub(self, "", self._codec.Handle(name))


def _exception(name: str, text: str) -> Exception:
    kind = getattr(builtins, name, RuntimeError)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, _NOT_RAISED):
        return RuntimeError(f"{name}: {text}")
    try:
        return kind(text)
    except TypeError:
        return ValueError(text) if issubclass(kind, ValueError) else RuntimeError(f"{name}: {text}")


class Stub:
    """Stands for a name or an object of the program."""

    __slots__ = ("_rlvr",)

    def __init__(self, line: Line, name: str, handle: Any = None) -> None:
        object.__setattr__(self, "_rlvr", [line, name, handle])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the program."""
        return _called(self, args, kwargs)[0]

    def __getattr__(self, name: str) -> Any:
        """Gives an attribute of the program's object."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _line(self).ask("attribute", handle_of(self), name)[0]

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute of the program's object."""
        _line(self).ask("method", handle_of(self), "__setattr__", [name, value], {})

    def __str__(self) -> str:
        """Gives the program's own words."""
        return _text_of(self, "__str__")

    def __repr__(self) -> str:
        """Gives the program's own words."""
        return _text_of(self, "__repr__")

    def _closed(self, *_: Any) -> NoReturn:
        _line(self).refuse("the test compares, orders, iterates or weighs an object of the program's own class")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _closed
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __next__ = __reversed__ = _closed
    __int__ = __float__ = __index__ = __complex__ = __enter__ = __exit__ = _closed


def _line(stub: Stub) -> Line:
    return object.__getattribute__(stub, "_rlvr")[0]  # type: ignore[no-any-return]


def handle_of(stub: Stub) -> Any:
    """Gives the handle of what a stand-in stands for, asked for once."""
    parts = object.__getattribute__(stub, "_rlvr")
    if parts[2] is None:
        value = parts[0].ask("get", parts[1])[0]
        if type(value) is not Stub:
            parts[0].refuse(f"{parts[1]} is a value, not a function or class")
        parts[2] = handle_of(value)
    return parts[2]


def _called(stub: Stub, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    line, name, handle = object.__getattribute__(stub, "_rlvr")
    if handle is None:
        return line.ask("call", name, list(args), kwargs)  # type: ignore[no-any-return]
    return line.ask("method", handle, "__call__", list(args), kwargs)  # type: ignore[no-any-return]


def _text_of(stub: Stub, method: str) -> str:
    text = _line(stub).ask("method", handle_of(stub), method, [], {})[0]
    if type(text) is not str:
        _line(stub).refuse(f"{method} gives no text")
    return text


def _dropped(function: Any, *args: Any, **kwargs: Any) -> None:
    """Calls a function whose value the test drops; then what the program changed in its arguments is changed here."""
    if type(function) is not Stub:
        function(*args, **kwargs)
        return
    changed = _called(function, args, kwargs)[1]
    for old, new in zip(args, changed if type(changed) is list else (), strict=False):
        if type(old) is list and type(new) is list:
            old[:] = new
        elif type(old) in (dict, set) and type(new) is type(old):
            old.clear()
            old.update(new)
        elif type(old) is bytearray and type(new) is bytes:
            old[:] = new


class _Dropping(ast.NodeTransformer):
    """Marks the calls whose value is dropped."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Call):
            call = node.value
            marked = ast.Call(ast.Name("__dropped__", ast.Load()), [call.func, *call.args], call.keywords)
            node.value = ast.copy_location(marked, call)
        return node


class _Counting(ast.NodeTransformer):
    """Notes what held: asserts, conditions that would have raised, and exceptions where none would have failed."""

    def visit_Assert(self, node: ast.Assert) -> Any:
        return node if isinstance(node.test, ast.Constant) else [node, _noted("__held__", node)]

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        return [node, _noted("__held__", node)] if _fails([*node.body, *node.orelse]) else node

    def visit_Try(self, node: ast.Try) -> Any:
        fails = _fails([*node.body, *node.orelse])
        self.generic_visit(node)
        for handler in node.handlers if fails else ():
            handler.body.insert(0, _noted("__caught__", handler))
        return node


def _noted(name: str, node: ast.AST) -> ast.stmt:
    return ast.copy_location(ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], [])), node)


def _fails(body: list[ast.stmt]) -> bool:
    return any(_ends(node) for node in body)


def _ends(node: ast.AST) -> bool:
    """Gives whether a statement fails the tests wherever it is reached."""
    never = isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value
    return never or isinstance(node, ast.Raise)


def is_countable(script: ast.Module) -> bool:
    """Gives whether every way to fail is one that `_Counting` notes when it is passed by."""
    noted: set[int] = set()
    for node in ast.walk(script):
        if isinstance(node, ast.If | ast.Try):
            both = [*node.body, *node.orelse]
            left = isinstance(node, ast.If) and any(isinstance(n, ast.Return | ast.Break | ast.Continue) for n in both)
            noted |= set() if left else {id(statement) for statement in both}
    return all(id(node) in noted for node in ast.walk(script) if _ends(node))


def examine(exchange: Callable[[bytes], bytes], codec: Any) -> list[str]:
    """Runs the tests and gives ["passed", ""], or why they did not: "failed", "raised", "refused", "unsendable",
    "unasked" (so that no program has a part in it) or "error", and a text."""
    line = Line(exchange, codec)
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins, "__dropped__": _dropped}
    space.update(__held__=line.note_held, __caught__=line.note_caught)
    try:
        space.update({name: importlib.import_module(name) for name in SCRIPT["modules"]})
        exec(_compiled(_Counting().visit(ast.parse(SCRIPT["preamble"])), "preamble.py"), space)
        space.update({name: Stub(line, name) for name in SCRIPT["wanted"]})
        exec(_compiled(_Counting().visit(_Dropping().visit(ast.parse(SCRIPT["tests"]))), "tests.py"), space)
        kind, text = "passed", ""
    except MemoryError:
        raise
    except BaseException as error:
        kind = "raised" if error is line.raised else "failed" if isinstance(error, AssertionError) else "error"
        text = _said(error)
    if line.unsendable:
        return ["unsendable", line.unsendable]
    if line.refused:
        return ["refused", line.refused]
    if not line.asked:
        return ["unasked", f"they never call the program{': ' if text else ''}{text}"]
    if (
        kind == "passed"
        and not line.held
        and all(is_countable(ast.parse(SCRIPT[part])) for part in ("preamble", "tests"))
    ):
        return ["error", NOTHING_HELD]
    return [kind, text]


def beside(tests: str, space: dict[str, Any]) -> bool:
    """Runs tests in the program's own process and gives whether an assertion held, which the program can forge."""
    held: list[bool] = []
    space["__held__"] = lambda: held.append(True)
    space["__caught__"] = lambda: held.append(not isinstance(sys.exc_info()[1], AssertionError))
    exec(_compiled(_Counting().visit(ast.parse(tests)), "tests.py"), space)
    return any(held) or not is_countable(ast.parse(tests))


def _compiled(tree: ast.Module, name: str) -> Any:
    return compile(ast.fix_missing_locations(tree), name, "exec")


def _said(error: BaseException) -> str:
    text = str(error)[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
