"""Evaluation on rows that are trained on, on purpose: `seen = true` in [evaluation]."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rlvr.app.wiring import House, load_for_training, load_items
from rlvr.config.data import DataConfig
from rlvr.config.reading import read_recipe
from rlvr.config.schema import Recipe
from rlvr.errors import RecipeError, RlvrError


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{n} + 1 = ?", "answer": str(n + 1)}) + "\n" for n in range(40)))
    return path


def house_of(path: Path, *, seen: bool) -> House:
    source: dict[str, Any] = {"source": str(path), "options": {"evaluation_share": 0.0}}
    return House(
        Recipe.model_validate(
            {
                "name": "seen",
                "model": {"path": "unused"},
                "evaluation": {"data": [{**source, "limit": 10, "seen": seen}]},
                "stage": [{"kind": "rlvr", "data": [source], "algorithm": "grpo", "steps": 1}],
            }
        ),
        torch.device("cpu"),
        None,  # type: ignore[arg-type]
    )


def test_evaluation_tasks_are_held_out_unless_they_are_marked_as_seen(rows: Path) -> None:
    data = house_of(rows, seen=False).recipe.stage[0].data
    assert len(load_for_training(house_of(rows, seen=False), "task", data)) == 30
    assert len(load_for_training(house_of(rows, seen=True), "task", data)) == 40


def test_the_domain_of_seen_tasks_says_so_in_evaluation_and_stays_as_it_is_in_training(rows: Path) -> None:
    house = house_of(rows, seen=True)
    assert house.recipe.evaluation is not None
    trained = {task.domain for task in load_for_training(house, "task", house.recipe.stage[0].data)}
    measured = {task.domain for task in load_items("task", house.recipe.evaluation.data)}
    assert len(trained) == 1
    assert measured == {f"{domain}-seen" for domain in trained}


def test_what_checkpoints_are_measured_on_is_loaded_once(rows: Path) -> None:
    house = house_of(rows, seen=True)
    assert house.recipe.evaluation is not None
    data = house.recipe.evaluation.data
    first = house.load_held_out("task", data)
    rows.unlink()
    assert [task.domain for task in house.load_held_out("task", data)] == [task.domain for task in first]
    with pytest.raises(RlvrError):
        house.load_held_out("document", data)


def test_what_is_held_out_is_not_loaded_a_second_time_to_be_measured(rows: Path) -> None:
    house = house_of(rows, seen=False)
    assert house.recipe.evaluation is not None
    tasks, hashes = house.held_out()
    rows.unlink()
    assert house.load_held_out("task", house.recipe.evaluation.data) == tasks
    assert len(hashes) == len(tasks) == 10


def test_training_data_cannot_be_marked_as_seen() -> None:
    with pytest.raises(ValueError, match="seen"):
        DataConfig.model_validate({"source": "gsm8k", "seen": True})


RECIPE = """
name = "two-origins"
[model.new]
architecture = "qwen3"
[[stage]]
kind = "sft"
data = ["gsm8k:train"]
"""


def test_an_override_of_the_model_path_takes_the_place_of_the_recipes_new_model(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    model = read_recipe(path, ["model.path=somewhere", "model.dtype=bfloat16"]).recipe.model
    assert (model.path, model.new, model.dtype) == ("somewhere", None, "bfloat16")
    path.write_text(RECIPE.replace("[model.new]\narchitecture", "[model]\npath"))
    model = read_recipe(path, ["model.new.architecture=llama"]).recipe.model
    assert model.new is not None
    assert (model.path, model.new.architecture) == ("", "llama")


def test_a_path_and_a_new_model_both_given_as_overrides_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    with pytest.raises(RecipeError, match="exactly one"):
        read_recipe(path, ["model.path=somewhere", "model.new.architecture=llama"])
