"""Every hostile program is stopped and every honest one passes, as the user of the tests and as uid 65534."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import pytest
from users import python_of_nobody, run_as_nobody

from rlvr.errors import VerifierError
from rlvr.verifiers.sandbox.pool import SandboxPool

ATTACKS = corpus.attacks()
pytestmark = [
    pytest.mark.skipif(not ATTACKS, reason="the shared corpus of hostile programs is not beside this checkout"),
    pytest.mark.slow,
]
each = pytest.mark.parametrize("attack", ATTACKS, ids=[attack["file"] for attack in ATTACKS])


@pytest.fixture(scope="module", params=[3, 2], ids=["level 3", "level 2"])
def level(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def pool(level: int) -> Iterator[SandboxPool]:
    try:
        made = SandboxPool(1, level=level, python="" if level == 3 else "/usr/bin/python3")
    except VerifierError as error:
        pytest.skip(error.message)
    yield made
    made.close()


@pytest.fixture(scope="module")
def there() -> Iterator[dict[str, str]]:
    with corpus.bait() as placeholders:
        yield placeholders


@pytest.fixture(scope="module")
def found_by_nobody(level: int) -> dict[str, Any]:
    done = run_as_nobody([python_of_nobody(), str(Path(corpus.__file__)), str(level)], timeout=600)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {"level": lines[0]["level"], **{line["file"]: line for line in lines[1:]}}


def check(found: dict[str, Any], attack: dict[str, Any]) -> None:
    assert found["passed"] == (attack["expected"] == "pass"), found
    assert found["how"] != "host_error", found
    assert found["in_time"], found
    assert not found["canary"], found
    assert not found["left"], found
    assert found["honest_after"], found


@each
def test_a_program_of_the_corpus_gets_the_verdict_it_should(
    pool: SandboxPool, there: dict[str, str], attack: dict[str, Any]
) -> None:
    check(corpus.judge(pool, attack, there), attack)


@each
@pytest.mark.timeout(700)
def test_an_ordinary_user_gets_the_same_verdict(found_by_nobody: dict[str, Any], attack: dict[str, Any]) -> None:
    check(found_by_nobody[attack["file"]], attack)


def test_an_ordinary_user_has_the_same_level(pool: SandboxPool, found_by_nobody: dict[str, Any]) -> None:
    assert found_by_nobody["level"] == pool.level
