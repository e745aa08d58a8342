"""A race on a tiny model: it pauses, is judged on fresh tasks, and a killed one ends as an undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from raced import race_home, words
from racing import keeps_its_promises, names_what_failed

from rlvr.app.cli import main
from rlvr.app.race import running
from rlvr.app.race.local import LocalExecutor
from rlvr.app.race.racer import FRESH, RACE, half
from rlvr.app.race.spending import spent_on
from rlvr.app.race.standing import metrics_of, read_race
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report
from rlvr.stages.race.executor import Ended, Job


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with race_home(tmp_path_factory.mktemp("race")) as folder:
        yield folder


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    assert main(words(home, "whole", "--cook", "2")) == 0
    return home / "whole-race"


def result(folder: Path) -> dict[str, Any]:
    found = dict(json.loads((folder / "result.json").read_text()))
    for racer in found["racers"].values():
        del racer["cpu_seconds"], racer["measuring_cpu_seconds"]
    del found["spent"]["cpu-s"]
    return found


def rates_of(racer: Path, place: str) -> dict[str, float]:
    found = json.loads((racer / "1-rlvr" / f"{place}-000006" / "result.json").read_text())
    return dict(found["rates"][0]["solved"]["words"])


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
    race, fresh = rates_of(winner, "rung"), rates_of(winner, "fresh")
    assert not set(race) & set(fresh)
    assert len(race) + len(fresh) == 40
    assert found["on_race"]["mean"] == pytest.approx(sum(race.values()) / len(race))
    assert found["on_fresh"]["mean"] == pytest.approx(sum(fresh.values()) / len(fresh))
    assert found["after_more"] is not None
    assert (finished / found["checkpoint"] / "model.safetensors").is_file()
    ended = [name for name, racer in found["racers"].items() if racer["steps"] == 6]
    leads = []
    for place in ("rung", "fresh"):
        made = [list(rates_of(finished / "racers" / name, place).values()) for name in ended]
        means = dict(zip(ended, (sum(rates) / len(rates) for rates in made), strict=True))
        leads.append(means[found["winner"]] - sum(means.values()) / len(means))
    assert found["selection"]["mean"] == pytest.approx(leads[0] - leads[1])
    assert found["selection"]["low"] < found["selection"]["mean"] < found["selection"]["high"]
    # of two that ended the lead over the other is twice that over the mean of both
    assert found["over_others"]["mean"] == pytest.approx(2 * leads[1])
    assert (found["rejected"], found["gate"]) == ({}, [])
    assert [stage.name for stage in read_report(Run(winner))] == ["base", "rlvr", "rlvr-8"]
    assert (finished / "race.html").read_text().count("<svg") == 2


def test_a_race_that_ended_is_only_reported_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = result(finished)
    assert main(["resume", str(finished)]) == 0
    assert result(finished) == before
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"{before['winner']} won" in said
    assert "on tasks that took no part: quote the second" in said
    assert "Correlation of step 2 with the end: not known, as only 2 came so far; rlvr race --simulate" in said
    is_larger = before["spread"]["p"] <= 0.05
    assert f"The spread of seeds at step 2 {'is' if is_larger else 'is not'} larger than the noise" in said
    assert main(["resume", str(finished), "steps=+2"]) != 0
    assert "resumed as it was asked for" in capsys.readouterr().err
    assert main(words(finished.parent, "whole")) != 0
    assert "is not empty" in capsys.readouterr().err


def test_the_stages_before_are_run_once_and_what_is_held_out_is_kept_from_them(finished: Path) -> None:
    shared = read_report(Run(finished / "shared"))
    assert [stage.name for stage in shared] == ["base", "sft"]
    for name in ("seed-5", "seed-6", "seed-7"):
        config = json.loads((finished / "racers" / name / "config.json").read_text())["recipe"]
        assert config["stage"][0]["kind"] == "rlvr"
        assert config["model"]["path"] == shared[-1].checkpoint
    recipe = json.loads((finished / "shared" / "config.json").read_text())["recipe"]
    assert recipe["evaluation"]["data"][0]["source"] == "race_rows:tasks"


def test_a_race_killed_with_its_racers_and_a_killed_racer_end_as_if_nobody_had_been(finished: Path, home: Path) -> None:
    command = [sys.executable, "-m", "rlvr.app.cli", *words(home, "killed", "--cook", "2")]
    folder = home / "killed-race"
    process = start_until(command, home, lambda: any(steps_of(folder, name) > 0 for name in ("seed-5", "seed-6")))
    os.kill(a_racer_of(folder), signal.SIGKILL)
    wait_until(process, lambda: steps_of(folder, "seed-7") > 2 or steps_of(folder, "seed-5") > 2, home)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # then while the tasks that took no part are asked, and on the winner's further steps
    for pattern in ("racers/*/1-rlvr/fresh-*", "racers/*/2-*"):
        resumed = [sys.executable, "-m", "rlvr.app.cli", "resume", str(folder)]
        process = start_until(resumed, home, lambda seen=pattern: any(folder.glob(seen)))  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (folder / "result.json").exists()
    before = Path.cwd()
    os.chdir(home)
    try:
        assert main(["resume", folder.name]) == 0
    finally:
        os.chdir(before)
    assert result(folder) == result(finished)


def a_racer_of(folder: Path) -> int:
    """The process of one of the racers."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if b"rlvr.app.race.racer" in command and any(str(folder).encode() in word for word in command):
                    return int(entry.name)
    raise AssertionError("no racer runs")


def steps_of(folder: Path, name: str) -> int:
    place = folder / "racers" / name
    return len(metrics_of(place)) if (place / "config.json").is_file() else 0


def start_until(command: Sequence[str], home: Path, reached: Callable[[], bool]) -> "subprocess.Popen[bytes]":
    with (home / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, start_new_session=True)
    wait_until(process, reached, home)
    return process


def wait_until(process: "subprocess.Popen[bytes]", reached: Callable[[], bool], home: Path) -> None:
    deadline = time.monotonic() + 180
    while not reached():
        assert time.monotonic() < deadline, (home / "killed.log").read_text()
        assert process.poll() is None, (home / "killed.log").read_text()
        time.sleep(0.02)


def test_a_racer_with_a_fault_is_out_at_its_step_and_the_rest_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = metrics_of

    def of_racer(place: Path) -> Sequence[Mapping[str, float]]:
        lines = list(real(place))
        broken = place.name == "seed-6" and len(lines) > 1
        return [{**line, "train/kl": 9.0} if broken and line["step"] == 1 else line for line in lines]

    monkeypatch.setattr("rlvr.app.race.running.metrics_of", of_racer)
    monkeypatch.setattr("rlvr.app.race.result.metrics_of", of_racer)
    assert main(words(home, "fault")) == 0
    assert "seed-6 is out: train/kl is 9 nats a token at step 2, above 5" in capsys.readouterr().err
    found = result(home / "fault-race")
    assert found["racers"]["seed-6"]["fault"].startswith("train/kl is 9")
    assert {name: racer["steps"] for name, racer in found["racers"].items()} == {"seed-5": 6, "seed-6": 2, "seed-7": 6}


def test_for_a_leader_with_a_fault_the_best_paused_racer_comes_back(
    home: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = result(finished)
    (paused,) = (name for name, racer in known["racers"].items() if racer["paused_at"] is not None)
    broken = known["winner"]

    def of_racer(place: Path) -> Sequence[Mapping[str, float]]:
        lines = metrics_of(place)
        return [{**line, "train/kl": 9.0} if place.name == broken and line["step"] == 3 else line for line in lines]

    monkeypatch.setattr("rlvr.app.race.running.metrics_of", of_racer)
    monkeypatch.setattr("rlvr.app.race.result.metrics_of", of_racer)
    assert main(words(home, "replaced")) == 0
    assert f"{paused} is taken back for {broken}" in capsys.readouterr().err
    racers = result(home / "replaced-race")["racers"]
    assert {name: racer["steps"] for name, racer in racers.items()} == {n: 4 if n == broken else 6 for n in racers}
    assert [name for name, racer in racers.items() if racer["is_taken_back"]] == [paused]
    assert racers[paused]["paused_at"] is None
    assert read_race(home / "replaced-race")[1].replaced == {broken: paused}


def test_a_paused_racer_is_taken_back_by_hand_and_may_win(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = result(finished)
    (paused,) = (name for name, racer in before["racers"].items() if racer["paused_at"] is not None)
    folder = shutil.copytree(finished, home / "back-race")
    assert main(["resume", str(folder), "--take-back", before["winner"]]) != 0
    assert f"{before['winner']} is not paused" in capsys.readouterr().err
    assert main(["resume", str(folder), "--take-back", paused]) == 0
    found = result(folder)
    assert {racer["steps"] for racer in found["racers"].values()} == {6}
    assert found["cost"] == 1.0
    assert found["racers"][paused]["is_taken_back"]
    ends = {name: racer["scores"]["6"]["mean"] for name, racer in found["racers"].items()}
    assert ends[found["winner"]] == max(ends.values())
    assert main(["resume", str(finished / "shared"), "--take-back", paused]) != 0
    assert "are for a race" in capsys.readouterr().err


def test_a_budget_in_steps_is_kept_and_what_is_left_of_it_goes_to_the_winner(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(home, "thrifty", "--budget", "12steps", "--cook", "50%")) == 0
    # 3 racers to step 2 are 6 steps; of the 6 left a racer to step 6 takes 4. Paused ones left out 8 steps, of which
    # half are 4; the budget has 2.
    assert "the budget of 12 training steps pays for 1" in capsys.readouterr().err
    found = result(home / "thrifty-race")
    assert sorted(racer["steps"] for racer in found["racers"].values()) == [2, 2, 6]
    assert found["cooked"] == 2
    assert found["spent"]["steps"] == {"training": 10.0, "measuring": 0.0, "cooking": 2.0, "all_to_the_end": 18.0}
    tokens = found["spent"]["tokens"]
    # 16 completions a step and 2 + 1 of each task measured: none above 6 tokens
    assert 160 <= tokens["training"] <= 160 * 6
    assert tokens["all_to_the_end"] == pytest.approx(tokens["training"] * 18 / 10)
    num_measured = 3 * 3 * len(rates_of(home / "thrifty-race" / "racers" / found["winner"], "rung"))
    assert num_measured <= tokens["measuring"]


def test_a_gpu_is_paid_for_as_long_as_a_step_or_a_measurement_holds_it(finished: Path) -> None:
    plan, _, places = read_race(finished)
    found = spent_on(plan, places, "gpu-s")
    files = [path for path in finished.glob("racers/*/**/metrics.jsonl") if "evaluation" not in path.parts]
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert found.total == pytest.approx(sum(line["time/step_seconds"] for line in lines))
    assert min(found.training, found.measuring, found.cooking) > 0
    assert "gpu-s" not in json.loads((finished / "result.json").read_text())["spent"]  # it had none


def test_a_budget_that_is_spent_stops_the_race_which_goes_on_with_a_larger_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(home, "short", "--budget", "250tokens")) != 0
    said = capsys.readouterr().err.replace("\n", " ")
    assert "of the budget of 250 sampled tokens are spent" in said
    assert "--budget 500tokens" in said
    assert not (home / "short-race" / "result.json").exists()
    assert main(["resume", str(home / "short-race"), "--budget", "1e9tokens"]) == 0
    assert sorted(racer["steps"] for racer in result(home / "short-race")["racers"].values()) == [2, 6, 6]


def test_a_failing_job_is_tried_again_and_then_the_race_stops_and_can_be_taken_up(
    home: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(LocalExecutor):
        """Jobs to the last step fail as long as the disk is full."""

        def submit(self, job: Job) -> None:
            tried.append(job)
            super().submit(job)

        def report(self) -> Sequence[Ended]:
            found = super().report()
            return [Ended(e.job, "no space left", is_final=False) if e.job.until == 6 and full else e for e in found]

    full, tried = [True], list[Job]()
    monkeypatch.setattr("rlvr.app.race.race.LocalExecutor", Failing)
    done = running._is_done
    monkeypatch.setattr(running, "_is_done", lambda place, job: not (full and job.until == 6) and done(place, job))
    assert main(words(home, "failing", "--cook", "2")) != 0
    said = capsys.readouterr().err
    assert "failed 3 times: no space left" in said
    assert "rlvr resume goes on with the race" in said
    assert max(sum(job == other for other in tried) for job in tried) == 3
    full.clear()
    assert main(["resume", str(home / "failing-race")]) == 0
    assert result(home / "failing-race") == result(finished)


def test_the_local_executor_keeps_what_every_executor_promises(finished: Path, tmp_path: Path) -> None:
    places = {}
    for name in ("a", "b", "c"):
        config = json.loads((finished / "racers" / "seed-5" / "config.json").read_text())
        config["recipe"]["stage"] = config["recipe"]["stage"][:1]
        provenance = json.loads((finished / "racers" / "seed-5" / "provenance.json").read_text())
        places[name] = Run.create(tmp_path / name, config=config, provenance=provenance).path
    keeps_its_promises(lambda at_once: LocalExecutor(places, at_once=at_once), list(places), short=2, long=4)
    for name, change in (("lost", {"path": str(tmp_path / "nowhere")}), ("broken", {})):
        config = json.loads((places["a"] / "config.json").read_text())
        config["recipe"]["model"] |= change
        if not change:
            config["recipe"]["stage"][0]["optimizer"]["learning_rate"] = 1e30
        places[name] = Run.create(tmp_path / name, config=config, provenance=provenance).path
    executor = LocalExecutor(places, at_once=1)
    names_what_failed(executor, "lost", until=2, said="nowhere", is_final=False)
    names_what_failed(executor, "broken", until=6, said="finite", is_final=True)


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
        (["--policy", "safe"], "--keep is not of the policy safe"),
        (["--foresight", "1,0.1"], "--foresight is not of the policy halving"),
        (["--policy", "safe", "--keep", ""], "pauses nobody"),
        (
            ["--policy", "safe", "--keep", "", "--foresight", "1,0.01", "--margin", "0.05"],
            "tasks of the race show a lag",
        ),
        (["--rungs", ""], "without rungs"),
        (["--budget", "12hours"], "is no budget"),
        (["--budget", "9steps"], "10 do"),
        (["--alternative", "sft.epochs=2"], "changes more than the last stage"),
        (["--alternative", "evaluation.seed=4"], "changes more than the last stage"),
        (["--alternative", "rlvr.steps=4"], "another number of steps"),
        (["--alternative", "rlvr.group_size=4"], "changes nothing"),
        (["replace=true"], "replace is for a run"),
        (["--rungs", "0.3,x"], "are no numbers"),
        (["--keep", "inf"], "--keep inf are no numbers"),
        (["--alternative", "rlvr.algorithm='grpo"], "cannot be read: No closing quotation"),
        (["--policy", "safe", "--keep", "", "--foresight", "nan,0.1"], "--foresight nan,0.1 are no numbers"),
        (["--rungs", "1.5"], "between 0 and 1"),
        (["--policy", "safe", "--keep", "", "--foresight", "1"], "no slope and deviation"),
        (["evaluation.data=[]"], "decided by held-out tasks"),
        (
            ['evaluation.data=[{source="race_rows:tasks", split="evaluation", limit=2}]'],
            "at least 2 of each are needed",
        ),
        (['stage=[{kind = "sft", data = ["race_rows:shown:train"]}]'], "a race is of kind rlvr"),
    ],
)
def test_what_cannot_be_raced_is_refused(
    more: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(home, "refused"), *more]) != 0
    assert said in capsys.readouterr().err
    assert not (home / "refused-race").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--margin", "0.004"), "expected a number from 0.01 to 0.9"),
        (("--margin", "nan"), "expected a number from 0.01 to 0.9"),
        (("--error", "0"), "expected a number from 0.0001 to 0.49"),
    ],
)
def test_a_margin_or_an_error_outside_its_range_is_refused(
    option: tuple[str, str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words(home, "refused"), "--policy", "safe", "--keep", "", *option])
    assert said in capsys.readouterr().err


def test_a_race_whose_recipe_requires_what_does_not_hold_ends_before_anyone_trains(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    required = "rlvr.conditions={tasks = 4, required = true, max_truncated_rate = 0.0}"
    assert main([*words(home, "unfit"), required]) != 0
    assert "the conditions for RLVR do not hold" in capsys.readouterr().err
    assert [len(metrics_of(home / "unfit-race" / "racers" / f"seed-{seed}")) for seed in (5, 6, 7)] == [0, 0, 0]


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
