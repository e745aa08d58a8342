"""The gate in a race: it judges the best racer at the end, and the next best takes the place of one that fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from raced import race_home, words

from rlvr.app.cli import main

# The further steps need not gain again: with two more steps they would not.
GATE = "gate = { margin = 0.49, min_gain = -0.4 }\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with race_home(tmp_path_factory.mktemp("crown"), more=GATE) as folder:
        yield folder


@pytest.fixture(scope="module")
def raced(home: Path) -> Path:
    assert main(words(home, "gated", "--cook", "2")) == 0
    return home / "gated-race"


def result(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "result.json").read_text()))


def test_the_winner_and_its_further_steps_are_judged(raced: Path) -> None:
    found = result(raced)
    first, second = found["gate"]
    assert first.startswith("rlvr passed its gate")
    assert second.startswith("rlvr-8 passed its gate")
    assert found["rejected"] == {}
    assert f"racers/{found['winner']}/2-rlvr-8/checkpoints/" in found["checkpoint"]
    others = [path for path in raced.glob("racers/*/*/gate.json") if path.parts[-3] != found["winner"]]
    assert others == []  # only the best is measured in full


def test_where_the_further_steps_fail_the_checkpoint_before_them_is_the_result(raced: Path) -> None:
    winner = result(raced)["winner"]
    with a_failure_in(raced / "racers" / winner / "2-rlvr-8" / "gate.json"):
        assert main(["resume", str(raced)]) == 0
        found = result(raced)
    assert found["winner"] == winner
    assert f"racers/{winner}/1-rlvr/checkpoints/" in found["checkpoint"]
    assert "rlvr-8 did not pass its gate: words lost" in found["gate"]
    assert not found["went_on"]


def test_the_next_best_takes_the_place_of_one_that_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(home, "next", "--cook", "0")) == 0
    raced = home / "next-race"
    best = result(raced)["winner"]
    with a_failure_in(raced / "racers" / best / "1-rlvr" / "gate.json"):
        assert main(["resume", str(raced)]) == 0
    found = result(raced)
    assert found["winner"] != best
    assert found["rejected"] == {best: "words lost"}
    assert f"{best} was rejected by the gate: words lost." in capsys.readouterr().err.replace("\n", " ")
    assert found["on_race"]["mean"] <= found["racers"][best]["scores"]["6"]["mean"]


def test_where_no_racer_passes_the_race_says_why(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # "stop" is for a run: here another racer may pass
    overrides = ("rlvr.gate.min_gain=0.99", 'rlvr.gate.on_failure="stop"')
    assert main(words(home, "none", *overrides)) == 1
    said = capsys.readouterr().err.replace("\n", " ")
    assert "no racer passes the gate: seed-" in said
    assert said.count("rlvr did not pass its gate") == 2
    assert "--take-back seed-" in said
    assert not (home / "none-race" / "result.json").exists()


@contextmanager
def a_failure_in(path: Path) -> Iterator[None]:
    """Puts a failure into what a gate said, and takes it out again."""
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "failures": ["words lost"], "handed_on": "start"}))
    yield
    path.write_text(before)
