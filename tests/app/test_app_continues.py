"""A run goes on for more steps: with its learner, its reference and its place in the data, as one stage more."""

from pathlib import Path
from shutil import copytree

import pyarrow.parquet as pq
import pytest
import torch
from tiny import write_base

from rlvr.app.cli import main
from rlvr.app.pipeline import resume, start
from rlvr.config.reading import read_recipe
from rlvr.errors import RecipeError, RunError
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report
from rlvr.runs.sameness import differences

ROWS = """
from rlvr.types import Task, Verdict

def tasks(split):
    for n in range(20) if split == "train" else range(20, 28):
        prompt = ({"role": "user", "content": f"w{5 + n % 20} w{6 + n % 9}"},)
        yield Task(f"{split}{n}", prompt, 9, "more_rows:verify", "rows", "words")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RLVR = """
[[stage]]
kind = "rlvr"
name = "NAME"
continues = CONTINUES
algorithm = { preset = "grpo", kl_place = "loss", kl_coefficient = 0.05 }
data = ["more_rows:tasks:train"]
steps = STEPS
prompts_per_step = 4
group_size = 4
max_completion_tokens = 6
conditions = { tasks = 0 }
checkpoint_every = 1
optimizer = { learning_rate = 3e-3 }
"""
HEAD = """
name = "run"
seed = 5
[model]
path = "BASE"
[evaluation]
data = ["more_rows:tasks:evaluation"]
samples = 4
max_completion_tokens = 6
"""


def stage(name: str, steps: int, *, continues: bool = False) -> str:
    return RLVR.replace("NAME", name).replace("STEPS", str(steps)).replace("CONTINUES", str(continues).lower())


def write_recipe(folder: Path, *stages: str) -> Path:
    write_base(folder / "base", scale=0.5)
    (folder / "more_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(HEAD.replace("BASE", str(folder / "base")) + "".join(stages))
    return folder / "recipe.toml"


def trainer(run: Path) -> dict[str, object]:
    """The trainer's state in the stage's last checkpoint."""
    (*_, last) = sorted((run / "checkpoints").glob("step-*"))
    return dict(torch.load(last / "trainer.pt", weights_only=True))


@pytest.fixture(scope="module")
def cooked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that went on for three more."""
    folder = tmp_path_factory.mktemp("more")
    run = start(read_recipe(write_recipe(folder, stage("rlvr", 4)), [f"runs={folder}"]))
    assert resume(run, more_steps=3) == run
    return run


def test_more_steps_are_one_stage_more_that_goes_on_where_the_last_one_ended(cooked: Path) -> None:
    first, more = cooked / "1-rlvr", cooked / "2-rlvr-7"
    assert [line["step"] for line in Run.open(more).metrics()] == [0, 1, 2]
    drawn = pq.read_table(more / "rollouts" / "train-000000.parquet").to_pylist()
    assert sorted({row["draw_index"] for row in drawn}) == [16, 17, 18, 19], "4 steps of 4 prompts came before"
    before, after = trainer(first)["learner"]["optimizer"], trainer(more)["learner"]["optimizer"]  # type: ignore[index]
    assert (before["update_index"], after["update_index"]) == (4, 3), "the schedule begins anew"
    moments = [float(next(iter(state["parts"][0]["state"].values()))["step"]) for state in (before, after)]
    assert moments == [4.0, 7.0], "the optimizer's moments are kept"


def test_the_kl_is_still_to_where_the_first_of_them_began(cooked: Path) -> None:
    fresh, going_on = (Run.open(cooked / name).metrics()[0]["train/kl"] for name in ("1-rlvr", "2-rlvr-7"))
    assert fresh == pytest.approx(0.0, abs=1e-6)
    assert going_on > 1e-4


def test_the_report_has_both_and_reads_no_ancestor_out_of_what_is_continued(cooked: Path) -> None:
    base, first, more = read_report(Run.open(cooked))
    assert [base.name, first.name, more.name] == ["base", "rlvr", "rlvr-7"]
    assert more.domains["words"].gain is not None
    assert {found.stage for found in more.beyond.values()} == {"base"}
    assert (first.continues, more.continues) == ((), ("rlvr",))
    assert more.cpu_seconds > 0
    config = Run.open(cooked).config()
    assert [entry["steps"] for entry in config["recipe"]["stage"]] == [4, 3]
    assert config["origins"]["stage.2.steps"] == "override"
    assert [event["steps"] for event in Run.open(cooked).events() if event["kind"] == "continued"] == [3]


def test_it_equals_a_recipe_that_had_both_stages_from_the_start(cooked: Path, tmp_path: Path) -> None:
    both = write_recipe(tmp_path, stage("rlvr", 4), stage("rlvr-7", 3, continues=True))
    planned = start(read_recipe(both, [f"runs={tmp_path}", f"model.path={cooked.parent / 'base'}"]))
    for child in ("1-rlvr", "2-rlvr-7"):
        assert differences(cooked / child, planned / child) == []


def test_a_third_time_counts_all_steps_in_its_name(cooked: Path, tmp_path: Path) -> None:
    run = start(read_recipe(write_recipe(tmp_path, stage("rlvr", 1)), [f"runs={tmp_path}"]))
    resume(run, more_steps=1)
    resume(run, more_steps=2)
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == ["0-base", "1-rlvr", "2-rlvr-2", "3-rlvr-4"]


def test_a_run_that_has_not_ended_does_not_go_on_for_more_steps(cooked: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    copytree(cooked, run)
    (run / "2-rlvr-7" / "done.json").unlink()
    before = (run / "config.json").read_text()
    with pytest.raises(RunError, match="has not ended: its last stage is not done"):
        resume(run, more_steps=2)
    assert (run / "config.json").read_text() == before


def test_what_is_done_every_so_many_steps_counts_those_of_the_stages_before(tmp_path: Path) -> None:
    cells = '{ preset = "r1_zero", reference_every = 3, updates_per_step = 1, kl_coefficient = 0.5 }'
    grpo = '{ preset = "grpo", kl_place = "loss", kl_coefficient = 0.05 }'
    two = [stage("rlvr", 4), stage("more", 4, continues=True)]
    run = start(read_recipe(write_recipe(tmp_path, *(one.replace(grpo, cells) for one in two)), [f"runs={tmp_path}"]))
    kl = [line["train/kl"] for name in ("1-rlvr", "2-more") for line in Run.open(run / name).metrics()]
    # after a renewal, at steps 3 and 6, the policy is its own reference
    assert [step for step, value in enumerate(kl) if value == pytest.approx(0.0, abs=1e-7)] == [0, 3, 6]


def test_more_steps_can_be_measured_on_the_way_and_the_report_says_what_they_returned(tmp_path: Path) -> None:
    run = start(read_recipe(write_recipe(tmp_path, stage("rlvr", 1)), [f"runs={tmp_path}"]))
    assert main(["resume", str(run), "steps=+2", "evaluate_every=1"]) == 0
    first, more = read_report(Run.open(run))[1:]
    assert first.returned == ()
    assert more.returned[0].startswith("After 2 steps and ")
    assert "CPU-seconds the mean gain over words is" in more.returned[0]
    assert more.returned[0] in (run / "report.html").read_text()
    assert Run.open(run).config()["origins"]["stage.2.evaluate_every"] == "override"


@pytest.mark.parametrize(
    "word",
    [
        "steps=+2 seed=3",
        "steps=+2 evaluate_every=x",
        "evaluate_every=2",
        "steps=200",
        "steps=+0",
        "steps=+-3",
        "steps=+x",
        "seed=3",
        "rlvr.steps=+3",
    ],
)
def test_resume_takes_no_other_word(word: str, cooked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (cooked / "config.json").read_text()
    assert main(["resume", str(cooked), *word.split()]) != 0
    assert "steps=+N" in capsys.readouterr().err
    assert (cooked / "config.json").read_text() == before


def test_only_rlvr_goes_on_for_more_steps(tmp_path: Path) -> None:
    measure = '[[stage]]\nkind = "evaluate"\ndata = ["more_rows:tasks:evaluation"]\nmax_completion_tokens = 6\n'
    run = start(read_recipe(write_recipe(tmp_path, measure), [f"runs={tmp_path}"]))
    before = (run / "config.json").read_text()
    with pytest.raises(RecipeError, match="last stage is evaluate, and only rlvr can go on"):
        resume(run, more_steps=2)
    assert (run / "config.json").read_text() == before


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([stage("more", 2, continues=True)], "stage 1 continues a stage of kind rlvr, and there is none before it"),
        (
            [stage("rlvr", 2), stage("more", 2, continues=True).replace('"grpo"', '"dr_grpo"')],
            "stage 2 continues the one before, whose algorithm is another",
        ),
        (
            [stage("rlvr", 2), stage("more", 2, continues=True).replace("tasks:train", "tasks:evaluation")],
            "stage 2 continues the one before, whose data is another",
        ),
        (
            [stage("rlvr", 2), stage("more", 2, continues=True).replace("3e-3 }", '3e-3, frozen = ["embed"] }')],
            "stage 2 continues the one before, whose optimizer.frozen is another",
        ),
    ],
)
def test_a_stage_that_cannot_continue_is_refused(stages: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        read_recipe(write_recipe(tmp_path, *stages))
