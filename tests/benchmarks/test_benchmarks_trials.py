"""The trials: each is a recipe that can be planned, and what is kept is read again only for the same trial."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import domain

from rlvr.algorithms.presets import PRESETS
from rlvr.app.plan import make_plan
from rlvr.config.reading import read_recipe
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.report import StageReport

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("trials", "laptop_rows", "laptop_length", "record_curves")
OTHERS = ("laptop_recipes",)


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield
    for name in NAMES + OTHERS:
        sys.modules.pop(name, None)


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
        resolved = read_recipe(path, (f"model.path={ROOT / 'models' / 'laptop-base'}", *trial.words))
        make_plan(resolved)
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
    trials._make(tmp_path / "r.toml", one, tmp_path, tmp_path / "kept" / "a.json", known, lambda run: {"more": 1})
    found = trials.read(tmp_path / "kept", one, known)
    assert found == trials.Outcome(stage(0.4), {"more": 1})
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


def test_the_page_of_rows_has_a_line_for_each_row_that_was_run() -> None:
    rows: Any = importlib.import_module("laptop_rows")
    page = rows.page({f"{name}-seed{seed}": stage(0.5) for name in ("grpo", "ppo") for seed in rows.SEEDS})
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table] == ["| row", "| grpo", "| ppo"]
    assert "+10.0 [+5.0, +15.0] | +10.0, +10.0, +10.0" in table[1]
    assert len({line.count("|") for line in table}) == 1


def test_every_recipe_of_the_comparison_can_be_planned_and_has_as_many_rollouts(tmp_path: Path) -> None:
    recipes: Any = importlib.import_module("laptop_recipes")
    rollouts = {}
    for name, way in recipes.ways().items():
        path = tmp_path / f"{name}.toml"
        path.write_text(way.recipe)
        for trial in way.trials(name):
            resolved = read_recipe(path, (f"model.path={ROOT / 'models' / 'laptop-base'}", *trial.words))
            make_plan(resolved)
        last = resolved.recipe.stage[-1]
        rollouts[name] = last.steps * getattr(last, "rounds", 1) * last.prompts_per_step * last.group_size
        assert resolved.recipe.evaluation is not None
        assert [data.limit for data in resolved.recipe.evaluation.data] == [recipes.TASKS] * 6
    assert list(rollouts) == ["zero", "one round", "iterate", "PPO, verifier", "rlhf"]
    assert set(rollouts.values()) == {recipes.STEPS * 64 * 8}


def test_the_page_of_recipes_draws_the_proxy_beside_the_truth() -> None:
    recipes: Any = importlib.import_module("laptop_recipes")
    trials: Any = importlib.import_module("trials")
    curve = {
        recipes.COST: 7.0,
        recipes.SCORE: [0.1, 0.9],
        recipes.SOLVED: [0.5, 0.4],
        recipes.AGREES: [0.7, None],
        recipes.KL: [0, 0.05],
    }
    made = {f"rlhf-seed{seed}": trials.Outcome(stage(0.4), curve) for seed in recipes.SEEDS}
    table = [line for line in recipes.page({"rlhf": made}).splitlines() if line.startswith("| ")]
    assert table[1].startswith("| rlhf | 2 | 40.0")
    assert "| 7 |" in table[1]
    assert table[3:] == ["| 1–10 | 0.10 | 50.0% | 70.0% | 0.000 |", "| 11–20 | 0.90 | 40.0% | – | 0.050 |"]
