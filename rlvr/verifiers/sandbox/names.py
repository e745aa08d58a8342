"""Which names a test script leaves to the program, and whether it can run in a sandbox of its own.

In its own sandbox a test reaches the program by messages, so it cannot hand it a function, catch its own exception
classes or build on its classes. Such scripts are told apart here, without running anything.
"""

import ast
import builtins
import symtable
import sys
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

_EVALUATING = frozenset({"eval", "exec", "marshal", "pickle"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a script binds itself, what it wants of the program, and the library modules it uses without importing."""

    bound: frozenset[str]
    wanted: frozenset[str]
    modules: frozenset[str]


def reach(source: str, entry: str) -> Reach:
    """Gives the reach of a script. Raises SyntaxError where it does not parse.

    A name that nobody binds is the program's, but a builtin is so only as the entry, and a name of a library module
    means that module: a program must not bring its own `math` to a test.
    """
    table = symtable.symtable(source, "tests", "exec")
    bound, used = set(), set()
    for scope in _scopes(table):
        for symbol in scope.get_symbols():
            is_global = scope is table or symbol.is_global()
            if is_global and (symbol.is_assigned() or symbol.is_imported()):
                bound.add(symbol.get_name())
            if is_global and symbol.is_referenced():
                used.add(symbol.get_name())
    free = {name for name in used - bound if name == entry or not hasattr(builtins, name)}
    modules = {name for name in free if name in sys.stdlib_module_names and name != entry}
    return Reach(frozenset(bound), frozenset(free - modules), frozenset(modules))


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def obstacle(module: ast.Module, wanted: Set[str]) -> str | None:
    """Gives why a script cannot run apart from the program, or None where nothing is seen that forbids it."""
    theirs = wanted | _candidates(module)
    local = {node.name for node in ast.walk(module) if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    for node in ast.walk(module):
        found = _fault(node, theirs, local)
        if found is not None:
            return found
    return None


def _candidates(module: ast.Module) -> set[str]:
    """Gives the parameters of `check`, through which a script is handed the program's function."""
    checks = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    return {arg.arg for node in checks for arg in node.args.args}


def _fault(node: ast.AST, theirs: Set[str], local: Set[str]) -> str | None:
    match node:
        case ast.Call(func=func, args=args, keywords=keywords) if _root(func) in theirs:
            for arg in (*args, *(keyword.value for keyword in keywords)):
                if isinstance(arg, ast.Lambda | ast.GeneratorExp) or (isinstance(arg, ast.Name) and arg.id in local):
                    return f"{ast.unparse(func)[:60]} is handed the function {ast.unparse(arg)[:60]}"
        case ast.ClassDef(name=name, bases=bases) if any(_root(base) in theirs for base in bases):
            return f"the class {name} builds on the program's"
        case ast.ExceptHandler(type=ast.expr() as kind) if any(
            isinstance(part, ast.Name) and part.id in theirs for part in ast.walk(kind)
        ):
            return f"the exception {ast.unparse(kind)[:60]} is the program's own"
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kind]) if _root(kind) in theirs:
            return f"the class {ast.unparse(kind)[:60]} is the program's own"
        case ast.Import(names=names):
            return next(filter(None, (_foreign(alias.name) for alias in names)), None)
        case ast.ImportFrom(module=name, level=level):
            return "an import from beside the tests" if level else _foreign(name or "")
    return None


def evaluation(modules: Iterable[ast.Module], wanted: Set[str]) -> str | None:
    """Gives why scripts may run what the program gave as code, which could then decide for them, or None."""
    nodes = [node for module in modules for node in ast.walk(module)]
    own = {id(node.func) for node in nodes if isinstance(node, ast.Call) and _is_text(node.args[:1])}
    for node in nodes:
        match node:
            case ast.Name(id=name) if name in _EVALUATING - wanted and id(node) not in own:
                return f"{name} may run what the program gave"
            case ast.ImportFrom(module=name) if name in _EVALUATING:
                return f"{name} may run what the program gave"
    return None


def _is_text(args: list[ast.expr]) -> bool:
    return all(isinstance(arg, ast.Constant) for arg in args)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


def _foreign(module: str) -> str | None:
    name = module.partition(".")[0]
    return None if name in sys.stdlib_module_names else f"the module {name!r} is not of the standard library"
