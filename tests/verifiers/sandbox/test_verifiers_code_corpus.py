"""The corpus of hostile and honest programs through the verifier, in their own form and through the second sandbox."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import SHARED, attacks, bait

from rlvr.errors import VerifierError
from rlvr.types import Verdict
from rlvr.verifiers import code
from rlvr.verifiers.many import verify_many

pytestmark = pytest.mark.slow

HONEST = {"cpu_seconds": 5.0, "wall_seconds": 60.0}
HOSTILE = {"cpu_seconds": 1.0, "wall_seconds": 4.0}


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
    with bait() as found:
        yield found


def task() -> dict[str, Any]:
    return json.loads((SHARED / "task.json").read_text())


def references(attack: dict[str, Any]) -> list[dict[str, Any]]:
    given = task()
    calls = {"calls": given["calls"], "entry": given["entry"], "tolerance": given["float_tolerance"]}
    forms = {
        "calls": [calls, {"asserts": given["check"], "entry": given["entry"]}],
        "stdio": [{"stdin": [{"input": case["stdin"], "output": case["stdout"]} for case in given["stdio"]]}],
        "asserts": [{"asserts": attack.get("tests"), "preamble": attack.get("preamble", ""), "entry": given["entry"]}],
    }
    limits = HONEST if attack["expected"] == "pass" else HOSTILE
    return [{**reference, "limits": limits} for reference in forms[attack["form"]]]


def verify(program: str, reference: dict[str, Any]) -> Verdict:
    (verdict,) = verify_many([{"completion": program, "reference": reference}], "code")
    return verdict


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack["file"])
def test_a_hostile_program_is_stopped_an_honest_one_passes_and_another_passes_after_it(
    attack: dict[str, Any], places: dict[str, str]
) -> None:
    program = (SHARED / "programs" / attack["file"]).read_text()
    canary = Path(places["{{CANARY}}"])
    (canary / "secret.txt").write_text("CANARY\n")
    for name, place in places.items():
        program = program.replace(name, place)
    for reference in references(attack):
        for _ in range(attack.get("runs", 1)):
            verdict = verify(program, reference)
        assert verdict.outcome == float(attack["expected"] == "pass"), verdict
        assert "canary" not in attack or not (canary / attack["canary"]).exists()
        calls = {"calls": task()["calls"], "entry": "solve"}
        assert verify(task()["honest_after"], calls).outcome == 1.0
