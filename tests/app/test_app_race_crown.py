"""The gate in a race: it judges the best racer at the end, and the next best takes the place of one that fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from raced import race_home, words

from rlvr.app.cli import main
from rlvr.app.race import crown
from rlvr.app.race.result import result_of
from rlvr.app.race.telling import sentences
from rlvr.errors import TrainingError
from rlvr.runs.folder import Run

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
    assert found["more_gain"]["mean"] == pytest.approx(found["after_more"]["mean"] - found["on_fresh"]["mean"])
    others = [path for path in raced.glob("racers/*/*/gate.json") if path.parts[-3] != found["winner"]]
    assert others == []  # only the best is measured in full


def test_where_the_winner_surely_loses_by_its_further_steps_the_checkpoint_before_them_is_the_result(
    raced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (raced / "result.json").read_text()
    monkeypatch.setattr("rlvr.app.race.result._further", lambda *asked: ([0.75] * 40, [0.25] * 40))
    found = result_of(raced)
    assert found.is_worse
    assert found.more_gain is not None
    assert found.more_gain.mean == -0.5
    assert f"racers/{found.winner}/1-rlvr/checkpoints/" in found.checkpoint
    assert any("but lost by them: the checkpoint before them is the result." in line for line in sentences(found))
    (raced / "result.json").write_text(before)


def test_where_the_further_steps_fail_the_checkpoint_before_them_is_the_result(raced: Path) -> None:
    winner = result(raced)["winner"]
    with a_failure_in(raced / "racers" / winner / "2-rlvr-8" / "gate.json"):
        assert main(["resume", str(raced)]) == 0
        found = result(raced)
    assert found["winner"] == winner
    assert f"racers/{winner}/1-rlvr/checkpoints/" in found["checkpoint"]
    assert "rlvr-8 did not pass its gate: words lost" in found["gate"]
    assert not found["passed"]


def test_where_the_further_steps_break_the_checkpoint_before_them_is_the_result(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resume(place: Path) -> Path:
        if len(Run(place).config()["recipe"]["stage"]) > 1:
            raise TrainingError("the loss is nan at step 7")
        return whole_resume(place)

    whole_resume = crown.resume
    with monkeypatch.context() as patch:
        patch.setattr(crown, "resume", resume)
        assert main(words(home, "broken", "--cook", "2")) == 0
    folder = home / "broken-race"
    found = result(folder)
    assert (found["cooked"], found["after_more"], found["broken"]) == (0, None, "the loss is nan at step 7")
    assert f"racers/{found['winner']}/1-rlvr/checkpoints/" in found["checkpoint"]
    said = capsys.readouterr().err.replace("\n", " ")
    assert "Its further steps broke, and the checkpoint before them is the result: the loss is nan at step 7." in said
    assert main(["resume", str(folder)]) == 0
    assert result(folder) == found


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
