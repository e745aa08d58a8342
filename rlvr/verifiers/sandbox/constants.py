"""Constant expressions of test code, evaluated here without running anything: `3 * 19`, `set((4, 5))`, `float("inf")`.

Test code comes from a data set, not from a model, but it is still only read: a few operators and builtins on numbers,
texts and containers, all with bounded results. Whatever else stands there is refused, and the test goes another way.
"""

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

MAX_ITEMS = 100_000
MAX_TOTAL_ITEMS = 200_000
MAX_BITS = 1 << 16


SHADOW = object()
"""The value of a name that is bound to something that is no constant: it must not be taken for a builtin either."""


class NotConstantError(Exception):
    """An expression is no constant that can be evaluated here."""


class Room:
    """What the constants of one script may hold together: a short expression can stand for a very large value."""

    def __init__(self) -> None:
        self._left = MAX_TOTAL_ITEMS

    def take(self, value: Any) -> Any:
        """Counts a value with its parts and gives it. Raises NotConstantError where it, or all so far, is too large."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            size = 0
            if isinstance(one, int):
                size = one.bit_length() // 64
            elif isinstance(one, str | bytes | list | tuple | set | frozenset | dict):
                size = len(one)
            self._left -= size + 1
            if self._left < 0 or size > (MAX_BITS // 64 if isinstance(one, int) else MAX_ITEMS):
                raise NotConstantError("a large constant")
            if isinstance(one, list | tuple | set | frozenset | dict):
                waiting.extend(one)
            if isinstance(one, dict):
                waiting.extend(one.values())
        return value


def constant(node: ast.expr, names: Mapping[str, Any], room: Room) -> Any:
    """Gives the value of an expression made of literals and `names`. Raises NotConstantError for any other."""
    try:
        return room.take(_evaluate(node, names, room))
    except (TypeError, ValueError, ArithmeticError, KeyError, RecursionError, MemoryError) as error:
        raise NotConstantError(f"{type(error).__name__} in {ast.unparse(node)[:80]!r}") from None


def _evaluate(node: ast.expr, names: Mapping[str, Any], room: Room) -> Any:
    value_of = functools.partial(constant, names=names, room=room)
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.Name(id=name) if names.get(name, SHADOW) is not SHADOW:
            return names[name]
        case ast.Tuple(elts=items):
            return tuple(map(value_of, items))
        case ast.List(elts=items):
            return list(map(value_of, items))
        case ast.Set(elts=items):
            return set(map(value_of, items))
        case ast.Dict(keys=keys, values=values):
            return {_key(key, value_of): value_of(value) for key, value in zip(keys, values, strict=True)}
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](value_of(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](value_of(left), value_of(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _BUILTINS and name not in names:
            return _BUILTINS[name](*map(value_of, args))
        case ast.Attribute(value=ast.Name(id="math"), attr=attr) if attr in _MATH and "math" not in names:
            return _MATH[attr]
    raise NotConstantError(ast.unparse(node)[:80])


def _key(node: ast.expr | None, value_of: Callable[[ast.expr], Any]) -> Any:
    if node is None:
        raise NotConstantError("a dict unpacked in a dict")
    return value_of(node)


def _number(*values: Any) -> bool:
    return all(isinstance(value, int | float | complex) for value in values)


def _numeric(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def applied(left: Any, right: Any) -> Any:
        if not _number(left, right):
            raise TypeError
        return function(left, right)

    return applied


def _add(left: Any, right: Any) -> Any:
    if not _number(left, right) and type(left) is not type(right):
        raise TypeError
    return left + right


def _multiply(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str | bytes | list | tuple) and len(one) * max(int(other), 0) > MAX_ITEMS:
            raise NotConstantError("a large container")
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MAX_BITS:
        raise NotConstantError("a large power")
    return left**right


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MAX_ITEMS:
        raise NotConstantError("a long range")
    return found


def _str(value: Any) -> str:
    if not isinstance(value, int | float | complex | str | None):
        raise TypeError
    return str(value)


def _sum(values: Any) -> Any:
    if not _number(*values):
        raise TypeError
    return sum(values)


_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _numeric(operator.sub),
    ast.Mult: _multiply,
    ast.Div: _numeric(operator.truediv),
    ast.FloorDiv: _numeric(operator.floordiv),
    ast.Mod: _numeric(operator.mod),
    ast.Pow: _numeric(_power),
}
_BUILTINS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "complex": complex,
    "dict": dict,
    "float": float,
    "frozenset": frozenset,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "range": _range,
    "set": set,
    "sorted": sorted,
    "str": _str,
    "sum": _sum,
    "tuple": tuple,
}
_MATH = {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf, "nan": math.nan}
