"""docs/papers.md says of recipes and of defaults what the files and the code say."""

import re
import tomllib
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from rlvr.algorithms.algorithm import Algorithm
from rlvr.config.supervised import RewardModelConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
RECIPES = sorted(re.findall(r"^## recipes/(.+\.toml)$", PAGE, flags=re.MULTILINE))
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (.+?) \| (.+) \|$", flags=re.MULTILINE)


def section(heading: str) -> str:
    return re.split(r"^#{1,2} ", PAGE.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


def test_the_page_has_a_table_for_every_recipe_but_that_of_the_base() -> None:
    there = {path.name for path in (ROOT / "recipes").glob("*.toml")}
    assert there - set(RECIPES) == {"laptop-base.toml"}


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_shows_the_values_that_a_recipe_has(name: str) -> None:
    recipe = tomllib.loads((ROOT / "recipes" / name).read_text(encoding="utf-8"))
    stages: dict[str, Any] = {stage.get("name") or stage["kind"]: stage for stage in recipe["stage"]}
    rows = ROW.findall(section(f"recipes/{name}"))
    assert len(rows) >= 10
    for stage, key, value, source in rows:
        found = reduce(lambda part, word: part[word], key.split("."), stages[stage])
        assert found == tomllib.loads(f"value = {value}")["value"], (stage, key)
        assert source.strip()


def test_the_page_shows_the_defaults_of_a_reward_model() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|", section("Reward model"), flags=re.MULTILINE)
    config = RewardModelConfig.model_validate({"kind": "reward_model", "data": ["x"]})
    assert len(rows) == 5
    for key, value in rows:
        assert reduce(getattr, key.split("."), config) == float(value), key


def test_the_page_shows_the_defaults_of_cells_that_no_preset_sets() -> None:
    pattern = r"^\| `(\w+)` \|.* \| (?:[^|]*off: )?(\d+)(?: completions)? \|"
    found = dict(re.findall(pattern, section("Cells that no preset sets"), flags=re.MULTILINE))
    names = (
        "dual_clip",
        "value_clip",
        "kl_target",
        "kl_horizon",
        "mismatch_high",
        "mismatch_low",
        "entropy_coefficient",
    )
    row = Algorithm(name="plain", paper="none")
    assert {name: float(value) for name, value in found.items()} == {name: float(getattr(row, name)) for name in names}
