"""A recipe trains a reward model, goes on with the policy from before it, and lets the reward model give the reward."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny import write_base

from rlvr.app.cli import main
from rlvr.app.memory import ModelSize, Work, estimate
from rlvr.app.pipeline import resume, start
from rlvr.app.plan import make_plan, print_plan
from rlvr.config.reading import read_recipe
from rlvr.errors import ModelError, RecipeError
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report

ROWS = """
import numpy as np
from rlvr.types import Preference, Task, Verdict

def words(*ids):
    return " ".join(f"w{i}" for i in ids)

def prompt(number):
    return ({"role": "user", "content": words(5 + number % 7, 12 + number // 7)},)

def tasks(split):
    for n in range(0, 12) if split == "train" else range(80, 88):
        yield Task(f"{split}{n}", prompt(n), 9, "reward_rows:verify", "rows", "words")

def preferences(split):
    for n in range(12, 76):
        one, other = np.random.default_rng(n).integers(12, 32, (2, 4))
        yield Preference(f"pair{n}", prompt(n), words(9, *one), words(*other), "pairs")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RECIPE = """
name = "run"
seed = 5
[model]
path = "base"
[evaluation]
data = ["reward_rows:tasks:evaluation"]
samples = 4
max_completion_tokens = 6
[[stage]]
kind = "reward_model"
name = "taste"
data = ["reward_rows:preferences:train"]
sequences_per_update = 8
max_length = 64
held_out_share = 0.3
epochs = 3.0
optimizer = { learning_rate = 1e-2 }
[[stage]]
kind = "rlvr"
algorithm = "grpo"
scorer = { reward_model = "taste" }
data = ["reward_rows:tasks:train"]
steps = 2
prompts_per_step = 6
group_size = 4
max_completion_tokens = 6
conditions = { tasks = 0 }
checkpoint_every = 1
"""


def write_folder(folder: Path) -> Path:
    """A folder with the base, the rows and the recipe."""
    write_base(folder / "base", scale=0.5)
    (folder / "reward_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(RECIPE.replace('"base"', f'"{folder / "base"}"'))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The folder, the finished run in it, and what it printed."""
    folder = write_folder(tmp_path_factory.mktemp("reward"))
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        run = start(read_recipe(folder / "recipe.toml", [f"runs={folder}"]))
    return folder, run, out.getvalue()


def made_in(run: Path) -> Path:
    """The run's reward model."""
    (found,) = (run / "1-taste" / "checkpoints").glob("step-*")
    return found


def test_the_stage_after_a_reward_model_goes_on_with_the_policy_from_before(finished: tuple[Path, Path, str]) -> None:
    folder, run, _ = finished
    base, taste, learned = read_report(Run.open(run))
    assert [stage.name for stage in (base, taste, learned)] == ["base", "taste", "rlvr"]
    assert taste.checkpoint == base.checkpoint == str(folder / "base")
    assert taste.domains["words"].pass_at_k == base.domains["words"].pass_at_k
    assert taste.domains["words"].gain is not None
    assert taste.domains["words"].gain.mean == 0.0
    assert (taste.kl, taste.domains["words"].trained) == (None, False)
    assert not (run / "1-taste" / "evaluation").exists(), "the same policy is not measured twice"
    assert learned.domains["words"].trained
    done = json.loads((run / "1-taste" / "done.json").read_text())
    assert (run / "1-taste" / done["checkpoint"], done["domains"]) == (made_in(run), [])
    trained = json.loads(next((run / "2-rlvr" / "checkpoints").glob("step-*/config.json")).read_text())
    assert trained["architectures"] == ["LlamaForCausalLM"]


def test_pairwise_accuracy_is_printed_with_its_interval_before_and_after(finished: tuple[Path, Path, str]) -> None:
    said = " ".join(finished[2].split())
    stored = {
        time: json.loads((finished[1] / "1-taste" / "pairwise" / f"{time}.json").read_text())
        for time in ("before", "after")
    }
    count, after = stored["after"]["num_pairs"], stored["after"]["accuracy"]
    assert f"taste: pairwise accuracy on {count} held-out pairs of {count} prompts: " in said
    assert f"{100 * after['mean']:.1f}% [{100 * after['low']:.0f}, {100 * after['high']:.0f}] after" in said
    assert after["mean"] > stored["before"]["accuracy"]["mean"]


def test_the_score_is_the_reward_and_the_outcome_the_verifiers(finished: tuple[Path, Path, str]) -> None:
    rows = pq.read_table(finished[1] / "2-rlvr" / "rollouts" / "train-000000.parquet").to_pylist()
    assert len(rows) == 24
    assert [row["reward"] for row in rows] == [row["score"] for row in rows]
    assert {row["outcome"] for row in rows} <= {0.0, 1.0}
    assert [row["outcome"] for row in rows] == [float("w9" in row["text"].split()) for row in rows]
    assert len({round(row["score"], 4) for row in rows}) > 12
    line = Run.open(finished[1]).child("2-rlvr").metrics()[0]
    assert line["rollout/reward_mean"] == pytest.approx(sum(row["reward"] for row in rows) / 24)
    assert line["rollout/outcome_mean"] == pytest.approx(sum(row["outcome"] for row in rows) / 24)
    assert line["rollout/score_mean"] == pytest.approx(line["rollout/reward_mean"])
    held_out = pq.read_table(finished[1] / "2-rlvr" / "evaluation" / "rollouts" / "evaluate-000000.parquet")
    assert held_out["score"].null_count == len(held_out), "what a policy can do is the verifier's word alone"


def test_a_finished_run_is_reported_again_and_a_lost_reward_model_is_made_again(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    run = copytree(finished[1], tmp_path / "run")
    checkpoint = made_in(run) / "model.safetensors"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-8])
    with contextlib.redirect_stderr(io.StringIO()):
        resume(run)
    assert checkpoint.read_bytes() == whole


def test_a_reward_model_of_another_run_is_named_by_its_path(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder, run, _ = finished
    text = (folder / "recipe.toml").read_text()
    start_of, end_of = text.index('[[stage]]\nkind = "reward_model"'), text.index('[[stage]]\nkind = "rlvr"')
    model = made_in(run)
    only = text[:start_of] + text[end_of:].replace('"taste"', f'"{model}"')
    (tmp_path / "recipe.toml").write_text(only)
    (tmp_path / "reward_rows.py").write_text(ROWS)
    with contextlib.redirect_stderr(io.StringIO()):
        again = start(read_recipe(tmp_path / "recipe.toml", [f"runs={tmp_path}", "rlvr.steps=1"]))
    first, second = (
        pq.read_table(path / "rollouts" / "train-000000.parquet").to_pylist()
        for path in (run / "2-rlvr", again / "1-rlvr")
    )
    assert [(row["text"], row["score"]) for row in first] == [(row["text"], row["score"]) for row in second]


def plan_text(folder: Path, *overrides: str, text: str = "") -> str:
    if text:
        (folder / "recipe.toml").write_text(text)
    stream = io.StringIO()
    print_plan(make_plan(read_recipe(folder / "recipe.toml", overrides)), stream)
    return stream.getvalue()


def test_the_plan_says_what_gives_the_reward_and_what_stays(finished: tuple[Path, Path, str]) -> None:
    said = plan_text(finished[0])
    assert "reward_model: 3 epochs × pairs of reward_rows:preferences:train, 8 pairs an update" in said
    assert "pairwise accuracy on 30% of the prompts; the policy goes on as it was" in said
    assert "algorithm grpo, reward from taste" in said


def test_a_reward_model_beside_the_policy_is_in_the_estimate() -> None:
    size = ModelSize(1992, 1152, 100, 8, 16, 2, 4, 2, 2, 512)
    work = Work(10, 0, "adamw", False, 0, 0, reward_model=True)
    parts = estimate(size, work, bfloat16=False, gradient_checkpointing=False, workers=0)
    assert parts["reward model"] == 4 * 1992
    assert "logits" not in parts


@pytest.mark.parametrize(
    ("wanted", "error", "message", "hint"),
    [
        ("tast", ModelError, 'the reward model "tast" is no stage of the recipe and no directory', '"taste"'),
        ("rlvr", RecipeError, 'scored by "rlvr", which is the name of no reward_model stage before it', "before it"),
        ("./none", ModelError, "is no stage of the recipe and no directory", "reward_model"),
        ("BASE", ModelError, "is LlamaForCausalLM, which gives no number per token", "reward_model"),
        ("TWO", ModelError, "gives 2 numbers per token, one was expected", "num_labels = 1"),
        ("RUN", ModelError, "is a run folder", "last whole checkpoint"),
        ("DAMAGED", ModelError, "damaged checkpoint", "copy"),
        ("EMPTY", ModelError, "cannot be read", "reward_model"),
    ],
)
def test_a_scorer_that_is_no_reward_model_is_refused_before_anything_is_loaded(
    finished: tuple[Path, Path, str], tmp_path: Path, wanted: str, error: type[Exception], message: str, hint: str
) -> None:
    folder, run, _ = finished
    made = made_in(run)
    if wanted in ("TWO", "DAMAGED"):
        copytree(made, tmp_path / wanted)
        if wanted == "TWO":
            (tmp_path / wanted / "manifest.json").unlink()
        file = tmp_path / wanted / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "id2label": {"0": "bad", "1": "good"}}))
    (tmp_path / "EMPTY").mkdir()
    paths = {"BASE": folder / "base", "RUN": run, **{name: tmp_path / name for name in ("TWO", "DAMAGED", "EMPTY")}}
    with pytest.raises(error, match=message) as caught:
        plan_text(folder, f"rlvr.scorer.reward_model={paths.get(wanted, wanted)}")
    assert hint in caught.value.hint  # type: ignore[attr-defined]


def test_a_reward_model_stage_that_comes_too_late_or_twice_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    text = (folder / "recipe.toml").read_text()
    at, end = text.index('[[stage]]\nkind = "reward_model"'), text.index('[[stage]]\nkind = "rlvr"')
    stage = text[at:end]
    with pytest.raises(RecipeError, match='"taste", which is the name of no reward_model stage before it'):
        plan_text(folder, text=text[:at] + text[end:] + stage)
    with pytest.raises(RecipeError, match='"taste", which is the name of 2 stages'):
        plan_text(folder, text=text[:at] + stage + text[at:])


def test_a_reward_model_of_another_vocabulary_stops_the_stage_with_one_clear_error(
    finished: tuple[Path, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer

    folder, run, _ = finished
    other = copytree(made_in(run), tmp_path / "other")
    (other / "manifest.json").unlink()
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(other)
    words = [f"runs={tmp_path}", f"rlvr.scorer.reward_model={other}", "evaluation.samples=1", "taste.epochs=0.2"]
    assert main(["train", str(folder / "recipe.toml"), *words]) == ModelError("").exit_code
    said = " ".join(capsys.readouterr().err.split())
    assert "the policy's tokenizer has 32 tokens" in said
    assert "made from the same base as the policy" in said


def test_recipes_without_a_scorer_are_scored_by_verifiers_alone(finished: tuple[Path, Path, str]) -> None:
    recipe: Any = read_recipe(finished[0] / "recipe.toml", ["rlvr.scorer.reward_model="]).recipe
    assert recipe.stage[1].scorer.reward_model == ""
    assert "reward from" not in plan_text(finished[0], "rlvr.scorer.reward_model=")


@pytest.mark.slow
def test_reinforcement_by_a_reward_model_raises_its_score(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    words = [f"runs={folder}", "rlvr.steps=12", "rlvr.optimizer.learning_rate=0.01", "rlvr.checkpoint_every=12"]
    program = "import sys; from rlvr.app.cli import main; sys.exit(main(['train', *sys.argv[1:]]))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program, str(folder / "recipe.toml"), *words], check=True, env=env)
    lines = Run.open(folder / "run").child("2-rlvr").metrics()
    scores = [line["rollout/reward_mean"] for line in lines]
    assert sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.5
