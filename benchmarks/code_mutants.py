"""Seeded mutants of a Python function: one changed operator, one number off by one, or one wrong return value each."""

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
KINDS = ("changed operator", "off by one", "wrong return")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed program; `line` is that of the change."""

    kind: str
    line: int
    program: str


def mutants(program: str, entry: str, *, seed: int, per_kind: int) -> list[Mutant]:
    """Gives up to `per_kind` mutants of each kind, drawn by the seed, each different from the program."""
    original = ast.unparse(ast.parse(program))
    found: list[Mutant] = []
    for kind in KINDS:
        drawn = [one for one in _all(program, entry, kind) if one.program != original]
        random.Random(f"{seed}/{entry}/{kind}").shuffle(drawn)
        found += drawn[:per_kind]
    return found


def _all(program: str, entry: str, kind: str) -> Iterator[Mutant]:
    for place in range(len(_sites(ast.parse(program), entry, kind))):
        for variant in (1, -1) if kind == "off by one" else (0,):
            tree = ast.parse(program)
            node, line, change = _sites(tree, entry, kind)[place]
            change(node, variant)
            yield Mutant(kind, line, ast.unparse(ast.fix_missing_locations(tree)))


Site = tuple[ast.AST, int, Callable[[ast.AST, int], None]]


def _sites(tree: ast.Module, entry: str, kind: str) -> list[Site]:
    """Gives the nodes of the function that a kind of mutation can change, and how."""
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry]
    found: list[Site] = []
    for statement in function.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        for node in ast.walk(statement):
            line = getattr(node, "lineno", 0)
            if kind == "changed operator" and isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
                found += [(node, line, _change_operator)] if type(node.op) in OPERATORS else []
            elif kind == "changed operator" and isinstance(node, ast.Compare):
                found += [(node, line, _change_comparison)] if type(node.ops[0]) in OPERATORS else []
            elif kind == "off by one" and isinstance(node, ast.Constant) and type(node.value) is int:
                found.append((node, line, _shift))
            elif kind == "wrong return" and isinstance(node, ast.Return) and node.value is not None:
                found.append((node, line, _wrong_return))
    return found


def _change_operator(node: ast.AST, _: int) -> None:
    node.op = OPERATORS[type(node.op)]()  # type: ignore[attr-defined]


def _change_comparison(node: ast.AST, _: int) -> None:
    node.ops[0] = OPERATORS[type(node.ops[0])]()  # type: ignore[attr-defined]


def _shift(node: ast.AST, by: int) -> None:
    node.value += by  # type: ignore[attr-defined]


def _wrong_return(node: ast.AST, _: int) -> None:
    """Negates what is a condition; anything else is returned in a list."""
    value = copy.deepcopy(node.value)  # type: ignore[attr-defined]
    condition = isinstance(value, ast.Compare | ast.BoolOp) or (
        isinstance(value, ast.Constant) and isinstance(value.value, bool)
    )
    node.value = ast.UnaryOp(ast.Not(), value) if condition else ast.List([value], ast.Load())  # type: ignore[attr-defined]
