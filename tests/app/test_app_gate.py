"""A gate stands between the stages: one that pays with another ability is rejected, and the one before goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import write_base

from rlvr.app.cli import main
from rlvr.app.gating import GATE, GAVE_BACK, pass_gate, sensitivity_line
from rlvr.app.pipeline import resume, start
from rlvr.config.gate import GateConfig
from rlvr.config.reading import read_recipe
from rlvr.errors import RecipeError, TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import EARLIER, START, read_report
from rlvr.stages.evaluate import Measurement, Rates
from rlvr.stages.gate import checks_of, failures
from rlvr.statistics.intervals import Interval

ROWS = """
from rlvr.types import Demonstration, Document, Task, Verdict

def tasks(split):
    for n in range(60):
        prompt = ({"role": "user", "content": f"w{5 + n % 20} w{6 + n % 9} w{7 + n % 11}"},)
        yield Task(f"{split}{n}", prompt, 9, "gate_rows:verify", "rows", "words")

def shown(split):
    for n in range(60):
        yield Demonstration(f"{split}{n}", (
            {"role": "user", "content": f"w{8 + n % 15} w{9 + n % 7}"},
            {"role": "assistant", "content": f"{split} {split} {split}"},
        ), "words")

def text(split):
    for n in range(6):
        yield Document(f"{split}{n}", " ".join(f"w{5 + (n * k) % 20}" for k in range(12)), "text")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RECIPE = """
name = "run"
seed = 5
[model]
path = "BASE"
[evaluation]
data = ["gate_rows:tasks:evaluation"]
text = ["gate_rows:text:evaluation"]
samples = 4
max_completion_tokens = 6
[gate]
perplexity_margin = 1e9
GATE
[[stage]]
kind = "sft"
name = "right"
data = [{ source = "gate_rows:shown", split = "w9" }]
sequences_per_update = 10
epochs = 2
optimizer = { learning_rate = 2e-2 }
[[stage]]
kind = "sft"
name = "harmful"
data = [{ source = "gate_rows:shown", split = "w8" }]
sequences_per_update = 10
epochs = 2
optimizer = { learning_rate = 2e-2 }
[[stage]]
kind = "sft"
name = "gentle"
data = [{ source = "gate_rows:shown", split = "w9" }]
sequences_per_update = 30
optimizer = { learning_rate = 1e-5 }
"""


def prepared(folder: Path, gate: str = "") -> Path:
    write_base(folder / "base", scale=0.25)
    (folder / "gate_rows.py").write_text(ROWS)
    recipe = RECIPE.replace("BASE", str(folder / "base")).replace("GATE", gate)
    (folder / "recipe.toml").write_text(recipe)
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    return start(read_recipe(prepared(folder), [f"runs={folder}"]))


def test_the_stage_that_loses_is_rejected_and_the_next_goes_on_from_the_one_before(finished: Path) -> None:
    _, right, harmful, gentle = read_report(Run.open(finished))
    assert right.gate is not None
    assert right.gate.passed
    assert harmful.gate is not None
    assert harmful.gate.failures[0].startswith("pass@1 of words against right: worse by ")
    assert harmful.gate.goes_on == right.checkpoint
    assert (right.gate.handed_on, harmful.gate.handed_on, gentle.gate.handed_on) == ("end", "start", "end")
    # the report is of what the stage made, though nothing builds on it
    assert "2-harmful" in harmful.checkpoint
    assert gentle.gate is not None
    assert gentle.gate.passed
    # what the third began with: the first's weights, which it hardly moved
    assert gentle.kl is not None
    assert gentle.kl < 1e-3
    # the report keeps what the rejected one was measured with, and compares the next with the one that passed
    assert harmful.domains["words"].pass_at_1.mean < 0.2 < 0.8 < right.domains["words"].pass_at_1.mean
    assert gentle.domains["words"].gain is not None
    assert abs(gentle.domains["words"].gain.mean) < 0.05


def test_the_page_says_what_was_lost_and_what_goes_on(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "did not pass its gate" in page
    assert "before means right and after means gentle" in page
    assert "pass@1 of words against right" in page


def test_a_resumed_run_stands_by_what_the_gate_said(finished: Path) -> None:
    report = (finished / "report.json").read_text()
    said = (finished / "2-harmful" / GATE).read_text()
    assert json.loads(said)["failures"]
    resume(finished)
    assert (finished / "report.json").read_text() == report
    assert (finished / "2-harmful" / GATE).read_text() == said


def test_a_resumed_run_with_relative_paths_goes_on_from_what_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe.write_text(recipe.read_text().replace(str(tmp_path / "base"), "base"))
    path = start(read_recipe(Path("recipe.toml"), ["runs=here"]))
    for stage in ("2-harmful", "3-gentle"):
        assert (path / stage / "done.json").is_file()
    (path / "3-gentle" / "done.json").unlink()
    weights = (tmp_path / "here/run/3-gentle/checkpoints/step-000002/model.safetensors").read_bytes()
    shutil.rmtree(path / "3-gentle" / "checkpoints")
    resume(Path("here/run"))
    _, right, harmful, gentle = read_report(Run.open(path))
    assert (right.went_on, harmful.went_on, gentle.went_on) == (True, False, True)
    assert harmful.gate is not None
    assert Path(harmful.gate.goes_on).resolve() == Path(right.checkpoint).resolve()
    assert (tmp_path / "here/run/3-gentle/checkpoints/step-000002/model.safetensors").read_bytes() == weights


def test_stages_that_only_measure_are_nothing_that_a_gate_compares_with(tmp_path: Path) -> None:
    recipe = prepared(tmp_path)
    measured = """[[stage]]
kind = "evaluate"
data = ["gate_rows:tasks:evaluation"]
samples = 4
temperature = 0.01
max_completion_tokens = 6
"""
    text = recipe.read_text()
    third = text.index('[[stage]]\nkind = "sft"\nname = "harmful"')
    recipe.write_text(text[:third] + measured)
    _, right, evaluated = read_report(Run.open(start(read_recipe(recipe, [f"runs={tmp_path}"]))))
    assert right.gate is not None
    assert evaluated.gate is None
    assert evaluated.went_on


def test_the_run_says_before_training_that_its_tasks_are_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(prepared(tmp_path)), f"runs={tmp_path}"]) == 0
    error = capsys.readouterr().err
    assert "to tell a loss of twice the margin of 2 points where a stage turns over up to 10% of the tasks" in error
    assert "there are fewer: words 60;" in error


@pytest.mark.parametrize("samples", [1, 16])
def test_on_as_many_tasks_as_the_run_asks_for_a_loss_of_twice_the_margin_is_caught(samples: int) -> None:
    few, gate = {f"t{i}": 0.5 for i in range(4)}, GateConfig(margin=0.05, unsure="fail")

    def measured(rates: list[float]) -> Measurement:
        named = {"d": {f"t{i}": rate for i, rate in enumerate(rates)}}
        return Measurement({}, (Rates("chat", 1.0, named),), None, None, answered=named)

    line = sensitivity_line(gate, measured(list(few.values())), samples, judged=False)
    tasks, rng = int(line.split("takes ")[1].split(" ")[0].replace(",", "")), np.random.default_rng(samples)
    caught = harmless = 0
    for _ in range(200):
        # a tenth of the tasks turns over; of the others a tenth is lost, which is twice the margin
        before = rng.choice([0.3, 0.5, 0.7], size=tasks)
        turned = np.where(rng.random(tasks) < 0.1, 1 - before, before)
        lost = np.clip(turned - 0.1, 0, 1)
        old, same, worse = (rng.binomial(samples, rate) / samples for rate in (before, turned, lost))
        earlier = [("base", measured(list(old)))]
        harmless += not failures(gate, checks_of(gate, measured(list(same)), earlier, trained=()))
        caught += bool(failures(gate, checks_of(gate, measured(list(worse)), earlier, trained=())))
    assert caught >= 190
    assert harmless >= 190


def test_enough_tasks_are_not_spoken_of() -> None:
    many = {"d": {f"t{i}": 0.5 for i in range(9000)}}
    found = Measurement({}, (Rates("chat", 1.0, many),), None, None, answered=many)
    assert sensitivity_line(GateConfig(), found, 16, judged=False) == ""
    assert "d 9,000" in sensitivity_line(GateConfig(margin=0.01), found, 16, judged=False)


def test_what_the_judge_rejects_goes_on_as_nothing_that_it_did_not_see(tmp_path: Path) -> None:
    """Also where another figure is lost besides: an earlier checkpoint keeps that one, which no judge has seen."""
    names = [f"t{i}" for i in range(2000)]
    before, lost = (
        Measurement({}, (Rates("chat", 1.0, {"d": dict.fromkeys(names, r)}),), None, None) for r in (0.6, 0.2)
    )
    for wins, went_on in ((None, EARLIER), (Interval(0.2, 0.15, 0.25), START)):
        asked: list[float] = []
        run = Run.create(tmp_path / went_on, config={}, provenance={})
        for step in (1, 2):
            (run.checkpoints / f"step-{step:06d}").mkdir(parents=True)

        def judge(confidence: float, wins: Interval | None = wins, asked: list[float] = asked) -> Interval | None:
            asked.append(confidence)
            return wins

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rlvr.app.gating.last_passed", lambda run, before: run.checkpoints / "step-000001")
            passage = pass_gate(
                GateConfig(),
                run,
                made=run.checkpoints / "step-000002",
                found=lost,
                begin=tmp_path / "begin",
                earlier=[("base", before)],
                trained=("d",),
                continues=(),
                measure_again=lambda path: before,
                win_rate=judge,
            )
        assert passage.report.handed_on == went_on
        assert asked == [pytest.approx(1 - 2 * 0.05 / 2)]


def test_a_stage_that_gives_back_what_it_began_with_has_not_passed(tmp_path: Path) -> None:
    found = Measurement({}, (Rates("chat", 1.0, {"d": {"t": 0.5}}),), None, None)
    passage = pass_gate(
        GateConfig(),
        Run.create(tmp_path / "run", config={}, provenance={}),
        made=tmp_path / "begin",
        found=found,
        begin=tmp_path / "begin",
        earlier=[("base", found)],
        trained=("d",),
        continues=(),
        measure_again=lambda path: found,
        win_rate=None,
    )
    assert (passage.report.handed_on, passage.report.passed) == (START, False)
    assert passage.report.failures == (GAVE_BACK,)


def test_stop_ends_the_run_and_names_the_last_that_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = prepared(tmp_path, 'on_failure = "stop"')
    assert main(["train", str(recipe), f"runs={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert "harmful did not pass its gate: pass@1 of words against right: worse by" in error
    assert f"the last checkpoint that passed is {tmp_path}/run/1-right/checkpoints/" in error
    assert len(read_report(Run.open(tmp_path / "run"))) == 3
    with pytest.raises(TrainingError, match="harmful did not pass its gate"):
        resume(tmp_path / "run")


def test_warn_lets_the_stage_stand(tmp_path: Path) -> None:
    run = start(read_recipe(prepared(tmp_path, 'on_failure = "warn"'), [f"runs={tmp_path}"]))
    _, _, harmful, gentle = read_report(Run.open(run))
    assert harmful.gate is not None
    assert harmful.gate.failures
    assert harmful.gate.goes_on == harmful.checkpoint
    assert gentle.gate is not None
    # against the first stage the loss is there still
    assert gentle.gate.failures


def test_a_gate_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    recipe = prepared(tmp_path)
    text = recipe.read_text()
    start_of, end_of = text.index("[evaluation]"), text.index("[gate]")
    recipe.write_text(text[:start_of] + text[end_of:])
    with pytest.raises(RecipeError, match="a gate judges what \\[evaluation\\] measures"):
        read_recipe(recipe, [])
