"""How a sandbox starts, for this user and for an ordinary one."""

import subprocess
import sys
from pathlib import Path

import pytest
from users import environment, python_of_nobody, run_as_nobody

from rlvr.errors import VerifierError
from rlvr.verifiers.sandbox import driver, launch

FIRST_TO_GO = """
import sys
from pathlib import Path
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
score = lambda pid: Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
before, pool = score("self"), SandboxPool(1, level=int(sys.argv[1]))
with pool.session("", Limits()):
    box = next(iter(pool._slots[0].boxes.values()))
    (child,) = Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split()
    print(score("self") == before, *map(score, {box._process.pid, box.pid, int(child)}), pool.level)
"""


def test_a_sandbox_that_cannot_be_set_up_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(**_: object) -> bytes:
        raise VerifierError("libseccomp is not installed")

    monkeypatch.setattr(launch.policy, "compiled", missing)
    monkeypatch.setattr(launch.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(VerifierError, match="libseccomp"):
        launch.without_namespaces(launch.interpreter("/usr/bin/python3", ()), level=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", [3, 2])
@pytest.mark.parametrize("nobody", [False, True], ids=["this user", "nobody"])
def test_a_kernel_out_of_memory_kills_the_sandbox_before_the_trusted_side(level: int, nobody: bool) -> None:
    python = python_of_nobody() if nobody else "/usr/bin/python3"
    command = [python, "-c", FIRST_TO_GO, str(level)]
    if nobody:
        done = run_as_nobody(command, timeout=120)
    else:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    if "VerifierError" in done.stderr:
        pytest.skip("no such level here")
    assert done.returncode == 0, done.stderr
    own, *scores, reached = done.stdout.split()
    assert own == "True"
    assert scores == ["1000"] * (3 if reached == "3" else 2)


def test_a_sandbox_without_its_examiner_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"examiner\.py"):
        driver.prepare(str(tmp_path))


COMPILED = """
import os
from rlvr.verifiers.sandbox import driver, judged
driver.prepare(os.path.dirname(driver.__file__))
found = {}
exec(driver.PRELUDES[judged.PRELUDE], found)
print(sorted(driver.PRELUDES), found["SCRIPT"])
"""


def test_what_a_fork_server_compiles_is_the_examiner_alone() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['examiner'] {'preamble': '', 'tests': '', 'wanted': [], 'modules': []}"
