"""`rlvr audit`: tables and JSON that scripts can rely on, exit codes, wrong use."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rlvr.app.cli import main

ROWS = [
    {"id": "right", "completion": r"\boxed{4}", "answer": "4", "label": True},
    {"id": "wrong", "completion": r"\boxed{5}", "answer": "4", "label": False},
    {"id": "mislabelled", "completion": r"\boxed{0.5}", "answer": r"\frac{1}{2}", "label": False},
]
USERS = """
from rlvr.types import Verdict

def substring(task, completion):
    return Verdict(float(task.reference in completion.text), "ok")

def raising(task, completion):
    raise ValueError("no such thing")
"""
QUICK = ["--skip", "very long", "--skip", "blow-up", "--references", "2", "--workers", "1"]


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a stranger has it: rows, and a module with verifiers of their own."""
    write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / f"users_{tmp_path.name}.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return tmp_path


def test_one_command_without_a_corpus_passes_for_the_house(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "exact", *QUICK]) == 0
    said = capsys.readouterr()
    text = " ".join(said.out.split())
    assert "exact (exact-1):" in text
    assert "hedging wrong" in text
    assert text.endswith("passed")
    assert said.err == ""


def test_a_row_that_is_judged_otherwise_fails_the_audit_and_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "math", "--corpus", "rows.jsonl", *QUICK]) == 1
    text = " ".join(capsys.readouterr().out.split())
    # Of two rows that are labelled wrong one is accepted.
    assert "corpus, wrong wrong 2 1 1 0 50.00" in text
    assert r"mislabelled reference \frac{1}{2}, completion \boxed{0.5}" in text
    assert "false rejects: 0.00 %, 95 % interval 0.00 to" in text
    assert "failed:" in text
    assert main(["audit", "math", "--corpus", "rows.jsonl", *QUICK, "--max-false-accept", "0.5"]) == 0


def test_a_verifier_of_ones_own_is_audited_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"users_{folder.name}:substring"
    assert main(["audit", name, "--corpus", "rows.jsonl", *QUICK, "--json", "--output", "audit.json"]) == 1
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert json.loads((folder / "audit.json").read_text()) == printed
    assert printed["verifier"] == name
    assert printed["false_accept_rate"]["mean"] > 0.2
    assert printed["false_reject_rate"]["mean"] == 0.0
    assert printed["passed"] is False
    accepted = {row["class"]: row["judged_right"] for row in printed["classes"] if row["expected"] == "wrong"}
    # Four with boxes and four lists for both references, and ± for the whole number.
    assert accepted["hedging"] == 4 + 4 + 4 + 4 + 1
    assert accepted["empty"] == 0
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(("users_", "__"))) == [
        "audit.json",
        "rows.jsonl",
    ]


def test_names_that_no_terminal_can_show_are_escaped(tmp_path: Path) -> None:
    odd = {"id": "a\ud800\x1b[2J", "reference": "18", "completion": r"\boxed{19}", "label": True}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(odd) + "\n")
    command = [sys.executable, "-m", "rlvr.app.cli", "audit", "math", "--corpus", str(rows), "--skip", "blow-up"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([*command, "--skip", "very long"], capture_output=True, env=environment)
    assert run.returncode == 1, run.stderr
    assert b"{d800}" in run.stdout
    assert b"\x1b" not in run.stdout


def test_a_verifier_that_raises_fails_with_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", f"users_{folder.name}:raising", "--corpus", "rows.jsonl", *QUICK]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "crash: ValueError: no such thing" in text
    assert "failed: no verdict on 100.00% of the cases" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["maths"], "no built-in references for 'maths'"),
        (["maths", "--corpus", "rows.jsonl"], "did you mean 'math'?"),
        (["mine:verify"], "--corpus ROWS.jsonl"),
        (["math", "--corpus", "nowhere.jsonl"], "nowhere.jsonl is no file"),
        (["math", "--corpus", "rows.jsonl", "--answer-field", "gold"], "3 rows: no gold"),
        (["math", "--corpus", "rows.jsonl", "--label-field", "truth"], "'truth'"),
        (["math", "--slot", "tag"], "--option slot="),
        (["mine:verify", "--corpus", "rows.jsonl", "--slot", "box"], "no slot 'box'"),
        (["exact", "--skip", "hedge"], "no class 'hedge'"),
        (["exact", *QUICK, "--output", "nowhere/audit.json"], "cannot be written"),
    ],
)
def test_wrong_use_is_said(words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *words]) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--max-false-accept", "2"], ["--deadline", "nan"], ["--references", "0"]])
def test_numbers_out_of_range_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["audit", "math", *words])
    assert ended.value.code == 2
    assert "expected a" in capsys.readouterr().err
