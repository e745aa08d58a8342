"""`rlvr sandbox check` and the doctor's word on the sandbox."""

import json
from pathlib import Path

import pytest

from rlvr.app import cli, doctor
from rlvr.verifiers import code
from rlvr.verifiers.sandbox import launch

KEYS = {
    "level", "name", "allowed", "statement", "mechanisms", "not_enforced", "kernel", "landlock_abi", "uid", "python",
    "self_test", "reasons", "hint",
}  # fmt: skip


def test_the_check_gives_level_mechanisms_self_test_and_what_is_not_enforced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = cli.main(["sandbox", "check", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == KEYS
    assert code == (0 if found["allowed"] else 1)
    assert found["allowed"] == (found["level"] >= 2)
    if found["allowed"]:
        assert len(found["self_test"]) >= 10
        assert all(probe["held"] for probe in found["self_test"])
        assert found["not_enforced"]


def test_the_check_says_it_in_one_line_first(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["sandbox", "check"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("sandbox level ")
    assert all(word in first for word in ("kernel", "Landlock ABI", "uid", "not enforced"))


@pytest.mark.usefixtures("weak")
def test_a_level_that_is_too_weak_is_refused_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sandbox", "check"]) == 1
    out = capsys.readouterr().out
    assert "refused: model-written code is not run here unless allow_unsafe_execution is given" in out
    assert "not higher because of level 3: this kernel has no such thing" in out
    check = doctor._sandbox()
    assert (check.state, check.essential) == ("missing", False)


@pytest.mark.usefixtures("weak")
def test_a_verdict_of_a_sandbox_that_is_too_weak_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"completion": "def f(x): return x", "reference": {"calls": [{"args": [1], "expected": 1}], "entry": "f"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    words = ["verify", "code", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "out.jsonl"), "--workers", "3"]
    assert cli.main(words) != 0
    assert "allow_unsafe_execution" in capsys.readouterr().err
    assert cli.main([*words, "--allow-unsafe-execution"]) == 0
    verdict = json.loads((tmp_path / "out.jsonl").read_text())
    code.configure()
    assert (verdict["outcome"], verdict["parts"]["sandbox_level"]) == (1.0, 0.0)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho no namespaces here >&2\nexit 1\n", "no namespaces here"),
        ("#!/bin/sh\nsleep 60\n", "said nothing"),
    ],
)
def test_a_bubblewrap_that_fails_or_hangs_is_the_reason_why_the_level_is_no_higher(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(script)
    broken.chmod(0o755)
    monkeypatch.setattr(launch, "bubblewrap", lambda: str(broken))
    monkeypatch.setattr("rlvr.verifiers.sandbox.box.START_SECONDS", 3.0)
    code = cli.main(["sandbox", "check", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["level"] < 3
    assert code == (0 if found["allowed"] else 1)
    assert any(reason.startswith("level 3: ") and said in reason for reason in found["reasons"]), found["reasons"]


@pytest.mark.usefixtures("fresh")
def test_where_nothing_can_be_started_json_says_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Plan 9")
    assert cli.main(["sandbox", "check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert set(found) == KEYS
    assert (found["level"], found["allowed"]) == (0, False)
    assert found["statement"] == "the sandbox needs Linux; this is Plan 9"


@pytest.mark.usefixtures("fresh")
def test_the_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "bubblewrap", lambda: None)
    check = doctor._sandbox()
    assert check.state in ("note", "missing")
    assert "bubblewrap is not installed" in check.finding
    assert check.advice == "apt-get install bubblewrap libseccomp2"
