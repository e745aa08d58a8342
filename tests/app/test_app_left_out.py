"""Data marked `where_sandboxed`: left out where model-written code cannot be kept in, and every door says so."""

import json
import re
from pathlib import Path

import pytest

from rlvr.app import cli
from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.app.wiring import open_house
from rlvr.config.reading import Resolved, from_json, read_recipe, resolved_json
from rlvr.errors import RecipeError
from rlvr.runs.folder import Run
from rlvr.runs.report import read_report
from rlvr.verifiers import code
from rlvr.verifiers.sandbox import levels

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
name = "mixed"
runs = {runs}
replace = true
[model]
path = {model}
[evaluation]
data = [
    {{ source = "arithmetic", split = "evaluation", limit = 2 }},
    {{ source = "functions", split = "evaluation", limit = 2, where_sandboxed = true }},
]
samples = 1
max_completion_tokens = 4
[[stage]]
kind = "sft"
data = [
    {{ source = "arithmetic", split = "train", limit = 4 }},
    {{ source = "functions", split = "train", limit = 4 }},
]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.toml"
    model = json.dumps(str(ROOT / "models" / "laptop-base"))
    path.write_text(RECIPE.format(runs=json.dumps(str(tmp_path / "runs")), model=model))
    return path


def sources(resolved: Resolved) -> list[list[str]]:
    parts = [resolved.in_force.evaluation, *resolved.in_force.stage]
    return [[entry.source for entry in part.data] for part in parts if part is not None]


@pytest.mark.usefixtures("weak")
def test_on_a_weak_machine_what_is_marked_is_left_out_and_the_reason_says_what_to_type(recipe: Path) -> None:
    found = fitted(read_recipe(recipe))
    assert sources(found) == [["arithmetic"], ["arithmetic", "functions"]]
    line = left_out_line(found)
    assert line.startswith("left out: functions, because sandbox level 2 is needed for model-written code and this")
    assert re.search("apt-get install|user namespaces", line)
    assert from_json(json.loads(json.dumps(resolved_json(found)))).in_force == found.in_force


def test_on_a_strong_machine_nothing_is_left_out(recipe: Path) -> None:
    if not levels.assess().is_allowed:
        pytest.skip("this machine has no sandbox that is strong enough")
    found = fitted(read_recipe(recipe))
    assert sources(found) == [["arithmetic", "functions"]] * 2
    assert (found.left_out, left_out_line(found)) == ("", "")


@pytest.mark.usefixtures("weak")
@pytest.mark.parametrize("word", ['sandbox.url="http://localhost:8080"', "sandbox.allow_unsafe_execution=true"])
def test_a_sandbox_service_or_leave_to_run_it_unsafely_leaves_nothing_out_and_is_what_programs_run_in(
    word: str, recipe: Path
) -> None:
    found = fitted(read_recipe(recipe, [word, 'sandbox.packages=["numpy", "scipy"]']))
    assert sources(found) == [["arithmetic", "functions"]] * 2
    open_house(found.in_force).scorer.close()
    told = code._settings
    code.configure()
    assert (told.url, told.allow_unsafe_execution) == (
        ("http://localhost:8080", False) if "url" in word else ("", True)
    )
    assert told.packages == ("numpy", "scipy")


def test_without_a_mark_the_sandbox_is_not_asked(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlvr.app.sandboxing.assess", lambda: pytest.fail("asked"))
    recipe.write_text(recipe.read_text().replace(", where_sandboxed = true", ""))
    assert fitted(read_recipe(recipe)).left_out == ""


@pytest.mark.usefixtures("weak")
def test_a_stage_whose_whole_data_would_be_left_out_is_an_error(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = recipe.read_text().replace('    { source = "arithmetic", split = "evaluation", limit = 2 },\n', "")
    recipe.write_text(text)
    with pytest.raises(RecipeError, match="all data of evaluation is marked where_sandboxed"):
        _ = fitted(read_recipe(recipe)).in_force
    assert cli.main(["train", str(recipe), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "left out because sandbox level 2 is needed" in said
    assert "hint: rlvr sandbox check says more" in said


@pytest.mark.usefixtures("weak")
def test_plan_run_and_page_say_what_was_left_out_and_a_resumed_run_leaves_out_the_same(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["train", str(recipe), "--dry-run"]) == 0
    assert "left out: functions, because" in capsys.readouterr().out
    assert cli.main(["train", str(recipe)]) == 0
    assert capsys.readouterr().err.count("left out: functions, because") == 2, "before the run and after it"
    run = tmp_path / "runs" / "mixed"
    said = "Tasks that need a sandbox are left out of this run: sandbox level 2 is needed"
    assert said in (run / "report.html").read_text()
    assert cli.main(["evaluate", str(run / "1-sft" / "checkpoints" / "step-000001"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["domains"]) == ["arithmetic"]
    monkeypatch.undo()
    levels.assess.cache_clear()
    assert cli.main(["resume", str(run)]) == 0
    assert {name for stage in read_report(Run(run)) for name in stage.domains} == {"arithmetic"}
    assert said in (run / "report.html").read_text()
