"""What the evidence takes from a run's folder, which run it takes at all, and which it throws away."""

import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.reading import read_recipe, resolved_json
from rlvr.runs.folder import Run
from rlvr.runs.report import Beyond, DomainReport, Readout, StageReport, write_report
from rlvr.runs.rollouts import write_rollouts
from rlvr.stages.evaluate import Measurement, Rates
from rlvr.statistics.intervals import Interval
from rlvr.types import Completion, Group, Task, Verdict, read_only

ROOT = Path(__file__).resolve().parents[2]
PLAIN = "Q: {problem}\nA:"
NAMES = ("base", "sft", "dpo-style", "dpo", "rlvr")


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield
    for name in ("evidence", "evidence_tables", "evidence_claims", "evidence_kept", "evidence_runs"):
        sys.modules.pop(name, None)


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script, with its runs and both bases in a folder of the test."""
    module = importlib.import_module("evidence")
    for name, folder in (("RUNS", "runs"), ("KEPT", "kept"), ("SHIPPED", "base-1"), ("SECOND", "base-2")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(module, name, tmp_path / folder)
    (tmp_path / "base-1" / "model.safetensors").write_bytes(b"weights")
    return module


def job_named(evidence: Any, name: str, tasks: int = 256) -> Any:
    return next(job for job in evidence.plan(tasks) if job.name == name)


def store(
    job: Any,
    *,
    started: str = "now",
    stages: tuple[str, ...] = NAMES,
    checkpoint: Path = Path("none"),
    command: Sequence[str] = (),
) -> Run:
    """Makes the run's folder as the command line would."""
    resolved = resolved_json(read_recipe(job.recipe, job.words))
    provenance = {"started": started, "command": list(command or ["rlvr", "train", str(job.recipe), *job.words])}
    run = Run.create(job.folder, config=resolved, provenance=provenance, replace=True)
    reports = [StageReport(n, n, str(checkpoint), 1.0, 1.0, {}, None, None, None, {}, ()) for n in stages]
    write_report(run, reports)
    return run


def test_a_run_of_the_plan_is_done_once_it_has_all_its_stages(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    assert (evidence.is_done(job), evidence.mismatch(job)) == (False, "there is no run")
    words = evidence.starting(job)
    assert words[:2] == ["train", str(evidence.RECIPE)]
    assert "replace=true" not in words
    store(job, stages=NAMES[:3])
    assert (evidence.is_done(job), evidence.mismatch(job)) == (False, "")
    store(job)
    assert evidence.is_done(job)


def test_a_run_with_other_settings_is_thrown_away_and_the_reason_printed(evidence: Any, capsys: Any) -> None:
    evidence.starting(job_named(evidence, "base1-seed1", 16))
    store(job_named(evidence, "base1-seed1", 16), started="old")
    job = job_named(evidence, "base1-seed1", 256)
    assert not evidence.is_done(job)
    assert evidence.starting(job)[-1] == "replace=true"
    printed = capsys.readouterr().out
    assert f"thrown away: {job.folder}: evaluation.data.1.limit is 16, planned 256;" in printed
    assert printed.endswith("and 3 more\n")


def test_whether_a_run_replaced_another_makes_no_difference(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    evidence.starting(job)
    run = store(job)
    run.write_json("config.json", {**run.config(), "recipe": {**run.config()["recipe"], "replace": True}})
    assert evidence.is_done(job)


def test_a_run_from_before_a_key_was_added_counts_with_that_keys_default(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    evidence.starting(job)
    run = store(job)
    recipe = {key: value for key, value in run.config()["recipe"].items() if key not in ("verifier", "sinks")}
    run.write_json("config.json", {**run.config(), "recipe": recipe})
    assert evidence.is_done(job)
    run.write_json("config.json", {**run.config(), "recipe": {**recipe, "younger": 1}})
    assert "cannot be read any more" in evidence.mismatch(job)


def test_a_run_from_other_base_weights_counts_as_no_run(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    store(job, started="old")
    assert evidence.mismatch(job) == "it is not known from which base weights it started"
    evidence.base_file(job).unlink(missing_ok=True)
    evidence.base_file(job).write_text(
        json.dumps({"weights_sha256": hashlib.sha256(b"weights").hexdigest(), "instead_of": None})
    )
    assert evidence.is_done(job)
    (evidence.SHIPPED / "model.safetensors").write_bytes(b"others")
    assert evidence.mismatch(job) == f"the weights of {evidence.SHIPPED} have changed"
    # Killed before the new run stands in its place, the old one is not taken for it.
    evidence.starting(job)
    assert evidence.mismatch(job) == "it was being thrown away"
    store(job, started="later")
    assert evidence.is_done(job)


def test_the_second_base_is_done_only_when_its_export_is_that_of_its_last_checkpoint(
    evidence: Any, tmp_path: Path
) -> None:
    job = job_named(evidence, "base-2")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"second")
    store(job, stages=("base", "pretrain", "firmer"), checkpoint=checkpoint)
    assert (evidence.is_done(job), evidence.mismatch(job)) == (False, "")
    for weights, done in ((b"older", False), (b"second", True)):
        content = json.dumps({"weights_sha256": hashlib.sha256(weights).hexdigest()})
        (evidence.SECOND / "origin.json").write_text(content)
        assert evidence.is_done(job) is done


def measured(chat: dict[str, float], greedy: dict[str, float], plain: dict[str, float]) -> Measurement:
    rates = [("chat", 1.0, chat), ("chat", 0.0, greedy), (PLAIN, 0.0, plain)]
    return Measurement({}, tuple(Rates(p, t, {"arithmetic": solved}) for p, t, solved in rates), None, None)


def test_the_hard_rungs_are_compared_on_their_own_tasks_with_the_strongest_readout_there() -> None:
    runs = importlib.import_module("evidence_runs")
    rungs = {"a": 8, "b": 9, "c": 12, "d": 10, "e": 11}
    nothing, right = dict.fromkeys(rungs, 0.0), dict.fromkeys(rungs, 1.0)
    # In plain text the base has one of the four hard tasks; in chat SFT is best over all, by the easy task only.
    base = measured(nothing, nothing, {**nothing, "b": 1.0})
    sft = measured({**nothing, "a": 1.0, "c": 0.5}, {**nothing, "a": 1.0}, nothing)
    found = runs.hard_rungs([("base", base), ("sft", sft), ("rlvr", measured(nothing, right, nothing))], rungs)
    assert list(found) == ["arithmetic"]
    hard = found["arithmetic"]
    assert (hard.num_tasks, hard.beyond.stage, hard.beyond.prompt) == (4, "base", PLAIN)
    # 4 of 4 beside 1 of 4
    assert (hard.beyond.accuracy.mean, hard.beyond.gain.mean) == (0.25, 0.75)


def test_domains_without_hard_tasks_give_no_comparison() -> None:
    runs = importlib.import_module("evidence_runs")
    easy = measured({"a": 1.0}, {"a": 1.0}, {"a": 1.0})
    assert runs.hard_rungs([("base", easy), ("rlvr", easy)], {"a": 8}) == {}


def test_a_stage_is_held_against_the_readout_that_is_best_on_the_other_half_of_the_tasks() -> None:
    runs = importlib.import_module("evidence_runs")
    none, whole = dict.fromkeys("abcd", 0.0), dict.fromkeys("abcd", 1.0)
    # Halves: a, c and b, d. Greedy in chat the base has a, in plain text b; its samples do not count.
    base = measured(whole, {**none, "a": 1.0}, {**none, "b": 1.0})
    sft = measured(none, {**none, "a": 1.0, "b": 1.0}, whole)
    # Best on a, c is chat: SFT over it on b, d is 1 and 0. Best on b, d is plain text: SFT over it on a, c is 1 and 0.
    assert runs.staged_changes([("base", base), ("sft", sft)]) == {"sft": {"arithmetic": 0.5}}
    # The third stage has two ancestors; SFT in plain text is best on both halves: on each once 0 - 1 and once 1 - 1.
    last = measured(none, {**none, "b": 1.0, "c": 1.0}, whole)
    assert runs.staged_changes([("base", base), ("sft", sft), ("rlvr", last)])["rlvr"] == {"arithmetic": -0.5}


THINK = (7, 8)


def group(id_: str, *samples: tuple[str, Sequence[int], float | None], domain: str = "sums") -> Group:
    """A task with samples of (text, token ids, outcome)."""
    task = Task(id_, ({"role": "user", "content": "?"},), None, "exact", "made", domain)
    completions = [
        Completion(
            read_only(ids, int),
            read_only([0.0] * len(ids), "float32"),
            read_only([True] * len(ids), bool),
            t,
            "stop",
            0,
        )
        for t, ids, _ in samples
    ]
    verdicts = [Verdict(outcome, "ok") for _, _, outcome in samples]
    return Group(task, 0, read_only([1], int), tuple(completions), tuple(verdicts), tuple(0.0 for _ in samples))


def test_samples_with_and_without_working_are_told_apart_by_rung(tmp_path: Path) -> None:
    runs = importlib.import_module("evidence_runs")
    groups = [
        group(
            "one",
            ("<think>1+1=2</think>2", [7, 1, 2, 1, 3, 8, 9], 1.0),
            ("<think></think>2", [7, 8, 9], 1.0),
            ("3", [1, 2], 0.0),
            ("", [1], None),
        ),
        group("two", ("<think> \n</think>5", [7, 1, 8, 5], 0.0)),
        group("flat", ("<think>x</think>", [7, 1, 8], 1.0)),
    ]
    write_rollouts(tmp_path / "rollouts" / "evaluate-000000.parquet", groups, step=0, split="evaluate")
    found = runs.work_by_rung(runs.samples_of(Run(tmp_path)), {"one": 1, "two": 2, "flat": 0}, THINK)
    assert found == {
        "sums": {
            # Working of four tokens; right in one of one sample with working, in one of two without.
            1: runs.Work({3: 1, 7: 1}, {4: 1}, (1, 1), (1, 2), {"one": (1.0, 0.5)}),
            2: runs.Work({}, {}, (0, 0), (0, 1), {}),
        },
    }


def test_the_course_is_a_mean_over_whole_stretches_of_steps_and_then_over_the_domains() -> None:
    runs = importlib.import_module("evidence_runs")
    sums, rows = f"{runs.SOLVED}sums", f"{runs.SOLVED}rows"
    first = [{"step": step, sums: 0.2 if step % 2 else 0.4} for step in range(runs.STRETCH)]
    second = [{"step": 0, sums: 0.5, rows: 1.0}, *({"step": step, sums: 0.5} for step in range(1, runs.STRETCH))]
    # (0.2 + 0.4) / 2; (0.5 + 1.0) / 2, one step of `rows` being all that is known of it; a stretch that is cut is none
    assert runs.course_of([*first, *second, {"step": 40, sums: 0.9}]) == pytest.approx([0.3, 0.75])
    assert runs.course_of([]) == []


def test_how_many_files_have_changed_since_a_commit_is_counted_where_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = importlib.import_module("evidence_runs")
    (tmp_path / "rlvr" / "data").mkdir(parents=True)
    (tmp_path / "rlvr" / "data" / "a.py").write_text("1")
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "one")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    commit = f"{head[:10]} with 12 bytes of changes"
    assert runs.changed_since(commit) == 0
    (tmp_path / "rlvr" / "data" / "a.py").write_text("2")
    (tmp_path / "README.md").write_text("other")
    assert runs.changed_since(commit) == 1
    assert runs.changed_since("0123456789") is None
    assert runs.changed_since("no checkout") is None


def test_the_ids_around_the_working_are_those_of_the_model() -> None:
    runs = importlib.import_module("evidence_runs")
    opening, closing = runs.think_ids(str(ROOT / "models" / "laptop-base"))
    assert opening != closing
    assert min(opening, closing) >= 0


def test_a_run_that_was_started_by_another_command_is_not_taken(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    evidence.starting(job)
    store(job, command=["rlvr", "train", str(job.recipe), *job.words[:-1]])
    assert evidence.mismatch(job) == f"it was started without {job.words[-1]}"


def kept_finished(name: str) -> Any:
    """What a run may have found: numbers as keys, NaN, tuples, and a checkpoint's place on this machine."""
    runs = importlib.import_module("evidence_runs")
    rate = Interval(0.5, 0.4, 0.6)
    domain = DomainReport(True, 64, {1: rate, 16: rate}, {3: rate}, (Readout(PLAIN, 0.0, rate),), None, 0.1, 0.2, 40.5)
    beyond = Beyond("base", PLAIN, 0.3, rate, rate)
    stage = StageReport(
        "rlvr", "rlvr", "/somewhere/else", 7.5, 9.0, {"sums": domain}, None, 4.0, 0.2, {"sums": beyond}, ()
    )
    work = {"sums": {1: runs.Work({3: 2}, {}, (1, 2), (0, 0), {"a": (1.0, 0.5)})}}
    hard = {"sums": runs.Hard(4, beyond)}
    return runs.Finished(name, 500, [stage], {"dpo": {"sums": -0.01}}, hard, work, [0.4, 0.5], {"commit": "abc"})


def test_kept_figures_are_what_was_found_without_places_of_the_machine(tmp_path: Path) -> None:
    kept = importlib.import_module("evidence_kept")
    found = kept_finished("base1-seed1")
    recipe = resolved_json(read_recipe(ROOT / "recipes" / "laptop.toml", [f"runs={tmp_path / 'runs'}"]))["recipe"]
    path = tmp_path / "kept.json"
    kept.keep(path, kept.Kept(recipe, "hash", found), root=tmp_path)
    again = kept.read_kept(path)
    assert (again.weights_sha256, again.recipe["runs"]) == ("hash", "runs")
    same = [replace(stage, checkpoint="") for stage in found.stages]
    assert again.finished == replace(found, stages=same)
    assert str(tmp_path) not in path.read_text()
    assert "/somewhere" not in path.read_text()
    assert kept.read_kept(tmp_path / "none.json") is None


def test_kept_figures_count_for_the_planned_recipe_and_the_weights_that_lie_there(evidence: Any) -> None:
    job = job_named(evidence, "base1-seed1")
    assert evidence.kept_mismatch(job) == "no figures are kept"
    keep_with(evidence, job, evidence.bound_to(job))
    assert evidence.kept_mismatch(job) == ""
    assert "evaluation.data.1.limit is 256, planned 16" in evidence.kept_mismatch(job_named(evidence, job.name, 16))
    (evidence.SHIPPED / "model.safetensors").write_bytes(b"others")
    assert evidence.kept_mismatch(job) == "they are of other weights of the base"
    job.kept.write_text("{}")
    assert "cannot be read" in evidence.kept_mismatch(job)


def test_a_run_whose_figures_are_kept_is_not_made_again(evidence: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = evidence.plan(256)
    (evidence.SECOND / "model.safetensors").write_bytes(b"second")
    for job in jobs[:-1]:
        keep_with(evidence, job, evidence.bound_to(job))
    made: list[str] = []
    monkeypatch.setattr(evidence, "make", lambda job: made.append(job.name))
    monkeypatch.setattr(evidence, "keep_figures", lambda job: keep_with(evidence, job, evidence.bound_to(job)))
    evidence.make_all(jobs, 2)
    assert made == [jobs[-1].name]
    assert not any(evidence.kept_mismatch(job) for job in jobs)


def keep_with(evidence: Any, job: Any, weights: str) -> None:
    kept = importlib.import_module("evidence_kept")
    kept.keep(job.kept, kept.Kept(job.settings(), weights, kept_finished(job.name)), root=evidence.ROOT)
