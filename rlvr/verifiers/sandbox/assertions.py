"""Which assertions of a test script run: calls that are left to the runner are added, scripts that assert nothing told.

As pytest does, functions `test…` without arguments are called; as HumanEval does, `check` is called with the entry.
What nothing calls asserts nothing, and every program would pass it. Nothing is run here.
"""

import ast
from collections.abc import Iterable, Iterator

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def with_calls(tests: str, module: ast.Module, entry: str) -> str:
    """Gives the tests with the calls that HumanEval and pytest leave to the runner."""
    called = entry.replace(".", "().")
    calls = [f"check({called})"] if entry and _defines_check(module) and not _calls_check(module) else []
    running = {id(node) for node in _running([module])}
    left = [node for node in module.body if id(node) not in running and _is_test(node)]
    calls += dict.fromkeys(f"{node.name}()" for node in left if isinstance(node, ast.FunctionDef) and _is_free(node))
    return "\n".join([tests, *calls, ""]) if calls else tests


def fault(module: ast.Module, before: ast.Module, *, is_called: bool, entry: str) -> str | None:
    """Gives why tests, with `before` as their preamble, assert nothing of the program, or None where nothing says so.

    `is_called` says that they use a name which only the program can bind.
    """
    if not is_called and not (entry and (_defines_check(module) or _names(module, entry))):
        return "the tests call nothing of the program"
    for node in ast.walk(module):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            return f"the assert of a tuple is always true: {ast.unparse(node)[:80]}"
    running = _running([before, module])
    seen = {id(node) for node in running}
    idle = [
        node for node in module.body if isinstance(node, _DEFINITIONS) and id(node) not in seen and _asserts([node])
    ]
    if left := [node.name for node in idle if _is_test(node)]:
        return f"nothing calls {', '.join(left)[:80]}, where asserts stand"
    if _asserts(running):
        return None
    return (
        f"nothing calls {', '.join(node.name for node in idle)[:80]}, where the asserts stand"
        if idle
        else ("the tests hold no assert")
    )


def _asserts(nodes: Iterable[ast.AST]) -> bool:
    return any(isinstance(part, ast.Assert | ast.Raise) for node in nodes for part in ast.walk(node))


def _running(modules: Iterable[ast.Module]) -> list[ast.AST]:
    """Gives the nodes of scripts that may run: not the functions and classes that no such node names."""
    seen: list[ast.AST] = []
    names: set[str] = set()
    idle: dict[str, list[_Definition]] = {}
    waiting: list[ast.AST] = [statement for module in modules for statement in module.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _DEFINITIONS) and node.name not in names and not node.decorator_list:
            idle.setdefault(node.name, []).append(node)
            continue
        seen.append(node)
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name and name not in names:
            names.add(name)
            waiting += idle.pop(name, [])
        waiting += _inside(node)
    return seen


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Gives what a node is made of; a class that is used may have any of its methods called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.ClassDef) and isinstance(child, _FUNCTIONS):
            yield from ast.iter_child_nodes(child)
        else:
            yield child


def _is_test(node: ast.AST) -> bool:
    """Gives whether pytest would collect it."""
    return isinstance(node, _DEFINITIONS) and node.name.startswith("Test" if isinstance(node, ast.ClassDef) else "test")


def _is_free(node: ast.FunctionDef) -> bool:
    """Gives whether a function can be called without arguments."""
    given = node.args
    return len(given.posonlyargs + given.args) == len(given.defaults) and None not in given.kw_defaults


def _defines_check(module: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in module.body)


def _calls_check(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check"
        for statement in module.body
        if not isinstance(statement, ast.FunctionDef)
        for node in ast.walk(statement)
    )


def _names(module: ast.Module, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(module))
