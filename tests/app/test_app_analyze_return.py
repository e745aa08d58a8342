"""`rlvr analyze return` reads the evaluations of a real run, and says what is missing where there were none."""

import json
import shutil
from pathlib import Path

import pytest
from sided import RECIPE, ROWS
from tiny import write_base

from rlvr.app.cli import main
from rlvr.app.pipeline import start
from rlvr.config.reading import read_recipe

EVALUATED = RECIPE.replace(
    "steps = 1\n",
    "steps = 4\nprompts_per_step = 4\ngroup_size = 4\nmax_completion_tokens = 8\nconditions = { tasks = 0 }\n",
)


def trained(folder: Path, every: int) -> Path:
    # What is trained on is asked in one word more, so that nothing of it is held out.
    rows = ROWS.replace('w{6 + n % 9}"', 'w{6 + n % 9}" + " w20" * (split == "train")')
    (folder / "return_rows.py").write_text(rows.replace("sided_rows", "return_rows"))
    recipe = folder / "recipe.toml"
    recipe.write_text(
        EVALUATED.replace("sided_rows", "return_rows").replace(
            "BASE", str(write_base(folder / "base", seed=1, scale=0.25))
        )
    )
    return start(read_recipe(recipe, [f"runs={folder}", f"rlvr.evaluate_every={every}"]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("returns"), 2)


def test_each_evaluation_is_a_row_and_the_base_is_the_start(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "return", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["domains"] == ["one", "two"]
    assert [point["step"] for point in found["points"]] == [2, 4]
    first, last = found["points"]
    assert 0 < first["seconds"] < last["seconds"]
    # from the base to the end is the way over the first evaluation
    assert last["gain"]["mean"] == pytest.approx(first["stretch"]["mean"] + last["stretch"]["mean"])


def test_on_a_gpu_the_cost_is_the_time_that_it_was_held(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on_gpu = shutil.copytree(run, tmp_path / "on-gpu")
    known = json.loads((on_gpu / "provenance.json").read_text())
    (on_gpu / "provenance.json").write_text(json.dumps({**known, "gpu": "one of some kind"}))
    assert main(["analyze", "return", str(on_gpu), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = [json.loads(line) for line in (on_gpu / "1-rlvr" / "metrics.jsonl").read_text().splitlines()]
    assert found["unit"] == "GPU"
    assert found["points"][-1]["seconds"] == pytest.approx(sum(line["time/step_seconds"] for line in lines))


def test_the_table_and_the_page_are_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "return", str(run)]) == 0
    out = capsys.readouterr().out
    assert "gain of the stretch" in out
    assert f"drawn: {run}/1-rlvr/return.html" in out
    page = (run / "1-rlvr" / "return.html").read_text()
    assert page.count("<svg") == 2
    assert "What training gave for its cost" in page


def test_a_run_that_was_not_evaluated_on_its_way_says_which_key_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, 0)
    assert main(["analyze", "return", str(run)]) == 1
    error = capsys.readouterr().err
    assert "two evaluations at least, got 1" in error
    assert "rlvr.evaluate_every=1" in error
