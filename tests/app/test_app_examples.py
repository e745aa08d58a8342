"""The examples run as they stand, only shorter."""

import json
from pathlib import Path

import pytest

from rlvr.app.pipeline import start
from rlvr.config.reading import read_recipe

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_verifier_and_tasks_of_ones_own_train_a_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = ROOT / "examples/own_verifier/recipe.toml"
    run = start(read_recipe(recipe, [f"runs={tmp_path}", "rlvr.steps=2"]))
    lines = [json.loads(line) for line in (run / "1-rlvr/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    assert all(0 < line["rollout/outcome_mean"] <= 1 for line in lines)
    assert all(line["rollout/unscored_rate"] == 0 for line in lines)
    assert (run / "1-rlvr/checkpoints/step-000002/model.safetensors").is_file()
