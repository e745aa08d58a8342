import json
import subprocess
import sys
import time
from pathlib import Path

import rlvr.runs.provenance as provenance
from rlvr.runs.provenance import collect

REPOSITORY = Path(__file__).resolve().parents[2]


def test_it_names_code_libraries_machine_data_and_verifiers():
    facts = collect(data_hashes={"gsm8k:train": "ab12"}, verifier_versions={"math": "1"})
    assert facts["data_hashes"] == {"gsm8k:train": "ab12"}
    assert facts["verifier_versions"] == {"math": "1"}
    assert facts["libraries"]["numpy"] == __import__("numpy").__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["threads"]["usable_cores"] >= 1
    assert facts["cpu"]["model"]
    assert json.loads(json.dumps(facts)) == facts


def test_a_git_that_hangs_is_given_up_soon(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 5\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    started = time.perf_counter()
    assert collect(data_hashes={}, verifier_versions={})["code"] is None
    assert time.perf_counter() - started < 4.0


def test_a_machine_without_git_and_proc_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        provenance, "Path", lambda path: tmp_path / "missing" if path == "/proc/cpuinfo" else Path(path)
    )
    facts = collect(data_hashes={}, verifier_versions={})
    assert facts["code"] is None
    assert facts["cpu"]["flags"] == []


def test_uncommitted_changes_are_kept_with_the_commit(tmp_path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "rlvr"
    package.mkdir()
    (package / "x.py").write_text("a = 1\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    clean = provenance._code(package)
    assert clean is not None
    assert (clean["commit"], clean["diff"], clean["diff_bytes"]) == (git("rev-parse", "HEAD"), "", 0)
    (package / "x.py").write_text("a = 2\n")
    changed = provenance._code(package)
    assert changed is not None
    assert "-a = 1\n+a = 2\n" in changed["diff"]
    assert changed["diff_sha256"] != clean["diff_sha256"]


def test_a_package_installed_inside_some_other_checkout_is_not_taken_for_it(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    package = tmp_path / "site-packages" / "rlvr"
    package.mkdir(parents=True)
    assert provenance._code(package) is None


def test_the_room_loads_no_torch():
    rooms = "rlvr.runs.folder, rlvr.runs.sameness, rlvr.runs.provenance, rlvr.runs.report, rlvr.runs.sinks"
    code = f"import {rooms}, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
