"""No program passes tests of which no assertion was evaluated, be it the tests' doing or its own."""

from typing import Any

import pytest

from rlvr.types import Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.sandbox.forms import Calls, Judged, Question, read_question

TWICE = "def f(x): return 2 * x"


def read(tests: str, **more: Any) -> Question | str:
    return read_question({"asserts": tests, "entry": "f", **more})


def verify(completion: str, tests: str, **more: Any) -> Verdict:
    reference = {"asserts": tests, "entry": "f", "limits": {"cpu_seconds": 1.0, "wall_seconds": 15.0}, **more}
    (verdict,) = verify_many([{"completion": completion, "reference": reference}], "code")
    return verdict


@pytest.mark.parametrize(
    ("tests", "cases"),
    [
        ("def test_one():\n    assert f(1) == 2\ndef test_two():\n    assert f(2) == 4", 2),
        ("def test():\n    assert f(1) == 2\nassert f(2) == 4", 2),
        ("def test_one():\n    assert f(1) == 2\ntest_one()", 1),
        ("def test_one():\n    assert f(1) == 2\ndef test_all():\n    test_one()\n    assert f(2) == 4", 3),
        ("def test_one():\n    for x in (1, 2, 3):\n        assert f(x) == 2 * x", 3),
        ("def test_one():\n    assert f(0) == 1\ndef test_one():\n    assert f(1) == 2", 1),
    ],
)
def test_functions_that_pytest_would_call_are_called(tests: str, cases: int) -> None:
    question = read(tests)
    assert isinstance(question, Question), question
    assert isinstance(question.form, Calls)
    assert len(question.form.calls) == cases


def test_functions_that_pytest_would_call_run_in_a_sandbox_of_their_own_where_they_say_more() -> None:
    question = read("def test_one(times=2):\n    assert f(f(1)) == 2 * times\n")
    assert isinstance(question, Question), question
    assert isinstance(question.form, Judged)
    assert question.form.tests.endswith("\ntest_one()\n")


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("f(1)\ndef helper():\n    assert f(1) == 2", "nothing calls helper, where the asserts stand"),
        ("f(1)\ndef a():\n    b()\ndef b():\n    assert f(1) == 2", "nothing calls b, where the asserts stand"),
        ("f(1)\ndef a():\n    assert f(1) == 2\n    a()", "nothing calls a, where the asserts stand"),
        ("f(1)\nclass T:\n    def go(self):\n        assert f(1) == 2", "nothing calls T, where the asserts stand"),
        ("assert f(1) == 2\nclass TestF:\n    def test_it(self):\n        assert f(1)", "nothing calls TestF"),
        ("assert f(1) == 2\ndef test_it(given):\n    assert f(given)", "nothing calls test_it, where asserts stand"),
        ("assert f(1) == 2\ndef test_it(*, given):\n    assert f(given)", "nothing calls test_it"),
        ("assert f(1) == 2\nasync def test_it():\n    assert f(1)", "nothing calls test_it"),
        ("def test_it():\n    f(1)", "the tests hold no assert"),
        ("def test_it():\n    print(f(1))\ntest_it()", "the tests hold no assert"),
    ],
)
def test_asserts_that_nothing_runs_make_a_broken_reference(tests: str, reason: str) -> None:
    found = read(tests)
    assert isinstance(found, str), found
    assert reason in found
    assert isinstance(read(tests, in_process=True), str)


@pytest.mark.parametrize(
    "tests",
    [
        "def same(a, b):\n    assert a == b\nsame(f(f(1)), 4)",
        "class T:\n    def go(self):\n        assert f(f(1)) == 4\nT().go()",
        "class T:\n    def __init__(self):\n        assert f(f(1)) == 4\nT()",
        "def decorated(g):\n    return g()\n@decorated\ndef g():\n    assert f(f(1)) == 4",
        "def same(a, b):\n    if a != b:\n        raise ValueError(a)\nsame(f(f(1)), 4)",
        "if f(f(1)) == 4:\n    pass\nelse:\n    raise ValueError",
        "if f(f(1)) == 3:\n    pass\nelif f(f(1)) != 4:\n    raise ValueError",
        "def test_it():\n    assert f(f(1)) == 4",
        "try:\n    f(None)\n    assert False, 'it takes None'\nexcept TypeError:\n    pass",
        "try:\n    f(None)\n    raise ValueError\nexcept TypeError:\n    pass",
        "try:\n    f(None)\nexcept TypeError:\n    pass\nelse:\n    assert False",
        "from __future__ import annotations\nassert f(f(1)) == 4",
        "def same(a, b):\n    if a == b: return\n    raise AssertionError(a)\nsame(f(f(1)), 4)",
        "def ok(a):\n    if a == 4: return True\n    else: raise ValueError\nok(f(f(1)))",
        "match f(f(1)):\n    case 4: pass\n    case _: raise ValueError",
        "for x in (1, 2, 4):\n    if f(2) == x: break\nelse:\n    raise ValueError",
        "def fail(): raise AssertionError\nf(f(1)) == 4 or fail()",
        "def fail(): raise AssertionError\nif f(f(1)) != 4: fail()",
        "try:\n    {4: 1}[f(f(1))]\nexcept KeyError:\n    raise AssertionError",
        "if f(f(1)) != 4:\n    with __import__('contextlib').nullcontext():\n        raise ValueError",
        "def fail(): raise AssertionError\ntry:\n    f(None)\n    fail()\nexcept TypeError:\n    pass",
    ],
)
@pytest.mark.usefixtures("sandboxes")
def test_assertions_of_every_shape_count_as_evaluated(tests: str) -> None:
    verdict = verify(TWICE, tests)
    assert (verdict.outcome, verdict.path) == (1.0, "judged"), verdict
    assert verify("def f(x): return 3", tests).outcome == 0.0


@pytest.mark.usefixtures("sandboxes")
def test_a_check_in_the_preamble_counts_as_well() -> None:
    preamble = "def check(g):\n    assert g(g(1)) == 4"
    assert verify(TWICE, "check(f)", preamble=preamble).outcome == 1.0
    assert verify("def f(x): return 3", "check(f)", preamble=preamble).outcome == 0.0


@pytest.mark.parametrize(
    ("tests", "program"),
    [
        ("for x in f(1): assert x == 2", "def f(x): return []"),
        ("if f(1):\n    assert f(2) == 4", "def f(x): return 0"),
        ("while f(1):\n    assert f(2) == 4\n    break", "def f(x): return None"),
        ("for x in f(1):\n    if x != 2: raise ValueError", "def f(x): return ()"),
        ("def test_it():\n    if not f(1): return\n    assert f(1) == 2", "def f(x): return 0"),
        ("assert 1 + 1 == 2\nassert True\nfor x in f(1): assert x == 2", "def f(x): return []"),
        ("r = f(1)\nassert True\nassert 'always'\nfor x in r: assert x == 2", "def f(x): return []"),
        ("try:\n    assert f(1) == 2\nexcept Exception:\n    pass", "def f(x): return 3"),
        ("try:\n    for x in f(1): assert x == 2\nexcept ValueError:\n    pass", "def f(x): raise ValueError"),
        ("try:\n    f(1)\n    assert False\nexcept Exception:\n    pass", "def f(x): return 3"),
        ("with __import__('contextlib').suppress(ValueError):\n    assert f(1) == 2", "def f(x): raise ValueError"),
    ],
)
@pytest.mark.usefixtures("sandboxes")
def test_a_program_that_leads_the_tests_past_every_assertion_has_not_passed(tests: str, program: str) -> None:
    verdict = verify(program, tests)
    assert (verdict.outcome, verdict.status, verdict.path) == (0.0, "ok", "judged"), verdict
    assert verdict.parts["error"] == "no assertion was evaluated"


@pytest.mark.usefixtures("sandboxes")
def test_beside_the_program_assertions_are_counted_too_where_it_does_not_cheat() -> None:
    def beside(program: str, tests: str) -> tuple[float | None, str, object]:
        verdict = verify(program, tests, in_process=True)
        return verdict.outcome, verdict.path, verdict.parts.get("error")

    loop = "for x in f(lambda: 2):\n    assert x == 2"
    raises = "try:\n    f(lambda: 2)\n    assert False\nexcept "
    assert beside("def f(g): return [g()]", loop) == (1.0, "in_process", None)
    assert beside("def f(g): return []", loop) == (0.0, "in_process", "gave 'no assertion was evaluated'")
    assert beside("def f(g): raise ValueError", f"{raises}ValueError:\n    pass")[0] == 1.0
    assert beside("def f(g): return 2", f"{raises}Exception:\n    pass")[0] == 0.0


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("if False:\n    assert f(1) == 1", "never call the program"),
        ("math.no_such_thing\nassert f(f(1)) == 4", "AttributeError: module 'math' has no attribute"),
        ("assert 1 == 2\nassert f(f(1)) == 4", "AssertionError"),
        ("assert f(f(1)) == 4\nreturn", "SyntaxError"),
        ("import os\nos._exit(0)\nassert f(f(1)) == 4", "exit status 0"),
        ("x = 'x' * (2 << 30)\nassert f(x) == f(x)", "memory"),
        ("while True: pass\nassert f(1) == f(1)", "timeout"),
    ],
)
@pytest.mark.usefixtures("sandboxes")
def test_tests_that_end_before_they_call_the_program_judge_nobody(tests: str, reason: str) -> None:
    for program in (TWICE, "def f(x): return 3"):
        verdict = verify(program, tests)
        assert (verdict.outcome, verdict.status) == (None, "bad_reference"), verdict
        assert reason in verdict.extracted


@pytest.mark.usefixtures("sandboxes")
def test_tests_that_are_too_large_for_a_sandbox_are_a_broken_reference() -> None:
    """700,000 letters of two bytes, and 600,000 characters that a literal writes with two."""
    for tests, more in (
        (f"assert f(f(1)) == 4\n# {'é' * 700_000}", {}),
        ("assert f(f(1)) == 4\n" + "\n" * 600_000, {}),
        ("assert f(lambda: 1) == 4\n" + "\n" * 600_000, {"in_process": True}),
    ):
        verdict = verify(TWICE, tests, **more)
        assert (verdict.outcome, verdict.status) == (None, "bad_reference"), verdict
        assert "the tests are too large" in verdict.extracted


@pytest.mark.usefixtures("sandboxes")
def test_what_the_tests_send_may_be_larger_than_an_answer_but_not_without_end() -> None:
    """Two million characters are over the limit of a reply; half a million values are more than the codec writes."""
    assert verify("def f(x): return len(x)", "x = ['a' * 10**5] * 20\nassert f(x) == f(x)").outcome == 1.0
    verdict = verify("def f(x): return len(x)", "x = [0] * 500_000\nassert f(x) == f(x)")
    assert (verdict.outcome, verdict.status) == (None, "bad_reference"), verdict
    verdict = verify("def f(x): return 0", "n = f(1)\nassert f([n] * 500_000) == 1")
    assert (verdict.outcome, verdict.status) == (0.0, "ok"), verdict
