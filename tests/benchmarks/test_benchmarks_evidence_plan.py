"""What the scripts write into the READMEs, and the runs that the evidence plans."""

import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.reading import read_recipe
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.folder import Run
from rlvr.runs.report import Beyond, DomainReport, Readout, StageReport
from rlvr.statistics.intervals import Interval

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("claims", "kept", "readme", "runs", "tables")


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_can_be_imported() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield
    for name in ("evidence", *(f"evidence_{part}" for part in PARTS), "demo_table"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def readme(_benchmarks_can_be_imported: None) -> Any:
    return importlib.import_module("evidence_readme")


def test_text_goes_between_the_marks_of_a_file_however_often(readme: Any, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    begin, end = readme.marks("x: made")
    path.write_text(f"before\n{begin}\nold\n\nold\n{end}\nafter\n")
    for text in ("| a |", "| b |\n| c |"):
        readme.write_between(path, text, "x: made")
        assert path.read_text() == f"before\n{begin}\n{text}\n{end}\nafter\n"


@pytest.mark.parametrize("kept", [0, 1])
def test_a_file_without_one_of_the_marks_is_left_alone(kept: int, readme: Any, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    mark = readme.marks("x: made")[kept]
    path.write_text(f"{mark}\n")
    with pytest.raises(SystemExit, match="no place for the results"):
        readme.write_between(path, "new", "x: made")
    assert path.read_text() == f"{mark}\n"


@pytest.mark.parametrize("name_of_file", ["README.md", "README.zh-CN.md"])
def test_both_readmes_have_a_place_for_the_results(name_of_file: str, readme: Any) -> None:
    text = (ROOT / name_of_file).read_text(encoding="utf-8")
    for name in (readme.NAME, importlib.import_module("demo_table").NAME):
        begin, end = readme.marks(name)
        assert -1 < text.find(begin) < text.find(end)


def test_the_plan_has_three_seeds_on_two_bases_and_three_controls_and_each_can_be_read() -> None:
    runs = importlib.import_module("evidence_runs")
    evidence = importlib.import_module("evidence")
    jobs = evidence.plan(128)
    seeds = ("seed1", "seed2", "seed3")
    assert {job.name for job in jobs} == {
        "base-2",
        *(f"{b}-{s}" for b in ("base1", "base2", "shuffled") for s in seeds),
        "working-seed1",
    }
    recipes = {job.name: read_recipe(job.recipe, [f"name={job.name}", *job.overrides]).recipe for job in jobs}
    for job in jobs:
        recipe = recipes[job.name]
        finished = runs.Finished(job.name, 0, [], {}, {}, {}, [], {})
        assert finished.is_control == job.name.startswith("shuffled")
        assert finished.is_true == job.name.startswith("base")
        assert job.needs == (("base-2",) if job.name.startswith("base2") else ())
        if job.name == "base-2":
            assert (recipe.seed, recipe.export) == (2, recipe_export_of_second(recipes))
            continue
        assert f"seed{recipe.seed}" == job.name.partition("-")[2]
        assert recipe.evaluation is not None
        assert next(stage.steps for stage in recipe.stage if isinstance(stage, RlvrConfig)) == evidence.STEPS
        assert [data.limit for data in recipe.evaluation.data] == [128, 128, 128, 512, 128, 128]
        # Not the tasks on which the recipe was chosen.
        assert [data.options.get("seed") for data in recipe.evaluation.data] == [evidence.task_seed()] * 5 + [None]
        assert [text.options["seed"] for text in recipe.evaluation.text] == [evidence.task_seed()]
        assert (len(recipe.evaluation.prompts) == 1) == job.name.startswith("shuffled")
        names = [stage.label for stage in recipe.stage]
        # The gain is over the stage before, and the tables call that one DPO.
        assert names[-2:] == [runs.PARENT, runs.CHILD]
        (learning,) = [stage for stage in recipe.stage if isinstance(stage, RlvrConfig)]
        assert learning.rewards == ("shuffled" if job.name.startswith("shuffled") else "verified")


def test_the_demo_s_table_and_cost_are_read_from_its_run(readme: Any, tmp_path: Path) -> None:
    demo = importlib.import_module("demo_table")
    rate = Interval(0.5, 0.4, 0.6)
    domain = DomainReport(True, 64, {1: rate}, {}, (Readout("chat", 0.0, rate),), None, 0.0, 0.0, 40.0)
    values = {"domains": {"sums": domain}, "kl": None, "no_signal_rate": None, "conditions": (), "checkpoint": "c"}
    beyond = {"sums": Beyond("base", "chat", 0.3, Interval(0.7, 0.6, 0.8), Interval(0.12, 0.02, 0.2))}
    stages = [
        StageReport(name=name, kind=name, cpu_seconds=7.4, seconds=125.2, perplexity=4.0, beyond=over, **values)
        for name, over in (("base", {}), ("rlvr", beyond))
    ]
    words = demo.WORDS["README.md"]
    assert demo.table(stages, words).splitlines()[2:] == [
        "| sums | 50.0 | 50.0 [40, 60] | 70.0 → 82.0 |",
        "| story perplexity | 4.000 | 4.000 |  |",
        "| CPU-seconds of training | 7 | 7 |  |",
    ]
    origin: dict[str, Any] = {"cpu": {"model": "a processor"}, "code": {"commit": "0123456789abcdef", "diff_bytes": 0}}
    origin["started"] = (datetime.now(UTC) - timedelta(seconds=301)).isoformat(timespec="seconds")
    run = Run.create(tmp_path / "demo", config={"recipe": {"model": {"path": str(tmp_path)}}}, provenance=origin)
    spent = [{"cpu_seconds": 2400}, {"cpu_seconds": 120}]
    (tmp_path / "origin.json").write_text(json.dumps({"stages": spent}))
    for place in (run.child("1-rlvr"), run.child("1-rlvr").child("evaluation")):
        with place.step(0):
            pass
    with pytest.raises(SystemExit, match="has not ended"):
        demo.cost(run, stages, words)
    run.event("ended")
    said = demo.cost(run, stages, words)
    assert said.startswith("RLVR took 2:05 minutes (7 CPU-seconds, 1 steps) on one core of this machine (a processor),")
    assert re.search(r"the whole run 5:0\d minutes with 64 held-out tasks a domain", said)
    run.event("resume")
    with pytest.raises(SystemExit, match="taken up again"):
        demo.cost(run, stages, words)
    assert re.search(r"held [\d.]+ [MG]B at most, the sandboxes beside it not counted; pretraining the base", said)
    assert "base that it starts from took 42 CPU-minutes" in said
    assert re.search(r"origin\.json\)\. Made with commit 0123456789\. The run's first line: \*Beyond", said)


def recipe_export_of_second(recipes: Mapping[str, Any]) -> str:
    """Where the runs on the second base look for it."""
    (path,) = {recipe.model.path for name, recipe in recipes.items() if name.startswith("base2")}
    return str(path)
