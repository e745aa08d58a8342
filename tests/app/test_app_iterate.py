"""A recipe with a stage of rounds runs, is measured, reported and resumed like any other."""

import json
from pathlib import Path

import pytest
from tiny import write_base

from rlvr.app.pipeline import resume, start
from rlvr.app.plan import make_plan
from rlvr.config.reading import read_recipe
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report

ROWS = """
from rlvr.types import Task, Verdict

def tasks(split):
    for n in range(20) if split == "train" else range(20, 28):
        prompt = ({"role": "user", "content": f"w{5 + n % 20} w{6 + n % 9}"},)
        yield Task(f"{split}{n}", prompt, 9, "round_rows:verify", "rows", "words")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RECIPE = """
name = "run"
seed = 5
[model]
path = "BASE"
[evaluation]
data = ["round_rows:tasks:evaluation"]
samples = 4
max_completion_tokens = 6
[[stage]]
kind = "iterate"
algorithm = "grpo"
data = ["round_rows:tasks:train"]
rounds = 2
steps = 2
candidates = 20
prompts_per_step = 4
group_size = 4
max_completion_tokens = 6
checkpoint_every = 1
optimizer = { learning_rate = 2e-2 }
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds")
    write_base(folder / "base", scale=0.25)
    (folder / "round_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(RECIPE.replace("BASE", str(folder / "base")))
    return start(read_recipe(folder / "recipe.toml", [f"runs={folder}"]))


def test_the_plan_says_how_many_rounds_and_what_comes_before_each(finished: Path) -> None:
    plan = make_plan(read_recipe(finished.parent / "recipe.toml"))
    lines = plan.stages[0].lines
    assert lines[0].startswith("iterate: at most 2 rounds of 2 steps × 4 prompts × 4 completions, 2 updates at most")
    assert lines[-1] == "before each round 20 tasks × 8 completions: those solved now and then are kept"


def test_the_report_holds_the_stage_and_what_it_is_beyond(finished: Path) -> None:
    base, learned = read_report(Run.open(finished))
    assert (learned.name, learned.kind) == ("iterate", "iterate")
    assert learned.domains["words"].trained
    assert learned.domains["words"].gain is not None
    assert {found.stage for found in learned.beyond.values()} == {"base"}
    assert learned.no_signal_rate is not None
    assert learned.cpu_seconds > 0
    assert base.kind == "base"
    page = (finished / "report.html").read_text()
    assert "rounds of reinforcement learning" in page
    assert "Answers right during training" in page


def test_a_finished_one_is_only_reported_again(finished: Path) -> None:
    done = json.loads((finished / "1-iterate" / "done.json").read_text())
    before = sorted(str(path) for path in finished.rglob("*.parquet"))
    report = (finished / "report.json").read_text()
    resume(finished)
    assert (finished / "report.json").read_text() == report
    assert sorted(str(path) for path in finished.rglob("*.parquet")) == before
    assert (finished / "1-iterate" / done["checkpoint"] / "model.safetensors").is_file()
