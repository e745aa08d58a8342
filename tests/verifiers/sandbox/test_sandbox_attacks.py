"""Attacks beside the shared corpus fail, and an honest run passes after each."""

import json
from collections.abc import Iterator
from pathlib import Path

import attacks
import pytest
from attacks import ACTS, LIMITS, NASTY, TEXTS, acts, honest, run, stopped, survived
from users import python_of_nobody, run_as_nobody

from rlvr.errors import VerifierError
from rlvr.verifiers.sandbox.pool import SandboxPool


@pytest.fixture(scope="module", params=[None, 2], ids=["best level", "level 2"])
def pool(request: pytest.FixtureRequest) -> Iterator[SandboxPool]:
    try:
        made = SandboxPool(1, level=request.param, python="" if request.param is None else "/usr/bin/python3")
    except VerifierError as error:
        pytest.skip(error.message)
    yield made
    made.close()


@pytest.mark.parametrize("what", ACTS)
def test_a_program_cannot(pool: SandboxPool, what: str) -> None:
    if what not in acts(pool.level):
        pytest.skip("only a file system and a host of its own keep it from that")
    assert stopped(pool, what) == ""


@pytest.mark.parametrize("what", NASTY)
def test_the_next_program_runs_in_peace_after(pool: SandboxPool, what: str) -> None:
    assert survived(pool, what) == ""


@pytest.mark.parametrize("level", [3, 2])
def test_all_of_it_holds_for_an_ordinary_user(level: int) -> None:
    done = run_as_nobody([python_of_nobody(), str(Path(attacks.__file__)), str(level)], timeout=280)
    if "VerifierError" in done.stderr:
        pytest.skip("an ordinary user has no such level here")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["made"], found["wrong"]) == (len(acts(found["level"])) + len(NASTY), [])


@pytest.mark.parametrize("what", TEXTS)
def test_any_text_as_a_program_gets_a_clear_status(pool: SandboxPool, what: str) -> None:
    program, status = TEXTS[what]
    ran = pool.run_stdin(program, b"", LIMITS)
    assert ran.status == status, ran
    assert (ran.error == "") == (status == "ok")
    assert honest(pool).status == "ok"


def test_nothing_of_a_run_is_found_by_the_next_one(pool: SandboxPool) -> None:
    program = """
import gc, os, sys
found = [o for o in gc.get_objects() if isinstance(o, dict) and "marked" in o and o is not globals()]
print(len(found), os.path.exists("marked"), os.stat(".").st_mode & 0o777 == {mode}, "marked" in sys.modules)
marked = "marked"
open("marked", "w").write("x")
sys.modules["marked"] = sys
os.environ["marked"] = "1"
try: os.chmod(".", 0o777)
except OSError: pass
"""
    mode = run(pool, "print(os.stat('.').st_mode & 0o777)").stdout.decode().strip()
    for _ in range(3):
        assert pool.run_stdin(program.format(mode=mode), b"", LIMITS).stdout == b"0 False True False\n"


def test_the_bait_outside_is_untouched(pool: SandboxPool, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("secret")
    body = f"import glob\nprint([open(p).read() for p in glob.glob({str(tmp_path)!r} + '/*')])"
    assert b"secret" not in run(pool, body).stdout
    assert run(pool, f"open({str(tmp_path)!r} + '/x', 'w').write('x')").status == "exception"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
