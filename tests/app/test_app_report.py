"""A run of a new tiny model ends in a report: headline, table, gains; conditions before RLVR; what RLVR is held to."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

from rlvr.app.pipeline import resume, start
from rlvr.config.reading import read_recipe
from rlvr.runs.folder import Run
from rlvr.runs.report import StageReport, read_report

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RECIPE = """
name = "run"
seed = 5
[model.new]
architecture = "llama"
[model.new.settings]
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 2
max_position_embeddings = 128
[model.new.tokenizer]
vocabulary_size = 400
data = ["kill_resume:documents:train"]
[evaluation]
data = ["kill_resume:tasks:evaluation"]
samples = 4
prompts = ["chat", "Q: {problem}\\nA:"]
low_temperature = 0.5
max_completion_tokens = 8
[[stage]]
kind = "sft"
data = ["kill_resume:demonstrations:train"]
sequences_per_update = 8
max_length = 64
[[stage]]
kind = "rlvr"
algorithm = "grpo"
data = ["kill_resume:tasks:train"]
steps = 2
prompts_per_step = 4
group_size = 4
max_completion_tokens = 8
conditions = { tasks = 6 }
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run and what it printed."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "recipe.toml").write_text(RECIPE)
    sys.path.insert(0, str(BENCHMARKS))
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        path = start(read_recipe(folder / "recipe.toml", [f"runs={folder}"]))
    sys.path.remove(str(BENCHMARKS))
    return path, out.getvalue()


@pytest.fixture(scope="module")
def stages(printed: tuple[Path, str]) -> list[StageReport]:
    """Its report."""
    return read_report(Run.open(printed[0]))


def test_the_headline_comes_first_then_the_table_then_the_gains(printed: tuple[Path, str]) -> None:
    text = printed[1]
    marks = [
        "before RLVR",
        "Elicitation only",
        "[95% interval]; CPU-s",
        "sft over base, words: pass@1",
        "rlvr over the strongest readout (",
    ]
    if "Beyond elicitation in 1 of 1 domain" in text:
        marks[1] = "Beyond elicitation in 1 of 1 domain: words"
    places = [text.find(mark) for mark in marks]
    assert -1 not in places
    assert places == sorted(places)


def test_a_condition_that_fails_is_told_in_plain_words(printed: tuple[Path, str], stages: list[StageReport]) -> None:
    said = " ".join(printed[1].split())
    (condition,) = stages[2].conditions
    assert ("words fails a condition for RL: " in said) == bool(condition.problems)
    assert said.count("It is trained all the same.") == bool(condition.problems)


def test_only_the_rlvr_stage_is_held_against_its_ancestors(stages: list[StageReport]) -> None:
    assert [list(stage.beyond) for stage in stages] == [[], [], ["words"]]
    found, learned = stages[2].beyond["words"], stages[2].domains["words"]
    assert found.stage in ("base", "sft")
    assert learned.greedy.mean - found.accuracy.mean == pytest.approx(found.gain.mean)
    # as strong as any way of asking the base or the SFT checkpoint
    assert found.accuracy.mean == max(stage.domains["words"].best.mean for stage in stages[:2])


def test_every_checkpoint_was_asked_in_every_way(stages: list[StageReport]) -> None:
    plain = "Q: {problem}\nA:"
    for stage in stages:
        assert [(r.prompt, r.temperature) for r in stage.domains["words"].readouts] == [
            *(("chat", 0.0), ("chat", 0.5), (plain, 0.0), (plain, 0.5), (plain, 1.0))
        ]
        assert sorted(stage.domains["words"].pass_at_k) == [1, 2, 4]
        assert stage.domains["words"].num_tasks == 8


def test_the_change_over_the_stage_before_is_zero_for_the_base_and_adds_up(stages: list[StageReport]) -> None:
    base, sft, learned = (stage.domains["words"] for stage in stages)
    assert (base.gain, base.only_before, base.only_after) == (None, 0.0, 0.0)
    for before, after in ((base, sft), (sft, learned)):
        assert after.gain is not None
        assert after.gain.mean == pytest.approx(after.pass_at_1.mean - before.pass_at_1.mean)
        # pass@4 of 4 samples is the share of tasks with a right sample
        change = after.pass_at_k[4].mean - before.pass_at_k[4].mean
        assert after.only_after - after.only_before == pytest.approx(change)


def test_the_conditions_are_those_of_the_rlvr_stage(stages: list[StageReport]) -> None:
    assert [len(stage.conditions) for stage in stages] == [0, 0, 1]
    (condition,) = stages[2].conditions
    assert (condition.domain, condition.num_tasks, condition.num_samples) == ("words", 6, 16)
    assert (condition.group_size, condition.working, condition.working_rate) == (4, None, 0.0)


def test_a_finished_run_is_reported_again_as_it_was(printed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.chdir(Path.cwd())
    before = (printed[0] / "report.json").read_bytes()
    resume(printed[0])
    assert (printed[0] / "report.json").read_bytes() == before
