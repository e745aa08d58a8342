from dataclasses import replace
from pathlib import Path

import pytest

from rlvr.runs.folder import Run
from rlvr.runs.publish import publish
from rlvr.runs.rollouts import write_rollouts
from rlvr.runs.sameness import differences


@pytest.fixture
def two_runs(tmp_path, make_group):
    for name, seconds in (("a", 0.5), ("b", 0.75)):
        run = Run.create(tmp_path / name, config={"name": name}, provenance={"started": name})
        child = run.child("1-rlvr")
        child.event("started", by=name)
        for step in (0, 1):
            with child.step(step) as record:
                record.metrics({"train/loss": 0.5, "reward/mean": float("nan"), "train/update_seconds": seconds})
                record.rollouts([make_group(step, seconds=seconds)])
        publish(child.checkpoints, "step-000002", lambda folder: (folder / "w").write_text("weights"))
    return tmp_path / "a", tmp_path / "b"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_runs_that_differ_in_durations_events_and_provenance_only_are_equal(two_runs):
    assert differences(*two_runs) == []


def test_a_different_last_bit_of_a_metric_is_found(two_runs):
    edit(two_runs[1] / "1-rlvr/metrics.jsonl", '"train/loss": 0.5', '"train/loss": 0.5000000000000001')
    assert differences(*two_runs) == [
        "1-rlvr: step 0: train/loss is 0.5 in the first, 0.5000000000000001 in the second"
    ]


def test_a_missing_step_metric_file_or_child_is_found(two_runs):
    a, b = two_runs
    edit(b / "1-rlvr/metrics.jsonl", '"reward/mean"', '"reward/median"')
    (a / "1-rlvr/rollouts/train-000001.parquet").unlink()
    Run.open(b).child("2-eval")
    assert differences(a, b) == [
        "the run 2-eval is only in the second",
        "1-rlvr: step 0: the metric reward/mean is only in the first",
        "1-rlvr: step 0: the metric reward/median is only in the second",
        "1-rlvr: the rollout file train-000001.parquet is only in the second",
    ]
    lines = (b / "1-rlvr/metrics.jsonl").read_text().splitlines(keepends=True)
    (b / "1-rlvr/metrics.jsonl").write_text(lines[0])
    assert "1-rlvr: metrics have 2 steps in the first, 1 in the second" in differences(a, b)


def test_a_different_sign_of_zero_in_a_rollout_is_found(two_runs, make_group):
    group = make_group(1)
    verdicts = (group.verdicts[0], replace(group.verdicts[1], outcome=-0.0), group.verdicts[2])
    path = two_runs[1] / "1-rlvr/rollouts/train-000001.parquet"
    write_rollouts(path, [replace(group, verdicts=verdicts)], step=1, split="train")
    assert differences(*two_runs) == ["1-rlvr: train-000001.parquet: outcome differs in 1 of 3 rows, first in row 1"]
    write_rollouts(path, [], step=1, split="train")
    assert differences(*two_runs) == ["1-rlvr: train-000001.parquet: 3 completions in the first, 0 in the second"]


def test_different_other_missing_or_damaged_checkpoints_are_found(two_runs):
    a, b = (path / "1-rlvr/checkpoints" for path in two_runs)
    publish(b, "step-000002", lambda folder: (folder / "w").write_text("weighty"))
    assert differences(*two_runs) == ["1-rlvr: step-000002: w differs"]
    publish(b, "step-000003", lambda folder: (folder / "w").write_text("weights"))
    assert differences(*two_runs) == [
        "1-rlvr: the last checkpoint is step-000002 in the first, step-000003 in the second"
    ]
    (a / "step-000002" / "w").write_text("damaged")
    assert differences(*two_runs) == ["1-rlvr: a checkpoint is only in the second"]
