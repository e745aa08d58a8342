"""`rlvr verify`: rows in, verdicts out, a summary that scripts can rely on."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rlvr.app.cli import main
from rlvr.app.verifying import MAX_NAMED, Summary
from rlvr.types import Verdict

ROWS = [
    {"id": "right", "completion": r"\boxed{4}", "answer": "4", "label": True},
    {"id": 7, "completion": r"\boxed{5}", "answer": "4", "label": False},
    {"completion": r"\boxed{0.5}", "answer": r"\frac{1}{2}", "label": False},
    {"id": "refused", "completion": "four", "answer": "4", "label": True},
]


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_row_gets_a_line_and_the_summary_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = write(tmp_path / "rows.jsonl", ROWS), tmp_path / "out.jsonl"
    assert main(["verify", "math", str(rows), "--output", str(out), "--label-field", "label", "--json"]) == 0
    found = lines(out)
    assert [row["id"] for row in found] == ["right", 7, "row 3", "refused"]
    assert [row["outcome"] for row in found] == [1.0, 0.0, 1.0, 0.0]
    assert [row["status"] for row in found] == ["ok", "ok", "ok", "no_answer"]
    assert all(row.keys() >= {"id", "outcome", "status", "extracted", "path", "seconds"} for row in found)
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"] == 4
    assert summary["outcomes"] == {"right": 2, "wrong": 2}
    assert summary["statuses"] == {"ok": 3, "no_answer": 1}
    # Of two rows labelled wrong one is accepted, of two labelled right one refused.
    assert (summary["false_accept_rate"]["mean"], summary["false_reject_rate"]["mean"]) == (0.5, 0.5)
    assert (summary["false_accepts"], summary["false_rejects"]) == (["row 3"], ["refused"])


def test_the_tables_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "rows.jsonl", ROWS)
    assert main(["verify", "math", str(rows), "--label-field", "label"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "math: 4 rows" in text
    assert "wrong 1 1 0 50.00" in text
    assert "wrongly accepted, the first 1: row 3" in text


def test_broken_lines_cost_only_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    good = json.dumps(ROWS[0]).encode()
    deep = b"[" * 100_000
    path.write_bytes(b"\n".join([b"{broken", b"\xff\xfe", deep, b"", b'{"completion": NaN, "answer": "4"}', good]))
    assert main(["verify", "math", str(path), "--output", str(out), "--json"]) == 0
    assert [row["status"] for row in lines(out)] == ["bad_row"] * 4 + ["ok"]
    assert json.loads(capsys.readouterr().out)["outcomes"] == {"not told": 4, "right": 1}


def test_the_first_unusable_row_of_each_kind_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(
        tmp_path / "rows.jsonl", [ROWS[0], {"answer": "4"}, {"completion": 5}, {"completion": "", "answer": [4]}]
    )
    assert main(["verify", "math", str(rows), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unusable"] == {
        "bad_row": "row 2: the row has no 'completion'",
        "bad_reference": 'row 4: expected a string or {"answer": string}, found [4]',
    }
    assert main(["verify", "math", str(rows), "--option", "slto=boxed"]) == 0
    assert "bad_reference, the first: right: unknown key 'slto'" in " ".join(capsys.readouterr().out.split())


def test_only_true_and_false_are_labels_and_rows_without_one_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [False, 0, True, "false", "0", "no", None]
    rows = write(tmp_path / "rows.jsonl", [{**ROWS[0], "label": label} for label in labels])
    assert main(["verify", "math", str(rows), "--label-field", "label", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["confusion"] == [
        {"label": False, "judged": "right", "rows": 2},
        {"label": True, "judged": "right", "rows": 1},
    ]
    assert summary["unlabelled"] == 4
    assert main(["verify", "math", str(rows), "--label-field", "lable"]) == 0
    assert "rows without a label of true or false: 7" in capsys.readouterr().out


def test_names_that_no_terminal_can_show_are_escaped(tmp_path: Path) -> None:
    odd = {"id": "a\ud800\x1b[2J", "label": False}
    rows = write(tmp_path / "rows.jsonl", [{**ROWS[0], **odd}, odd])
    out, command = tmp_path / "out.jsonl", [sys.executable, "-m", "rlvr.app.cli", "verify", "math", str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for words in ([], ["--json"]):
        run = subprocess.run(
            [*command, "--label-field", "label", "--output", str(out), *words], capture_output=True, env=environment
        )
        assert run.returncode == 0, run.stderr
        assert b"d800" in run.stdout
        assert b"\x1b" not in run.stdout
    assert [row["id"] for row in lines(out)] == [odd["id"]] * 2


@pytest.mark.parametrize(
    ("verifier", "completion", "answer"),
    [
        ("math", r"\boxed{4}", 4),
        ("math", r"\boxed{4.5}", 4.5),
        ("exact", "4", 4),
        ("choice", "(B)", "B"),
        ("numeric", "9.80", 9.8),
        ("numeric", "9.8", "9.8"),
        ("string_set", "red, blue", ["blue", "red"]),
        ("string_set", "red", "red"),
        ("regex", "aab", "a+b"),
    ],
)
def test_a_bare_answer_is_enough_for_every_verifier_that_needs_no_more(
    verifier: str, completion: str, answer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(tmp_path / "rows.jsonl", [{"completion": text, "answer": answer} for text in (completion, "17")])
    assert main(["verify", verifier, str(rows), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == {"right": 1, "wrong": 1}


def test_the_published_layouts_of_constraints_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, kwargs = ["punctuation:no_comma", "keywords:existence"], [{"keywords": None}, {"keywords": ["sea"]}]
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    ifeval = {"key": 1, "prompt": "?", "instruction_id_list": names, "kwargs": kwargs, "completion": "the sky"}
    tulu = {"ground_truth": str([{"instruction_id": names, "kwargs": kwargs}]), "completion": "the sky"}
    bad = {"instruction_id_list": ["no_comma"], "kwargs": None, "completion": "the sky"}
    write(rows, [ifeval, tulu, {**ifeval, "kwargs": [{}]}, bad])
    assert main(["verify", "instructions", str(rows), "--output", str(out)]) == 0
    assert [row["outcome"] for row in lines(out)] == [0.0, None, None, None]
    assert "unknown constraint 'no_comma'" in capsys.readouterr().out
    words = ["verify", "instructions", str(rows), "--answer-field", "ground_truth", "--output", str(out)]
    assert main(words) == 0
    # Tulu's score is the mean over the constraints, unless an option says otherwise.
    assert [row["outcome"] for row in lines(out)][:2] == [0.0, 0.5]
    assert main([*words, "--option", "score=all"]) == 0
    assert [row["outcome"] for row in lines(out)][:2] == [0.0, 0.0]


@pytest.mark.parametrize("keep", [0.5, 0.0])
def test_a_broken_zip_is_said_and_leaves_nothing(
    keep: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress("".join(json.dumps({**ROWS[0], "id": n}) + "\n" for n in range(3000)).encode())
    path.write_bytes(whole[: int(keep * len(whole))] or b"no gzip")
    assert main(["verify", "math", str(path), "--output", str(tmp_path / "out.jsonl")]) == 2
    assert "cannot be unzipped" in capsys.readouterr().err
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / ".tmp-out.jsonl").symlink_to("/dev/full")
    assert main(["verify", "math", str(rows), "--output", str(tmp_path / "out.jsonl")]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert [found.name for found in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_written_and_a_link_followed_neither_is_replaced(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", ROWS)
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert main(["verify", "math", str(rows), "--output", str(pipe)]) == 0
        assert reader.stdout is not None
        assert len(reader.stdout.readlines()) == len(ROWS)
    assert pipe.is_fifo()
    assert main(["verify", "math", str(rows), "--output", str(link)]) == 0
    assert link.is_symlink()
    assert len(lines(file)) == len(ROWS)
    assert main(["audit", "exact", "--output", str(link)]) == 0
    assert link.is_symlink()
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert main(["audit", "exact", "--output", str(pipe)]) == 0
        assert reader.stdout is not None
        assert json.load(reader.stdout)["passed"]
    assert pipe.is_fifo()


def test_an_interrupt_ends_it_cleanly_and_leaves_nothing(tmp_path: Path) -> None:
    # Every row asks computer algebra, so that it is still at it.
    rows = write(
        tmp_path / "rows.jsonl", [{"completion": rf"\boxed{{{n}+x}}", "answer": f"x+{n}"} for n in range(20_000)]
    )
    command = [sys.executable, "-m", "rlvr.app.cli", "verify", "math", str(rows), "--output", str(tmp_path / "out")]
    root = str(Path(__file__).parents[2])
    # A shell lets what it starts in the background ignore SIGINT, and children would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}) as verify:
        signal.signal(signal.SIGINT, before)
        deadline = time.monotonic() + 120
        while not (tmp_path / ".tmp-out").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        verify.send_signal(signal.SIGINT)
        said = verify.communicate(timeout=120)[1]
    assert (verify.returncode, said) == (130, "error: interrupted\n")
    assert [found.name for found in tmp_path.iterdir()] == ["rows.jsonl"]


def test_zipped_rows_other_fields_and_options_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": "A: 26", "gold": "26"}).encode()))
    words = ["--completion-field", "text", "--answer-field", "gold", "--option", "slot=marked", "--json"]
    assert main(["verify", "math", str(path), *words]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == {"right": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["maths", "FILE"], "did you mean 'math'?"),
        (["math", "nowhere.jsonl"], "nowhere.jsonl is no file"),
        (["math", "FILE", "--option", "slot"], "key=value was expected"),
        (["math", "FILE", "--output", "nowhere/out.jsonl"], "nowhere"),
        (["math", "FILE", "--output", "."], "is a folder"),
    ],
)
def test_wrong_use_is_said_and_leaves_nothing(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "FILE", ROWS)
    assert main(["verify", *words]) != 0
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_the_summary_of_a_million_rows_names_only_the_first_mistakes() -> None:
    summary = Summary("math", 1.0)
    for number in range(10_000):
        summary.add(f"row {number}", Verdict(1.0, "ok"), False)
    assert summary.false_accepts == [f"row {number}" for number in range(MAX_NAMED)]
    rate = summary.error_rate(False)
    assert rate is not None
    assert rate.mean == 1.0
    assert summary.error_rate(True) is None
