"""Assert code that only calls the program with literals, turned into calls: arguments in, a test of what comes out.

    assert f([3, 1]) == [1, 3]        assert f(2) is None     assert not f("")      assert f(3 * 19) in (1, 2)
    assert abs(f(1.33) - 0.33) < 1e-6                         assert math.isclose(f(2), 1.41, rel_tol=1e-3)
    def check(candidate): …; check(f)                         for x in range(2, 8): assert f(x, x + 1) == str(x)

Nothing of the tests is run. A test that says anything else makes the whole script unconvertible: half a script would be
a weaker one. Arguments are copies, so a program that changes its argument does not change what is expected.
"""

import ast
import builtins
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from rlvr.verifiers.sandbox.compare import Test
from rlvr.verifiers.sandbox.constants import SHADOW, NotConstantError, Room, constant

MAX_CALLS = 2000
MAX_STEPS = 20_000
"""Statements that are read, those of an unrolled loop each time anew."""


class NotLiteralError(Exception):
    """A test script says something that cannot be turned into calls; the message says what."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the program and what its value has to satisfy."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    test: Test


@dataclass(frozen=True, slots=True)
class Converted:
    """The calls of a script, all of one function of the program."""

    entry: str
    calls: tuple[Call, ...]


def convert(module: ast.Module, *, entry: str, bound: Set[str]) -> Converted:
    """Gives the calls of a test script. `bound` are names that are not the program's; `entry` is "" where unknown.

    Raises NotLiteralError where a statement cannot be turned into calls.
    """
    script = _Script(entry, dict.fromkeys({*bound, entry}, SHADOW))
    try:
        script.run(module.body)
    except NotConstantError as error:
        raise NotLiteralError(str(error)) from None
    if len(script.entries) != 1:
        raise NotLiteralError(f"it calls {', '.join(sorted(script.entries)) or 'nothing of the program'}")
    return Converted(script.entries.pop(), tuple(script.calls))


@dataclass(slots=True)
class _Script:
    """A script as far as it has been read; `names` holds constants, and SHADOW for all else that is bound."""

    entry: str
    names: dict[str, Any]
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    steps: int = 0
    room: Room = field(default_factory=Room)

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Reads statements in order."""
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Reads one statement."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise NotLiteralError(f"more than {MAX_STEPS} statements")
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return
            case ast.Expr(value=ast.Name(id=name)) if hasattr(builtins, name):
                return
            case ast.Import() | ast.ImportFrom():
                self.note_import(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.bind(name, self.constant(value))
            case ast.FunctionDef(name=name, decorator_list=[]) if name != self.entry:
                self.functions[name] = node
                self.names[name] = SHADOW
            case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=given, keywords=[])) if name in self.functions:
                self.inline(name, given)
            case ast.For(target=target, iter=source, body=body, orelse=[]):
                self.loop(target, self.constant(source), body)
            case ast.Assert(test=test):
                self.expect(test)
            case _:
                raise NotLiteralError(f"the statement {ast.unparse(node)[:80]!r}")

    def constant(self, node: ast.expr) -> Any:
        """Gives the value of a constant expression."""
        return constant(node, self.names, self.room)

    def note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Notes which names an import binds, "math" alone being known here."""
        for alias in node.names:
            name = (alias.asname or alias.name).partition(".")[0]
            if name == "*" or name == self.entry or (name == "math") != (alias.name == "math"):
                raise NotLiteralError(f"the import {ast.unparse(node)[:80]!r}")
            if name != "math":
                self.names[name] = SHADOW

    def bind(self, name: str, value: Any) -> None:
        """Gives a name its constant."""
        if name in (self.entry, "math") or name in self.aliases:
            raise NotLiteralError(f"{name} is assigned")
        self.functions.pop(name, None)
        self.names[name] = value

    def inline(self, name: str, handed: Sequence[ast.expr]) -> None:
        """Reads the body of `def check(candidate)`, which is handed the program's function, or of `def test_it()`."""
        function = self.functions[name]
        taken = function.args
        parameters = [arg.arg for arg in taken.args]
        given = [one.id if isinstance(one, ast.Name) else ast.unparse(one).replace("().", ".", 1) for one in handed]
        if (
            taken.vararg
            or taken.kwarg
            or taken.kwonlyargs
            or taken.posonlyargs
            or len(parameters) != len(given)
            or len(given) > 1
            or self.aliases
            or not all(isinstance(one, ast.Name) or text == self.entry for one, text in zip(handed, given, strict=True))
            or not all(map(self.target, given))
        ):
            raise NotLiteralError(f"the call {name}({', '.join(given)})")
        outer = dict(self.names)
        self.aliases = dict(zip(parameters, given, strict=True))
        self.names.update(dict.fromkeys(parameters, SHADOW))
        self.run(function.body)
        self.aliases, self.names = {}, outer

    def loop(self, target: ast.expr, values: Any, body: Sequence[ast.stmt]) -> None:
        """Unrolls a loop over a constant."""
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        if not all(isinstance(one, ast.Name) for one in targets) or isinstance(values, set | frozenset):
            raise NotLiteralError(f"the loop over {ast.unparse(target)[:80]}")
        try:
            rounds = [list(value) if isinstance(target, ast.Tuple) else [value] for value in values]
        except TypeError:
            raise NotLiteralError("a loop over what cannot be taken apart") from None
        for parts in rounds:
            if len(parts) != len(targets):
                raise NotLiteralError(f"{len(targets)} names for {len(parts)} values")
            for one, part in zip(targets, parts, strict=True):
                assert isinstance(one, ast.Name), "checked above"
                self.bind(one.id, part)
            self.run(body)

    def target(self, name: str) -> str | None:
        """Gives the program's function that a name stands for, None where it is something else."""
        name = self.aliases.get(name, name)
        if name == self.entry:
            return name
        return None if name in self.names or hasattr(builtins, name) else name

    def called(self, node: ast.expr) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Gives the arguments where a node is a call of the program, None where it is not."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        name = self.target(node.func.id)
        if name is None:
            return None
        self.entries.add(name)
        kwargs = {keyword.arg or "": self.constant(keyword.value) for keyword in node.keywords}
        if "" in kwargs:
            raise NotLiteralError("an unpacked argument")
        return tuple(self.constant(arg) for arg in node.args), kwargs

    def expect(self, node: ast.expr) -> None:
        """Reads what is asserted."""
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                for value in values:
                    self.expect(value)
                return
            case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as operand):
                found = self.called(operand), Test("falsehood")
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                found = self.comparison(left, op, right)
            case ast.Call():
                found = self.isclose(node) or (self.called(node), Test("truth"))
            case _:
                found = None, Test("truth")
        call, test = found
        if call is not None:
            self.add(call, test)
        elif not self.constant(node):
            raise NotLiteralError(f"{ast.unparse(node)[:80]!r} is false without the program")

    def add(self, call: tuple[tuple[Any, ...], dict[str, Any]], test: Test) -> None:
        """Notes one call."""
        if len(self.calls) >= MAX_CALLS:
            raise NotLiteralError(f"more than {MAX_CALLS} calls")
        self.calls.append(Call(*call, test))

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> tuple[Any, Test]:
        """Gives the call and the test of `left op right`, the call None where neither side has one."""
        if (near := self.near(left, op, right)) is not None:
            return near
        for node, other, kinds in ((left, right, _LEFT), (right, left, _RIGHT)):
            if type(op) in kinds and (call := self.called(node)) is not None:
                expected = self.constant(other)
                if isinstance(op, ast.Is | ast.IsNot) and not (expected is None or isinstance(expected, bool)):
                    raise NotLiteralError(f"identity with {ast.unparse(other)[:80]}")
                if isinstance(op, ast.In) and isinstance(expected, range):
                    raise NotLiteralError("membership of a range")
                return call, Test(kinds[type(op)], expected)
        raise NotLiteralError(f"the comparison {ast.unparse(left)[:60]} … {ast.unparse(right)[:60]}")

    def near(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> tuple[Any, Test] | None:
        """Gives the call and the test of `abs(f(…) - y) < tolerance`, either side first."""
        if type(op) in (ast.Gt, ast.GtE):
            left, op, right = right, ast.Lt() if isinstance(op, ast.Gt) else ast.LtE(), left
        if not isinstance(op, ast.Lt | ast.LtE) or not self.is_abs(left):
            return None
        assert isinstance(left, ast.Call), "is_abs has seen to it"
        match left.args:
            case [ast.BinOp(op=ast.Sub(), left=one, right=other)]:
                for node, expected in ((one, other), (other, one)):
                    if (call := self.called(node)) is not None:
                        kind = "near" if isinstance(op, ast.Lt) else "near_or_at"
                        tolerance = self.constant(right)
                        if not isinstance(tolerance, int | float):
                            raise NotLiteralError(f"the tolerance {tolerance!r}")
                        return call, Test(kind, self.constant(expected), tolerance)  # type: ignore[arg-type]
        return None

    def is_abs(self, node: ast.expr) -> bool:
        """Gives whether a node is a call of abs or math.fabs."""
        match node:
            case ast.Call(func=ast.Name(id="abs"), keywords=[]):
                return "abs" not in self.names
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="fabs"), keywords=[]):
                return "math" not in self.names
        return False

    def isclose(self, node: ast.Call) -> tuple[Any, Test] | None:
        """Gives the call and the test of `math.isclose(f(…), y, …)`, either side first."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose"), args=[one, other]):
                if "math" in self.names:
                    return None
                options = {keyword.arg: self.constant(keyword.value) for keyword in node.keywords}
                if not options.keys() <= {"rel_tol", "abs_tol"}:
                    raise NotLiteralError("an option of math.isclose")
                for call_node, expected in ((one, other), (other, one)):
                    if (call := self.called(call_node)) is not None:
                        tolerance, floor = options.get("rel_tol", 1e-09), options.get("abs_tol", 0.0)
                        return call, Test("isclose", self.constant(expected), tolerance, floor)
        return None


_LEFT: Mapping[type[ast.cmpop], Any] = {
    ast.Eq: "equal",
    ast.NotEq: "unequal",
    ast.Is: "is",
    ast.IsNot: "is_not",
    ast.In: "member",
}
_RIGHT: Mapping[type[ast.cmpop], Any] = {
    ast.Eq: "equal",
    ast.NotEq: "unequal",
    ast.Is: "is",
    ast.IsNot: "is_not",
    ast.In: "contains",
}
