"""The doctor finds what is missing, says what to type, and never fails itself."""

import pytest

from rlvr.app import cli, doctor


def test_the_self_test_tells_right_from_wrong_in_worker_processes() -> None:
    check = doctor._pool()
    assert (check.state, check.name) == ("ok", "verifier pool")


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    check = doctor._extra("train", doctor.EXTRAS["train"])
    assert (check.state, check.advice) == ("missing", 'pip install "rlvr[train]"')
    assert check.finding == "not installed: torch"
    assert not check.essential


def test_a_check_that_fails_becomes_a_finding() -> None:
    def broken() -> doctor.Check:
        raise OSError("no worker could start")

    check = doctor._guarded("verifier pool", broken, essential=True)
    assert (check.state, check.finding) == ("missing", "OSError: no worker could start")


@pytest.mark.parametrize(("essential", "code"), [(True, 1), (False, 0)])
def test_only_what_is_essential_makes_the_doctor_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], essential: bool, code: int
) -> None:
    found = [doctor.Check("core [packages]", "missing", "without numpy", "pip install rlvr", essential)]
    monkeypatch.setattr(doctor, "doctor", lambda: found)
    assert cli.main(["doctor"]) == code
    out = capsys.readouterr().out
    assert "core [packages]" in out
    assert "type: pip install rlvr" in out
