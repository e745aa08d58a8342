import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = '''
def helper(x):
    return x + 1

def f(xs):
    """Counts 3 things."""
    count = 0
    for x in xs:
        if x > 2 and x != 7:
            count += 1
    return count
'''


@pytest.fixture(scope="module")
def mutants() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("code_mutants").mutants


def test_each_mutant_is_a_program_with_one_change_in_the_function(mutants: Any) -> None:
    found = mutants(PROGRAM, "f", seed=1, per_kind=100)
    assert len({mutant.program for mutant in found}) == len(found)
    # operators: > , and, !=, += ; numbers: 0, 2, 7, 1 each up and down; one return
    assert {kind: sum(m.kind == kind for m in found) for kind in {m.kind for m in found}} == {
        "changed operator": 4,
        "off by one": 8,
        "wrong return": 1,
    }
    original = ast.unparse(ast.parse(PROGRAM)).splitlines()
    for mutant in found:
        changed = [line for line, other in zip(mutant.program.splitlines(), original, strict=True) if line != other]
        assert len(changed) == 1
        assert "Counts 3 things" in mutant.program
        assert "return x + 1" in mutant.program


def test_the_draw_is_the_seeds(mutants: Any) -> None:
    first = mutants(PROGRAM, "f", seed=1, per_kind=2)
    assert first == mutants(PROGRAM, "f", seed=1, per_kind=2)
    assert any(first != mutants(PROGRAM, "f", seed=seed, per_kind=2) for seed in range(2, 6))
