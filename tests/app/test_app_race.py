"""A race on a tiny model: it pauses, is judged on fresh tasks, and a killed one ends as an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny import write_base

from rlvr.app.cli import main
from rlvr.app.race.local import LocalExecutor, log_of
from rlvr.app.race.race import metrics_of
from rlvr.app.race.racer import FRESH, RACE, half
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report
from rlvr.stages.race.executor import Ended, Job

ROWS = """
from rlvr.types import Task, Verdict, Demonstration

def tasks(split):
    for n in range(20) if split == "train" else range(20, 60):
        prompt = ({"role": "user", "content": f"w{5 + n % 20} w{6 + n % 9}"},)
        yield Task(f"{split}{n}", prompt, 9, "race_rows:verify", "rows", "words")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RECIPE = """
name = "small"
seed = 5
threads = 1
[model]
path = "BASE"
[evaluation]
data = ["race_rows:tasks:evaluation"]
samples = 2
max_completion_tokens = 6
[[stage]]
kind = "rlvr"
algorithm = "grpo"
data = ["race_rows:tasks:train"]
steps = 6
prompts_per_step = 4
group_size = 4
max_completion_tokens = 6
checkpoint_every = 2
conditions = { tasks = 0 }
optimizer = { learning_rate = 2e-2 }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("race")
    write_base(folder / "base", scale=0.25)
    (folder / "race_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(RECIPE.replace("BASE", str(folder / "base")))
    before = os.getcwd()
    yield folder
    os.chdir(before)


def words(home: Path, name: str, *more: str) -> list[str]:
    race = ["race", str(home / "recipe.toml"), "--seeds", "3", "--rungs", "0.34", "--keep", "2", "--jobs", "2"]
    return [*race, *more, f"name={name}", f"runs={home}"]


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    assert main(words(home, "whole", "--cook", "2")) == 0
    return home / "whole-race"


def result(folder: Path) -> dict[str, Any]:
    found = dict(json.loads((folder / "result.json").read_text()))
    for racer in found["racers"].values():
        racer.pop("cpu_seconds")
    return found


def test_the_lowest_is_paused_at_the_rung_and_costs_no_more(finished: Path) -> None:
    found = result(finished)
    racers = found["racers"]
    assert [racer["seed"] for racer in racers.values()] == [5, 6, 7]
    paused = [name for name, racer in racers.items() if racer["paused_at"] is not None]
    assert len(paused) == 1
    at_rung = {name: racer["scores"]["2"]["mean"] for name, racer in racers.items()}
    assert at_rung[paused[0]] == min(at_rung.values())
    assert {name: racer["steps"] for name, racer in racers.items()} == {n: 2 if n in paused else 6 for n in racers}
    assert found["cost"] == pytest.approx(14 / 18)
    ended = {name: racer["scores"]["6"]["mean"] for name, racer in racers.items() if name not in paused}
    assert found["winner"] in ended
    assert ended[found["winner"]] == max(ended.values())


def test_the_winner_is_judged_on_tasks_that_took_no_part_and_goes_on(finished: Path) -> None:
    found = result(finished)
    winner = finished / "racers" / found["winner"]
    race, fresh = (json.loads((winner / place / "result.json").read_text())["rates"][0]["solved"]["words"]
                   for place in ("1-rlvr/rung-000006", "fresh"))  # fmt: skip
    assert not set(race) & set(fresh)
    assert len(race) + len(fresh) == 40
    assert found["on_race"]["mean"] == pytest.approx(sum(race.values()) / len(race))
    assert found["on_fresh"]["mean"] == pytest.approx(sum(fresh.values()) / len(fresh))
    assert found["after_more"] is not None
    assert [stage.name for stage in read_report(Run(winner))] == ["base", "rlvr", "rlvr-8"]
    assert (finished / "race.html").read_text().count("<svg") == 2


def test_a_race_that_ended_is_only_reported_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = result(finished)
    assert main(["resume", str(finished)]) == 0
    assert result(finished) == before
    said = capsys.readouterr().err
    assert f"{before['winner']} won" in said
    assert "fresh ones" in said
    assert "larger than the noise of evaluation" in said
    assert main(words(finished.parent, "whole")) != 0
    assert "is not empty" in capsys.readouterr().err


def test_a_race_that_is_killed_with_its_racers_ends_as_an_undisturbed_one(finished: Path, home: Path) -> None:
    command = [sys.executable, "-m", "rlvr.app.cli", *words(home, "killed", "--cook", "2")]
    folder = home / "killed-race"
    with (home / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, start_new_session=True)
    deadline = time.monotonic() + 120
    while not any(len(metrics_of(config.parent)) > 2 for config in folder.glob("racers/*/config.json")):
        assert time.monotonic() < deadline, (home / "killed.log").read_text()
        assert process.poll() is None, (home / "killed.log").read_text()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "result.json").exists()
    assert main(["resume", str(folder)]) == 0
    ours, theirs = result(folder), result(finished)
    assert ours == theirs


def test_a_racer_with_a_fault_is_killed_and_the_rest_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(lines: Sequence[Mapping[str, float]]) -> str:
        return "train/loss is nan at step 1" if lines is of_six[0] else ""

    def read(place: Path) -> Sequence[Mapping[str, float]]:
        lines = metrics_of(place)
        if place.name == "seed-6":
            of_six[0] = lines
        return lines

    of_six: list[Any] = [None]
    monkeypatch.setattr("rlvr.app.race.race.fault", broken)
    monkeypatch.setattr("rlvr.app.race.race.metrics_of", read)
    assert main(words(home, "fault")) == 0
    assert "seed-6 is out: train/loss is nan at step 1" in capsys.readouterr().err
    found = result(home / "fault-race")
    assert found["racers"]["seed-6"]["fault"] == "train/loss is nan at step 1"
    assert {name for name, racer in found["racers"].items() if racer["steps"] == 6} == {"seed-5", "seed-7"}


def test_a_racer_whose_process_fails_again_and_again_is_out(home: Path) -> None:
    calls = []

    class Failing(LocalExecutor):
        def submit(self, job: Job) -> None:
            calls.append(job)
            if job.racer != "seed-7":
                super().submit(job)

        def report(self) -> list[Ended]:
            failed = [job for job in calls if job.racer == "seed-7"][reported[0] :]
            reported[0] += len(failed)
            return [*super().report(), *(Ended(job, "it broke") for job in failed)]

    reported = [0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlvr.app.race.race.LocalExecutor", Failing)
        assert main(words(home, "failing")) == 0
    found = result(home / "failing-race")
    assert found["racers"]["seed-7"]["fault"].startswith("failed 3 times: it broke")
    assert [job.until for job in calls if job.racer == "seed-7"] == [2, 2, 2]
    assert found["winner"] != "seed-7"


def test_the_executor_keeps_its_four_promises(finished: Path, home: Path) -> None:
    folder = finished / "racers" / "seed-5"
    executor = LocalExecutor({"a": folder}, at_once=1)
    assert executor.checkpoint("a") is not None
    executor.submit(Job("a", 2))
    with pytest.raises(ValueError, match="has a job already"):
        executor.submit(Job("a", 3))
    executor.kill("a")
    executor.kill("a")
    assert executor.report() == []
    executor.submit(Job("a", 2))
    deadline = time.monotonic() + 60
    while not (ended := executor.report()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [(one.job, one.problem) for one in ended] == [(Job("a", 2), "")]
    assert log_of(folder).is_file()
    executor.close()


def test_a_half_is_a_matter_of_the_name() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.id = name

    tasks = [Named(f"t{i}") for i in range(400)]
    race, fresh = half(tasks, RACE), half(tasks, FRESH)
    assert len(race) + len(fresh) == 400
    assert 150 < len(race) < 250
    assert {task.id for task in half(tasks[:9], RACE)} == {task.id for task in tasks[:9]} & {task.id for task in race}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seeds", "1"], "at least 2 racers"),
        (["--policy", "luck"], "there is no policy 'luck'"),
        (["--policy", "safe", "--keep", "2"], "only halving keeps"),
        (["--rungs", "0.3,x"], "are no numbers"),
        (["--rungs", "1.5"], "between 0 and 1"),
        (["--foresight", "1"], "no slope and deviation"),
        (["evaluation.data=[]"], "decided by held-out tasks"),
        (['stage=[{kind = "sft", data = [{source = "arithmetic", limit = 9}]}]'], "a race is of kind rlvr"),
    ],
)
def test_what_cannot_be_raced_is_refused(
    more: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(home, "refused"), *more]) != 0
    assert said in capsys.readouterr().err
    assert not (home / "refused-race").exists()


def test_alternatives_race_too(home: Path) -> None:
    more = ("--seeds", "1", "--rungs", "0.5", "--keep", "2", "--alternative", "rlvr.algorithm.kl_coefficient=0.1")
    assert main(words(home, "other", *more)) == 0
    racers = result(home / "other-race")["racers"]
    assert list(racers) == ["seed-5", "alternative-1-seed-5"]
    config = json.loads((home / "other-race" / "racers" / "alternative-1-seed-5" / "config.json").read_text())
    assert config["recipe"]["stage"][0]["algorithm"]["cells"] == {"kl_coefficient": 0.1}


def test_a_simulation_names_the_rules_and_what_they_spend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["race", "--simulate", "--seeds", "8", "--races", "40"]) == 0
    said = capsys.readouterr().out
    assert "halving" in said
    assert "asha" in said
    assert "fewer seeds" in said
    assert "38%" in said
    assert main(["race"]) != 0
