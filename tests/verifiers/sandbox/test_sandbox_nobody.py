"""What holds for the user of the tests holds for uid 65534: the corpus through the verifier, and the red team."""

import subprocess
from pathlib import Path

import pytest
from corpus import SHARED
from users import python_of_nobody, run_as_nobody

HERE = Path(__file__).parent

needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus of programs is not here")
CORPUS = pytest.param("test_verifiers_code_corpus.py", marks=needs_corpus)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", [CORPUS, "test_sandbox_red_team.py"])
def test_an_ordinary_user_s_verdicts_are_the_same(name: str) -> None:
    python = python_of_nobody()
    try:
        run_as_nobody([python, "-c", "import pytest, rlvr.verifiers.many"], timeout=60).check_returncode()
    except subprocess.CalledProcessError:
        pytest.skip("the interpreter that uid 65534 may start has not all that the tests need")
    command = [python, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short"]
    done = run_as_nobody([*command, str(HERE / name)], timeout=840)
    told = f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}"
    assert done.returncode == 0, told
    assert " passed" in done.stdout, told
