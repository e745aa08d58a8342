import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rlvr.app.cli import main
from rlvr.types import Verdict
from rlvr.verifiers import code
from rlvr.verifiers.many import verify_many

CALLS = {
    "calls": [{"args": [[3, 1, 3]], "expected": [3, 1]}, {"args": [[]], "expected": []}],
    "entry": "solve",
}
STDIN = {"stdin": [{"input": "3 1 3\n", "output": "3 1\n"}, {"input": "7\n", "output": "7\n"}]}
JUDGED = {
    "asserts": "for a in ([3, 1, 3], [5, 5, 2]):\n    r = solve(a)\n    assert r == sorted(set(a))[::-1] and r\n",
    "entry": "solve",
}
SOLVE = "def solve(xs):\n    return sorted(set(xs), reverse=True)\n"
PRINT = "print(*sorted(set(map(int, input().split())), reverse=True))\n"


pytestmark = pytest.mark.usefixtures("sandboxes")


def verify(completion: str, reference: Any) -> Verdict:
    (verdict,) = verify_many([{"completion": completion, "reference": reference}], "code")
    return verdict


def short(reference: dict[str, Any]) -> dict[str, Any]:
    return {**reference, "limits": {"cpu_seconds": 0.5, "wall_seconds": 20.0}}


def rows(name: str) -> list[dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))["row"]


@pytest.mark.parametrize("row", rows("right_programs.toml"), ids=lambda row: row["program"][:40])
def test_a_right_program_passes(row: dict[str, Any]) -> None:
    verdict = verify(row["program"], row["reference"])
    assert (verdict.outcome, verdict.status, verdict.path) == (1.0, "ok", row["path"]), verdict
    assert verdict.parts["passed"] == verdict.parts["cases"]
    assert verdict.version == code.VERSION


ALWAYS = """
class E:
    def __eq__(s, o): return True
    def __ne__(s, o): return False
    def __lt__(s, o): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __bool__(s): return True
    def __len__(s): return 1
    def __iter__(s): return iter([1])
    def __getitem__(s, i): return s
    def __getattr__(s, n): return s
    def __call__(s, *a, **k): return s
    def __sub__(s, o): return 0
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(s): return 0
    def __float__(s): return 0.5
    def __hash__(s): return 1
def f(*a): return E()
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert f(1) == 2",
        "assert not f(1) != 2",
        "assert f(1) < 2",
        "assert f(1) in [2]",
        "assert 2 in f(1)",
        "assert f(1)[0] == 2",
        "assert f(1).x == 2",
        "assert len(f(1)) == 1",
        "assert list(f(1)) == [1]",
        "for x in f(1):\n    assert x == 1",
        "a, = f(1)\nassert a == 1",
        "assert abs(f(1) - 2) < 1e-6",
        "assert math.isclose(f(1), 0.5)",
        "assert sum(f(1)) == 1",
        "assert sorted(f(1)) == [1]",
        "assert {f(1): 2}[f(1)] == 2",
        "assert f(1) == f(1)",
        "assert [f(1)] == [2]",
        "try:\n    assert f(1) == 2\nexcept BaseException:\n    pass",
        "try:\n    assert f(1) == 2\nfinally:\n    ok = True",
        "assert (f(1) == 2) is True",
        "x = f(1)\nassert x == x",
        "assert all(f(1) == y for y in (1, 2))",
        "assert f(1) if f(2) else False",
        "assert round(f(1), 2) == 0.5",
        "assert f(1) + 2 == 0",
        "assert 2 - f(1) == 0",
        "assert min(f(1), 3) == 3",
    ],
)
def test_an_object_that_equals_everything_passes_no_test(test: str) -> None:
    verdict = verify(ALWAYS, {"asserts": test, "entry": "f"})
    assert verdict.outcome == 0.0, verdict


@pytest.mark.parametrize("row", rows("wrong_programs.toml"), ids=lambda row: row["program"][:40])
def test_a_program_that_cheats_or_fails_does_not_pass(row: dict[str, Any]) -> None:
    verdict = verify(row.pop("program"), row)
    assert verdict.outcome == 0.0, verdict


@pytest.mark.parametrize(
    ("program", "reference", "status", "error"),
    [
        ("def solve(xs): return []", CALLS, "ok", ""),
        ("def solve(xs): return True", {"calls": [{"args": [1], "expected": 1}], "entry": "solve"}, "ok", ""),
        ("def solve(xs): return 1 / 0", CALLS, "exception", "raised ZeroDivisionError: division by zero"),
        ("1 / 0", CALLS, "exception", "ZeroDivisionError: division by zero"),
        ("def solve(xs:", CALLS, "exception", "SyntaxError"),
        ("int x;", CALLS, "exception", "SyntaxError"),
        ("x\x00 = 1", CALLS, "exception", ""),
        ("def other(xs): pass", CALLS, "exception", "defines no 'solve'"),
        ("def solve(xs):\n    while True: pass", short(CALLS), "timeout", ""),
        ("def solve(xs): return bytearray(3 << 30)", CALLS, "memory", ""),
        ("def solve(xs): import os; os._exit(0)", CALLS, "exception", "exit status 0"),
        ("def solve(xs): import ctypes; ctypes.string_at(8)", CALLS, "crash", "signal 11"),
        ("print('x' * 10**6)", STDIN, "output_limit", ""),
        ("raise SystemExit(3)", STDIN, "exception", "exit status 3"),
        ("print(input())", STDIN, "ok", ""),
        ("", CALLS, "no_answer", ""),
        ("<think>still", CALLS, "no_answer", ""),
        ("```js\nlet x\n```", CALLS, "wrong_format", "the code block is js; only Python is run"),
        ("#" * 10_000_000, CALLS, "wrong_format", "the answer has 10000000 characters; at most 1000000 are read"),
        ("def solve(a): return 1 / 0", JUDGED, "exception", "ZeroDivisionError: division by zero"),
        ("def solve(a): return [1]", JUDGED, "ok", "AssertionError"),
        ("def solve(a): return object()", JUDGED, "ok", "compares"),
        ("def solve(a):\n    while True: pass", short(JUDGED), "timeout", ""),
        ("def solve(a): return bytearray(3 << 30)", JUDGED, "memory", ""),
        ("1 / 0", JUDGED, "exception", "ZeroDivisionError: division by zero"),
        ("def f(g): return 0", {"asserts": "assert f(lambda: 1) == 3", "in_process": True}, "ok", "AssertionError"),
    ],
)  # fmt: skip
def test_the_status_tells_what_went_wrong(program: str, reference: Any, status: str, error: str) -> None:
    verdict = verify(program, reference)
    assert (verdict.outcome, verdict.status) == (0.0, status), verdict
    assert error in str(verdict.parts.get("error", "")), verdict


def test_what_the_program_said_to_standard_error_is_kept_up_to_its_end() -> None:
    verdict = verify("import sys\nprint('x' * 9000, 'last', file=sys.stderr)\ndef solve(xs): return []", CALLS)
    stderr = verdict.parts["stderr"]
    assert isinstance(stderr, str)
    assert stderr.endswith("last\n")
    assert len(stderr) == code.MAX_STDERR_CHARACTERS
    assert verdict.parts["failed"] == "case 1: gave []"


def test_the_share_of_cases_counts_only_where_it_is_asked_for() -> None:
    half = "def solve(xs): return []"
    assert verify(half, CALLS).outcome == 0.0
    verdict = verify(half, {**CALLS, "score": "mean"})
    assert (verdict.outcome, verdict.parts["passed"], verdict.parts["cases"]) == (0.5, 1.0, 2.0)
    assert verify("print(3, 1)", {**STDIN, "score": "mean"}).outcome == 0.5
    slow = "def solve(xs):\n    while not xs: pass\n    return [3, 1]"
    assert verify(slow, {**short(CALLS), "score": "mean"}).outcome == 0.5
    assert verify("1 / 0", {**CALLS, "score": "mean"}).outcome == 0.0


def test_of_a_program_that_never_ends_only_a_few_cases_are_run() -> None:
    cases = [{"input": f"{n}\n", "output": str(n)} for n in range(8)]
    reference = short({"stdin": cases, "score": "mean"})
    # The first case passes; the second to fourth run out of time; the others, which would pass, are not run.
    verdict = verify("n = int(input())\nwhile 0 < n < 4: pass\nprint(n)", reference)
    assert (verdict.outcome, verdict.status, verdict.parts["passed"]) == (1 / 8, "timeout", 1.0)


def test_a_broken_reference_is_not_the_programs_fault() -> None:
    verdict = verify(SOLVE, {"calls": [], "entry": "solve"})
    assert (verdict.outcome, verdict.status, verdict.extracted) == (
        None,
        "bad_reference",
        "0 cases; expected 1 to 10000",
    )
    code.configure(packages=["no_such_package"])
    verdict = verify(SOLVE, {**CALLS, "packages": ["no_such_package"]})
    code.configure()
    assert (verdict.outcome, verdict.status) == (None, "bad_reference")


def test_a_package_that_nobody_allowed_is_a_broken_reference_and_one_that_somebody_did_is_there() -> None:
    program = "import markupsafe\ndef solve(x): return str(markupsafe.escape(x))"
    reference = {"calls": [{"args": ["<"], "expected": "&lt;"}], "entry": "solve", "packages": ["markupsafe"]}
    assert code.check_reference(reference) == ("the package markupsafe is not allowed in the sandbox; allowed: numpy")
    refused = verify(program, reference)
    assert (refused.outcome, refused.status) == (None, "bad_reference")
    code.configure(packages=["numpy", "markupsafe"])
    try:
        allowed = verify(program, reference)
    finally:
        code.configure()
    assert allowed.outcome == 1.0, allowed


def test_a_test_that_hands_over_a_function_it_made_late_is_a_broken_reference() -> None:
    verdict = verify(SOLVE, {"asserts": "g = [abs, lambda x: x][1]\nassert solve(g) == 1", "entry": "solve"})
    assert (verdict.outcome, verdict.status) == (None, "bad_reference")


def test_numpy_is_there_where_the_reference_asks_for_it() -> None:
    program = "import numpy as np\ndef solve(xs): return np.sum(xs).item()"
    reference = {"calls": [{"args": [[1, 2]], "expected": 3}], "entry": "solve"}
    assert verify(program, reference).status == "exception"
    verdict = verify(program, {**reference, "packages": ["numpy"]})
    assert verdict.outcome == 1.0, verdict


def test_many_run_at_once_and_keep_their_order() -> None:
    rows = [
        {
            "completion": f"def solve(x): return {number}",
            "reference": {**CALLS, "calls": [{"args": [1], "expected": 7}]},
        }
        for number in range(40)
    ]
    assert [verdict.outcome for verdict in verify_many(rows, "code")] == [float(n == 7) for n in range(40)]


def test_a_file_of_programs_is_judged_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": "right", "completion": f"```python\n{SOLVE}```", "reference": CALLS},
        {"id": "wrong", "completion": "print(1)", "reference": STDIN},
        {"id": "judged", "completion": SOLVE, "reference": JUDGED},
        {"id": "none", "completion": SOLVE, "reference": {"stdin": []}},
    ]
    path, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["verify", "code", str(path), "--output", str(output), "--workers", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["outcomes"] == {"right": 2, "wrong": 1, "not told": 1}
    assert summary["unusable"] == {"bad_reference": "none: 0 cases; expected 1 to 10000"}
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["id"], row["outcome"], row["path"]) for row in written] == [
        ("right", 1.0, "calls"),
        ("wrong", 0.0, "stdin"),
        ("judged", 1.0, "judged"),
        ("none", None, ""),
    ]
    assert written[1]["parts"]["failed"] == "case 1: printed '1\\n'"
    code.configure()
