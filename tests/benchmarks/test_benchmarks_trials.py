"""The trials: each is a recipe that can be planned, and what is kept is read again only for the same trial."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pages import domain
from tiny import make_parts, make_run, make_tokenizer, task, write_base

from rlvr.algorithms.presets import PRESETS
from rlvr.app.plan import make_plan
from rlvr.config.reading import Resolved, read_recipe, resolved_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.models.checkpoint import save_checkpoint
from rlvr.models.heads import create_value_model
from rlvr.runs.folder import Run
from rlvr.runs.report import StageReport
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.rlvr import rlvr
from rlvr.statistics.intervals import mean_of, paired_difference_interval

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("trials", "laptop_rows", "laptop_length", "record_curves")
OTHERS = ("laptop_recipes",)


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield
    for name in NAMES + OTHERS:
        sys.modules.pop(name, None)


def planned(path: Path, trial: Any) -> Resolved:
    """Gives the recipe of a trial as it is run, of which a plan can be made."""
    resolved = read_recipe(path, (f"name={trial.name}", f"model.path={ROOT / 'models' / 'laptop-base'}", *trial.words))
    make_plan(resolved)
    return resolved


@pytest.mark.parametrize("name", NAMES[1:])
def test_every_trial_can_be_planned_and_starts_from_the_parent_with_rlvr_alone(name: str, tmp_path: Path) -> None:
    script = importlib.import_module(name)
    path = tmp_path / "recipe.toml"
    path.write_text(script.recipe())
    found = script.trials()
    assert len({trial.name for trial in found}) == len(found)
    for trial in found:
        if not trial.name.endswith("seed1"):
            continue
        resolved = planned(path, trial)
        (stage,) = resolved.recipe.stage
        assert isinstance(stage, RlvrConfig)
        assert stage.steps == script.STEPS
        evaluation = resolved.recipe.evaluation
        assert evaluation is not None
        assert evaluation.prompts == ("chat",)
        assert {data.limit for data in evaluation.data} == {script.TASKS}
        assert {data.options.get("seed", script.TASK_SEED) for data in evaluation.data} == {script.TASK_SEED}


def stage(mean: float) -> StageReport:
    found = {"arithmetic": domain(mean, gain=0.1), "facts-seen": domain(0.9, trained=False, gain=0.0)}
    return StageReport("rlvr", "rlvr", "", 90.0, 100.0, found, 0.1, 1.7, 0.5, {}, ())


def test_what_is_kept_is_read_again_for_the_same_trial_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials: Any = importlib.import_module("trials")
    one, known = trials.Trial("a", ("seed=1",)), {"recipe": "r", "parent": "p"}
    monkeypatch.setattr(trials, "train", lambda recipe, words: None)
    monkeypatch.setattr(trials, "read_report", lambda run: [stage(0.4)])
    monkeypatch.setattr(trials, "held_out", lambda run: {"arithmetic": [0.5, 1.0]})
    trials._make(tmp_path / "runs", one, tmp_path, tmp_path / "kept" / "a.json", known, lambda run: {"more": 1})
    found = trials.read(tmp_path / "kept", one, known)
    assert found == trials.Outcome(stage(0.4), {"arithmetic": [0.5, 1.0]}, {"more": 1})
    assert trials.read(tmp_path / "kept", trials.Trial("a", ("seed=2",)), known) is None
    assert trials.read(tmp_path / "kept", one, {**known, "parent": "other"}) is None
    assert trials.read(tmp_path / "kept", trials.Trial("b", ("seed=1",)), known) is None


def test_a_trial_is_another_one_when_its_recipe_its_words_or_its_preset_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: Any = importlib.import_module("trials")
    rows: Any = importlib.import_module("laptop_rows")
    path = tmp_path / "r.toml"
    path.write_text(rows.recipe())
    one, other = (trials.Trial("a", (f"seed={seed}", 'rlvr.algorithm="r1_zero"')) for seed in (1, 2))
    first = trials.identity(path, one)
    assert trials.identity(path, one) == first != trials.identity(path, other)
    monkeypatch.setitem(PRESETS, "r1_zero", replace(PRESETS["r1_zero"], kl_coefficient=0.5))
    assert trials.identity(path, one) != first


def test_an_arm_is_held_against_another_task_by_task_and_seed_by_seed() -> None:
    trials: Any = importlib.import_module("trials")

    def arm(*seeds: list[float]) -> Any:
        return {
            number: trials.Outcome(stage(0.4), {"a": rates, "b": rates}, None) for number, rates in enumerate(seeds)
        }

    # Means over the seeds: tasks 0.5 and 0.75 against 0.25 and 0.25, so +0.25 and +0.5: +37.5 points in each domain.
    text = trials.against(arm([0.5, 0.5], [0.5, 1.0]), arm([0.25, 0.25], [0.25, 0.25]), ["a", "b"])
    one = paired_difference_interval([0.25, 0.25], [0.5, 0.75])
    assert text == f"{mean_of([one, one]).points('')}: +25.0, +50.0"
    assert text.startswith("+37.5 [")
    assert trials.against(arm([0.5]), {}, ["a"]) == "–"


def test_a_trial_that_fails_ends_the_program_with_what_is_whole_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: Any = importlib.import_module("trials")
    rows: Any = importlib.import_module("laptop_rows")

    def train(recipe: Path, words: tuple[str, ...]) -> None:
        if "name=b" in words:
            raise SystemExit("b failed")

    monkeypatch.setattr(trials, "ROOT", tmp_path)
    monkeypatch.setattr(trials, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(trials, "train", train)
    monkeypatch.setattr(trials, "weights_hash", lambda start: "0123456789")
    monkeypatch.setattr(trials, "read_report", lambda run: [stage(0.4)])
    monkeypatch.setattr(trials, "held_out", lambda run: {})
    both = [trials.Trial(name, ("seed=1",)) for name in "ab"]
    with pytest.raises(SystemExit, match="1 of 2 failed: b; the others are kept in"):
        trials.run_all("topic", rows.recipe(), both, at_once=1, start=tmp_path)
    assert [path.name for path in (tmp_path / "docs" / "lab" / "topic").iterdir()] == ["a.json"]
    assert list(trials.run_all("topic", rows.recipe(), both[:1], at_once=1, start=tmp_path)) == ["a"]


def test_a_run_that_was_broken_off_goes_on_and_one_of_another_recipe_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: Any = importlib.import_module("trials")
    rows: Any = importlib.import_module("laptop_rows")
    recipe, verbs = tmp_path / "r.toml", []
    recipe.write_text(rows.recipe())

    def run(command: list[str], **options: object) -> Any:
        verbs.append(command[3])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(trials.subprocess, "run", run)
    words = (f"runs={tmp_path}", "name=a", f"model.path={ROOT / 'models' / 'laptop-base'}", "seed=1")
    trials.train(recipe, words)
    Run.create(tmp_path / "a", config=resolved_json(read_recipe(recipe, words)), provenance={}, replace=False)
    trials.train(recipe, words)
    trials.train(recipe, (*words[:-1], "seed=2"))
    assert verbs == ["train", "resume", "train"]


def test_the_page_of_rows_has_a_line_for_each_row_that_was_run() -> None:
    rows: Any = importlib.import_module("laptop_rows")
    trials: Any = importlib.import_module("trials")
    rates = {"dr_grpo": [0.5, 0.5], "ppo": [0.75, 0.25]}
    page = rows.page(
        {
            f"{name}-seed{seed}": trials.Outcome(stage(0.5), {"arithmetic": rates[name]}, None)
            for name in rates
            for seed in rows.SEEDS
        }
    )
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table] == ["| row", "| dr_grpo", "| ppo"]
    assert "+10.0 [+5.0, +15.0] | 1: +10.0, 2: +10.0, 3: +10.0 | – |" in table[1]
    assert "]: +0.0, +0.0, +0.0 |" in table[2]
    assert len({line.count("|") for line in table}) == 1


def test_every_recipe_of_the_comparison_can_be_planned_and_has_as_many_rollouts(tmp_path: Path) -> None:
    recipes: Any = importlib.import_module("laptop_recipes")
    rollouts = {}
    for name, way in recipes.ways().items():
        path = tmp_path / f"{name}.toml"
        path.write_text(way.recipe)
        for trial in way.trials(name):
            resolved = planned(path, trial)
        last = resolved.recipe.stage[-1]
        rollouts[name] = last.steps * getattr(last, "rounds", 1) * last.prompts_per_step * last.group_size
        assert resolved.recipe.evaluation is not None
        assert [data.limit for data in resolved.recipe.evaluation.data] == [recipes.TASKS] * 6
    assert list(rollouts) == ["zero", "one-round", "iterate", "ppo-verifier", "rlhf"]
    assert set(rollouts.values()) == {recipes.STEPS * 64 * 8}


def test_the_page_of_recipes_draws_the_proxy_beside_the_truth() -> None:
    recipes: Any = importlib.import_module("laptop_recipes")
    trials: Any = importlib.import_module("trials")
    curve = {
        recipes.COST: 7.0,
        "steps": 20,
        "rounds": ["round 1: fine"],
        recipes.SCORE: [0.1, 0.9],
        recipes.SOLVED: [0.5, 0.4],
        recipes.AGREES: [0.7, None],
        recipes.KL: [0, 0.05],
    }
    found = {
        name: {f"{name}-seed{seed}": trials.Outcome(stage(0.4), {"arithmetic": [0.5]}, curve) for seed in recipes.SEEDS}
        for name in ("iterate", "ppo-verifier", "rlhf")
    }
    page = recipes.page(found)
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table[1:4]] == ["| iterate", "| ppo-verifier", "| rlhf"]
    assert table[3].startswith("| rlhf | 2 | 40.0")
    assert "]: +0.0, +0.0, +0.0 |" in table[3]
    assert "| 7 |" in table[3]
    assert table[5:7] == ["| 1–10 | 0.10 | 50.0% | 70.0% | 0.000 |", "| 11–20 | 0.90 | 40.0% | – | 0.050 |"]
    assert page.count("| 1–10 | 0.10 |") == 2
    assert "- seed 2, 20 steps: round 1: fine" in page


def test_what_a_reward_model_thinks_of_completions_that_were_trained_on_another_word(tmp_path: Path) -> None:
    recipes: Any = importlib.import_module("laptop_recipes")
    base = write_base(tmp_path / "base", scale=0.25)
    model = create_value_model(base, head="drawn", seed=1, device=torch.device("cpu"))
    save_checkpoint(tmp_path, 1, model=model, tokenizer=make_tokenizer(), trainer_state={})
    settings = {
        "kind": "rlvr", "data": ["x"], "algorithm": {"preset": "grpo", "updates_per_step": 1}, "steps": 1,
        "prompts_per_step": 8, "group_size": 4, "max_completion_tokens": 6, "conditions": {"tasks": 0},
    }  # fmt: skip
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": [task(i) for i in range(12)]}), RlvrConfig.model_validate(settings), run)
    found = recipes.scored(run, 0, tmp_path / "step-000001")

    scores: dict[int, list[tuple[float, bool]]] = {}
    for row in read_rollouts(run.path / "rollouts").to_pylist():
        with torch.no_grad():
            ids = torch.tensor([row["prompt_ids"] + row["token_ids"]])
            number = float(model.score(model.model(ids).last_hidden_state)[0, -1, 0])
        scores.setdefault(row["draw_index"], []).append((number, row["outcome"] == 1.0))
    flat = [number for group in scores.values() for number, _ in group]
    pairs = [
        (a > b) + (a == b) / 2
        for group in scores.values()
        for a, is_right in group
        if is_right
        for b, also in group
        if not also
    ]
    assert len(flat) == 32
    assert pairs
    assert found[recipes.SCORE] == pytest.approx(sum(flat) / 32, abs=1e-5)
    assert found[recipes.AGREES] == pytest.approx(sum(pairs) / len(pairs))
