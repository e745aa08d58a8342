import ast
from typing import Any

import pytest

from rlvr.verifiers.sandbox.codec import decode
from rlvr.verifiers.sandbox.compare import Test, holds
from rlvr.verifiers.sandbox.constants import MAX_ITEMS, NotConstantError, Room, constant
from rlvr.verifiers.sandbox.forms import Calls, InProcess, Judged, Question, Stdin, read_question
from rlvr.verifiers.sandbox.literals import Call


def read(reference: Any) -> Question:
    question = read_question(reference)
    assert isinstance(question, Question), question
    return question


def calls(asserts: str, **more: Any) -> tuple[Call, ...]:
    form = read({"asserts": asserts, **more}).form
    assert isinstance(form, Calls), form
    return form.calls


def judged(asserts: str, **more: Any) -> Judged:
    form = read({"asserts": asserts, **more}).form
    assert isinstance(form, Judged), form
    return form


def fault(reference: Any) -> str:
    found = read_question(reference)
    assert isinstance(found, str), found
    return found


@pytest.mark.parametrize(
    ("line", "test"),
    [
        ("assert f(1) == 2", Test("equal", 2)),
        ("assert 2 == f(1)", Test("equal", 2)),
        ("assert f(1) == 2, 'a message'", Test("equal", 2)),
        ("assert f(1) != 2", Test("unequal", 2)),
        ("assert f(1) is None", Test("is", None)),
        ("assert f(1) is True", Test("is", True)),
        ("assert f(1) is not None", Test("is_not", None)),
        ("assert f(1)", Test("truth")),
        ("assert not f(1)", Test("falsehood")),
        ("assert f(1) in [1, 2]", Test("member", [1, 2])),
        ("assert 'a' in f(1)", Test("contains", "a")),
        ("assert abs(f(1) - 0.5) < 1e-6", Test("near", 0.5, 1e-6)),
        ("assert abs(0.5 - f(1)) <= 1e-6", Test("near_or_at", 0.5, 1e-6)),
        ("assert 1e-6 > abs(f(1) - 0.5)", Test("near", 0.5, 1e-6)),
        ("assert math.fabs(f(1) - 0.5) < 1e-6", Test("near", 0.5, 1e-6)),
        ("import math\nassert math.isclose(f(1), 0.5)", Test("isclose", 0.5, 1e-9, 0.0)),
        ("assert math.isclose(0.5, f(1), rel_tol=0.001, abs_tol=2)", Test("isclose", 0.5, 0.001, 2)),
        ("assert f(1) == (3 + 5 + 7, 3 * 5 * 7)", Test("equal", (15, 105))),
        ("assert f(1) == 'ab' + 'c' * 2", Test("equal", "abcc")),
        ("assert f(1) == [1, 0 ** 0, 2 ** 10, -5 // 2, 7 % 4]", Test("equal", [1, 1, 1024, -3, 3])),
        ("assert f(1) == set((1, 2))", Test("equal", {1, 2})),
        ("assert f(1) == float('inf')", Test("equal", float("inf"))),
        ("assert f(1) == {'a': (1, [2])}", Test("equal", {"a": (1, [2])})),
        ("assert f(1) == math.pi", Test("equal", 3.141592653589793)),
        ("assert True\nassert f(1) == 2\nassert True, 'always'", Test("equal", 2)),
        ("x = 2\nassert f(1) == x", Test("equal", 2)),
        (
            "METADATA = {'author': 'jt'}\ndef check(g):\n    '''Tests.'''\n    assert g(1) == 2\ncheck(f)",
            Test("equal", 2),
        ),
    ],
)
def test_an_assert_of_one_call_with_literals_becomes_that_call(line: str, test: Test) -> None:
    (call,) = calls(line)
    assert call.test == test
    assert call.args == (1,)


def test_arguments_are_constants_of_every_kind_and_keywords() -> None:
    (call,) = calls("assert f([1, (2.5, None)], 'a' + 'b', key={1: {2}}, low=-3) == 1")
    assert call.args == ([1, (2.5, None)], "ab")
    assert call.kwargs == {"key": {1: {2}}, "low": -3}
    form = read({"asserts": "assert f([1], k=2) == 1"}).form
    assert isinstance(form, Calls)
    assert [decode(frame) for frame in form.frames] == [[[[1]], {"k": 2}]]


def test_a_conjunction_is_several_calls_and_order_is_kept() -> None:
    found = calls("assert f(1) == 1 and f(2) == 4 and not f(0)\nassert f(3) == 9")
    assert [(call.args, call.test.kind) for call in found] == [
        ((1,), "equal"),
        ((2,), "equal"),
        ((0,), "falsehood"),
        ((3,), "equal"),
    ]


def test_a_loop_over_constants_is_unrolled() -> None:
    found = calls("def check(g):\n    for x in range(2, 5):\n        assert g(x, x + 1) == str(x)\n", entry="f")
    assert [(call.args, call.test.expected) for call in found] == [((2, 3), "2"), ((3, 4), "3"), ((4, 5), "4")]
    found = calls("for a, b in [(1, 2), (3, 4)]:\n    c = a + b\n    assert f(a, b) == c")
    assert [(call.args, call.test.expected) for call in found] == [((1, 2), 3), ((3, 4), 7)]


def test_check_is_called_with_the_entry_where_the_script_leaves_that_out() -> None:
    form = read({"asserts": "def check(candidate):\n    assert candidate(2) == 3\n", "entry": "f"}).form
    assert isinstance(form, Calls)
    assert form.entry == "f"
    assert judged("def check(g):\n    assert g(g(2)) == 3\n", entry="f").tests.endswith("check(f)\n")
    assert "check(f)" not in judged("def check(g):\n    assert g(g(2)) == 3\ncheck(h)\n", entry="f").tests


@pytest.mark.parametrize("entry", ["Solution.go", "Solution().go"])
def test_a_method_is_handed_to_check_on_an_instance(entry: str) -> None:
    form = read({"asserts": "def check(candidate):\n    assert candidate(2) == 3\n", "entry": entry}).form
    assert isinstance(form, Calls)
    assert form.entry == "Solution.go"
    apart = judged("def check(g):\n    assert g(g(2)) == 3\n", entry=entry)
    assert apart.tests.endswith("check(Solution().go)\n")
    assert apart.wanted == ("Solution",)
    other = read({"calls": [{"args": [1], "expected": 2}], "entry": entry}).form
    assert isinstance(other, Calls)
    assert other.entry == "Solution.go"


def test_the_entry_is_the_programs_even_where_it_is_called_like_a_builtin() -> None:
    assert [call.args for call in calls("assert sum(1, 2) == 3", entry="sum")] == [(1, 2)]
    assert judged("assert sum([1, 2]) == sum([3])", entry="sum").wanted == ("sum",)
    assert "the tests call nothing" in fault({"asserts": "assert sum([1, 2]) == 3"})


@pytest.mark.parametrize(
    "script",
    [
        "assert f(1) == f(1)",
        "assert f(f(1)) == 2",
        "assert f(1) + 1 == 2",
        "assert f(1) == 2 or f(1) == 3",
        "assert f(1) < 2",
        "assert 0 < f(1) < 2",
        "assert f(1)[0] == 2",
        "assert sorted(f(1)) == [2]",
        "assert len(f(1)) == 2",
        "assert not f(1) == 2",
        "assert f(1) is 2",
        "assert f(1) in range(10)",
        "assert f(*[1]) == 2",
        "assert f(**{'a': 1}) == 2",
        "assert f(x=[i for i in range(3)]) == 2",
        "a = [2, 1]\nf(a)\nassert a == [1, 2]",
        "import random\nassert f(random.randint(1, 2)) == 2",
        "from math import isclose\nassert isclose(f(1), 2)",
        "def abs(x): return 0\nassert abs(f(1) - 2) < 1",
        "def sorted(x): return 0\nassert f(1) == sorted([1])",
        "def check(g):\n    assert g(1) == 2\n    return\ncheck(f)",
        "def check(g):\n    assert g(1) == 2\ncheck(lambda x: f(x))",
        "def check(g, h):\n    assert g(1) == 2\ncheck(f, 1)",
        "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        "if f(1):\n    assert f(2) == 3",
        "while f(1):\n    assert False",
        "for x in {1, 2}:\n    assert f(x) == 2",
        "for x in [1, 2]:\n    assert f(x) == 2\n    break",
        "for x in 5: assert f(x) == 1",
        "for x, y in [1, 2]: assert f(x) == 1",
        "for x, y in [(1, 2, 3)]: assert f(x) == 1",
        "for x in [1]:\n    pass\nelse:\n    assert f(1) == 2",
        "assert f(1) == 2\nassert g(1) == 2",
        "assert f.g(1) == 2",
        "assert f(1) == 2, f(2)\nassert f(1) == x",
        "assert 1 == 2\nassert f(1) == 2",
        "x = f(1)\nassert x == 2",
        "async def g(): pass\nassert f(1) == 2",
        "global f\nassert f(1) == 2\ndel x",
        "for x in range(200):\n    for y in range(200):\n        pass\nassert f(1) == 2",
    ],
)
def test_a_script_that_says_anything_else_goes_to_a_sandbox_of_its_own_whole(script: str) -> None:
    assert judged(script).tests.startswith(script)


def test_a_helper_of_the_preamble_is_not_the_programs() -> None:
    form = judged("assert f(1) == ref(1)", preamble="def ref(x): return x + 1")
    assert form.wanted == ("f",)
    assert judged("assert abs(f(1) - 2) < 1e-6", preamble="def abs(x): return 0").wanted == ("f",)
    assert calls("assert f(1) == 2", preamble="import math\ndef ref(x): return x")[0].test == Test("equal", 2)


def test_the_asserts_may_stand_in_a_function_of_the_preamble() -> None:
    assert judged("check(f)", preamble="def check(g):\n    assert g(1) == 2", entry="f").wanted == ("f",)


def test_a_preamble_that_defines_the_entry_does_not_stand_in_for_it() -> None:
    assert judged("assert f(f(1)) == 2", preamble="def f(x): ...", entry="f").wanted == ("f",)
    assert len(calls("assert f(1) == 2", preamble="def f(x): ...", entry="f")) == 1


def test_library_modules_that_a_test_forgets_to_import_are_the_real_ones() -> None:
    form = judged("assert math.floor(f(1)) == 2 and string.digits in f(2)")
    assert form.wanted == ("f",)
    assert form.modules == ("math", "string")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("assert f(lambda x: x + 1) == 2", "lambda"),
        ("assert f(key=lambda x: x) == 2", "lambda"),
        ("def g(x): return x\nassert f(g, 1) == 2", "handed the function g"),
        ("class A: pass\nassert f(A) == 2", "handed the function A"),
        ("assert f(x for x in [1]) == 2", "handed the function"),
        ("def check(c):\n    assert c(lambda: 1) == 1\ncheck(f)", "lambda"),
        ("class A(Base): pass\nassert A().x == 1", "builds on the program's"),
        ("try:\n    f(1)\n    assert False\nexcept MyError:\n    pass", "is the program's own"),
        ("assert isinstance(f(1), Thing)", "is the program's own"),
        ("import numpy as np\nassert np.all(f(1) == 2)", "'numpy' is not of the standard library"),
        ("from pytest import raises\nassert f(1) == raises", "'pytest' is not of the standard library"),
        ("from . import x\nassert f(1) == x", "from beside the tests"),
    ],
)
def test_what_cannot_run_apart_is_refused_with_the_reason_or_opted_in_by_name(script: str, reason: str) -> None:
    assert reason in fault({"asserts": script})
    assert isinstance(read({"asserts": script, "in_process": True}).form, InProcess)


def test_opting_in_does_not_weaken_what_can_run_apart() -> None:
    assert isinstance(read({"asserts": "assert f(1) == 2", "in_process": True}).form, Calls)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "expected an object"),
        ({"calls": [], "stdin": []}, "expected an object with one of"),
        ({"calls": [], "entry": "f"}, "0 cases"),
        ({"stdin": []}, "0 cases"),
        ({"asserts": ""}, "call nothing of the program"),
        ({"asserts": "assert True"}, "call nothing of the program"),
        ({"asserts": "assert True", "entry": "f"}, "call nothing of the program"),
        ({"asserts": "f(1)"}, "hold no assert"),
        ({"asserts": "def f(x): return 2\nassert f(1) == 2", "entry": "f"}, "define 'f' themselves"),
        ({"asserts": "from m import f\nassert f(1) == 2", "entry": "f"}, "define 'f' themselves"),
        ({"asserts": "assert f(1) =="}, "do not parse"),
        ({"asserts": "assert f(1) == 2\x00"}, "do not parse"),
        ({"asserts": "return f(1)"}, "hold no assert"),
        ({"asserts": "assert f(1) == 2", "preamble": "def ("}, "do not parse"),
        ({"asserts": "assert f(1) == " + "(" * 500 + ")" * 500}, "do not parse"),
        ({"asserts": "assert f(1) == " + "-" * 50_000 + "1"}, "nested too deeply"),
        ({"asserts": 7}, "asserts is '7'"),
        ({"asserts": ["assert f(1)", 7]}, "list of texts"),
        ({"asserts": "assert f(1)" + " " * 1_000_001}, "characters"),
        ({"calls": [{"args": [1], "expected": 1}]}, 'no "entry"'),
        ({"calls": [{"args": [1]}], "entry": "f"}, "case 1 is"),
        ({"calls": [{"args": 1, "expected": 1}], "entry": "f"}, "args has to be a list"),
        ({"calls": [{"kwargs": [], "expected": 1}], "entry": "f"}, "args has to be a list"),
        ({"calls": [{"expected": 1, "want": 1}], "entry": "f"}, "case 1 is"),
        ({"calls": [7], "entry": "f"}, "case 1 is"),
        ({"calls": [{"args": ["\ud800"], "expected": 1}], "entry": "f"}, "case 1 cannot be sent"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f()"}, "entry is"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "a.b.c"}, "entry is"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "__import__"}, "entry is"),
        ({"calls": [{"args": [], "expected": 1}], "entry": ""}, "entry is"),
        ({"asserts": "assert (f(1) == 2, 'message')", "entry": "f"}, "always true"),
        ({"asserts": "A = 1\nassert A.f(1)", "entry": "A.f"}, "define 'A.f' themselves"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "tolerance": -1}, "tolerance is -1"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "tolerance": float("nan")}, "tolerance is nan"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "tolerance": True}, "tolerance is 'True'"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "preamble": ""}, "unknown key 'preamble'"),
        ({"calls": [{"args": ["a" * 2**20], "expected": 1}] * 65, "entry": "f"}, "the inputs have"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "given": "#" * 1_000_001}, "given has 1000001 char"),
        ({"calls": [{"args": [], "expected": 1}], "entry": "f", "given": "\ud800"}, "given has a lone surrogate"),
        ({"stdin": [{"input": "a" * (64 << 20) + "a", "output": ""}]}, "case 1: the inputs have"),
        ({"stdin": [{"input": "1"}]}, "case 1 is"),
        ({"stdin": [{"input": 1, "output": "1"}]}, "have to be texts"),
        ({"stdin": [{"input": "\ud800", "output": "1"}]}, "lone surrogate"),
        ({"stdin": [{"input": "", "output": ""}], "entry": "f"}, "unknown key 'entry'"),
        ({"stdin": [{"input": "", "output": ""}], "limits": {"cpu": 1}}, "'cpu' is no limit"),
        ({"stdin": [{"input": "", "output": ""}], "limits": {"cpu_seconds": -1}}, "cpu_seconds"),
        ({"stdin": [{"input": "", "output": ""}], "limits": 3}, "limits is"),
        ({"stdin": [{"input": "", "output": ""}], "score": "most"}, "score is 'most'"),
    ],
)
def test_a_reference_that_cannot_be_used_is_told_in_words(reference: Any, reason: str) -> None:
    assert reason in fault(reference)


def test_limits_leave_room_for_what_is_expected() -> None:
    assert read({"stdin": [{"input": "", "output": "x" * 10**6}]}).limits.output_bytes == 2 * 10**6
    long = {"calls": [{"args": [], "expected": "x" * 10**6}], "entry": "f"}
    assert read(long).limits.result_bytes >= 2 * 10**6
    assert read({**long, "limits": {"result_bytes": 1000, "cpu_seconds": 2}}).limits.result_bytes == 1000
    assert read({"stdin": [{"input": "", "output": ""}]}).limits.output_bytes == 256 << 10


def test_the_form_of_stdin_keeps_inputs_as_bytes_and_outputs_here() -> None:
    form = read({"stdin": [{"input": "é\n", "output": "1"}], "tolerance": 1e-6}).form
    assert form == Stdin((("é\n".encode(), "1"),), 1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "2 ** 10 ** 10",
        "10 ** 100000",
        "'x' * 10 ** 9",
        "[0] * 10 ** 9",
        "10 ** 9 * 'x'",
        "list(range(10 ** 9))",
        "range(10 ** 9)",
        "'%1000000000d' % 1",
        "1 / 0",
        "int('x')",
        "{[1]: 2}",
        "{**{}}",
        "x",
        "f(1)",
        "__import__('os')",
        "().__class__",
        "open('/etc/passwd')",
        "[x for x in range(3)]",
        "f'{1}'",
        "...",
        "'a' + 1",
        "1 << 10 ** 9",
        "math.factorial(10)",
        "str({1, 2})",
        "str([1])",
        "sum([[1], [2]], [])",
        "(lambda: 1)()",
    ],
)
def test_an_expression_that_is_no_small_constant_is_refused_and_not_run(text: str) -> None:
    with pytest.raises(NotConstantError):
        constant(ast.parse(text, mode="eval").body, {}, Room())


def test_a_large_sum_of_lists_is_refused() -> None:
    with pytest.raises(NotConstantError):
        constant(ast.parse("a + a", mode="eval").body, {"a": [0] * MAX_ITEMS}, Room())


def test_a_literal_argument_that_is_used_twice_is_sent_afresh_each_time() -> None:
    found = calls("a = [2, 1]\nassert f(a) == [1, 2]\nassert f(a) == [1, 2]")
    assert [call.args for call in found] == [([2, 1],), ([2, 1],)]
    assert all(holds(call.test, [1, 2]) for call in found)
