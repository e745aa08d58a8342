"""`rlvr calibrate` names the tasks that their own solutions do not solve, and what it writes leaves them out."""

import json
from pathlib import Path

import pytest

from rlvr.app.cli import main
from rlvr.data.sources import load
from rlvr.errors import VerifierError
from rlvr.verifiers import code

ADD = {"asserts": "assert add(1, 2) == 3", "entry": "add"}
ROWS = [
    {"id": "right", "prompt": "2 + 2?", "answer": "4", "verifier": "exact", "solution": "4"},
    {"id": "wrong", "prompt": "2 + 3?", "answer": "6", "verifier": "exact", "solutions": ["5", "6"]},
    {"id": "none", "prompt": "2 + 4?", "answer": "6", "verifier": "exact"},
    {"id": "number", "prompt": "2 + 5?", "reference": {"answer": "7"}, "verifier": "numeric", "solution": "\\boxed{7}"},
    {"id": "bare", "prompt": "2 + 6?", "answer": "8", "verifier": "numeric", "solution": "\\boxed{8}"},
]
PROGRAMS = [
    {"id": "adds", "prompt": "Add.", "reference": ADD, "verifier": "code", "solution": "def add(a, b): return a + b"},
    {"id": "takes", "prompt": "Add!", "reference": ADD, "verifier": "code", "solution": "def add(a, b): return a - b"},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_a_task_that_its_solution_does_not_solve_is_named_and_then_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write(tmp_path / "rows.jsonl", ROWS), tmp_path / "out.jsonl"
    assert main(["calibrate", str(data), "--output", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file: 2 of 4 solutions pass (50.00 %)"
    assert lines[1].startswith("  wrong: ok")
    assert lines[2].startswith("  bare: bad_reference: expected"), "training would not take it either"
    assert lines[3] == "1 rows left out, the first: rows.jsonl:3: no solution"
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["wrong", "bare"]
    left = load("task", "file", "all", path=data, quarantine=out)
    assert [task.id for task in left.items] == ["right", "none", "number"]
    assert left.skipped.first.endswith("wrong is quarantined: ok: ")
    assert [task.id for task in load("task", "file", "all", path=data, quarantine=out, limit=2).items] == [
        "right",
        "none",
    ]


def test_a_source_is_calibrated_in_all_of_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
    row = {"text": "Add one.", "code": "def f(x): return x + 1", "test_list": ["assert f(1) == 2"]}
    data = write(tmp_path / "mbpp.jsonl", [{**row, "task_id": number, "text": f"{number}"} for number in (3, 30, 700)])
    assert main(["calibrate", "mbpp", "--path", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == 3
    assert main(["calibrate", "mbpp", "--path", str(data), "--split", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == 1


def test_programs_are_run_against_their_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
    assert main(["calibrate", str(write(tmp_path / "programs.jsonl", PROGRAMS)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tasks"], found["left_out"]) == (2, 0)
    assert found["faults"] == [{"id": "takes", "reason": "ok: case 1: gave -1"}]


def test_where_all_pass_the_list_is_empty_and_leaves_nothing_out(tmp_path: Path) -> None:
    data, out = write(tmp_path / "rows.jsonl", ROWS[:1]), tmp_path / "out.jsonl"
    assert main(["calibrate", str(data), "--output", str(out)]) == 0
    assert out.read_text() == ""
    assert len(load("task", "file", "all", path=data, quarantine=out).items) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gsm8k"], "'gsm8k' has no published solutions; known are humaneval, mbpp"),
        (["missing.jsonl"], "no data file at missing.jsonl"),
        (["mbpp", "--path", ".", "--split", "nothing"], "mbpp has no split 'nothing'"),
    ],
)
def test_what_cannot_be_calibrated_is_one_clear_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *words]) != 0
    assert said in capsys.readouterr().err
