"""Running the sandbox as another user than the one who runs the tests."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534


def environment() -> dict[str, str]:
    """Gives an environment in which another interpreter of this version finds the house and what it imports."""
    import pyseccomp

    paths = [str(ROOT), str(Path(pyseccomp.__file__).parent)]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@functools.cache
def python_of_nobody() -> str:
    """Gives an interpreter that uid 65534 can start; skips the test where there is none."""
    if os.geteuid() != 0:
        pytest.skip("only root can take on another user")
    code = "import sys, rlvr.verifiers.sandbox.pool; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        if python is None:
            continue
        try:
            run_as_nobody([python, "-c", code], timeout=60).check_returncode()
        except (OSError, subprocess.SubprocessError):
            continue
        return python
    pytest.skip("no interpreter that uid 65534 may start finds this checkout")


def run_as_nobody(command: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs a command as uid 65534."""
    return subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], env=environment(), cwd="/", timeout=timeout,
        capture_output=True, text=True,
    )  # fmt: skip
