"""`rlvr sandbox check` and the doctor's word on the sandbox."""

import json

import pytest

from rlvr.app import cli, doctor
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


@pytest.mark.usefixtures("fresh")
def test_the_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "bubblewrap", lambda: None)
    check = doctor._sandbox()
    assert check.state in ("note", "missing")
    assert "bubblewrap is not installed" in check.finding
    assert check.advice == "apt-get install bubblewrap libseccomp2"
