import errno
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rlvr.errors import RunError
from rlvr.runs.folder import Run, is_run
from rlvr.runs.lock import locked
from rlvr.runs.rollouts import read_rollouts
from rlvr.runs.sameness import differences


def make(path: Path) -> Run:
    return Run.create(path, config={"seed": 1}, provenance={"python": "3.11"})


def take_steps(run: Run, first: int, last: int, make_group) -> None:
    for step in range(first, last):
        with run.step(step) as record:
            record.metrics({"train/loss": 1 / (step + 1)})
            record.rollouts([make_group(step)])


def tree(path: Path) -> list[str]:
    return sorted(entry.relative_to(path).as_posix() for entry in path.rglob("*") if entry.is_file())


def test_a_step_leaves_one_line_and_one_file_a_split(tmp_path, make_group):
    run = make(tmp_path / "demo")
    with run.step(12) as record:
        record.metrics({"train/loss": 0.1 + 0.2})
        record.metrics({"train/num_updates": np.int64(3), "train/bf16": np.float32(0.5)})
        record.rollouts([make_group(0)])
        record.rollouts([make_group(1)])
        record.rollouts([make_group(2)], split="test")
    assert tree(run.path) == [
        "config.json",
        "metrics.jsonl",
        "provenance.json",
        "rollouts/test-000012.parquet",
        "rollouts/train-000012.parquet",
    ]
    assert pq.read_metadata(run.path / "rollouts/train-000012.parquet").num_rows == 6
    (line,) = run.metrics()
    assert list(line) == [
        *("step", "train/loss", "train/num_updates", "train/bf16"),
        *("time/step_seconds", "time/cpu_seconds", "memory/peak_bytes"),
    ]
    assert (line["step"], line["train/loss"], line["train/num_updates"]) == (12, 0.30000000000000004, 3)


def test_step_and_cpu_seconds_are_those_of_the_block(tmp_path):
    run = make(tmp_path / "demo")
    with run.step(0):
        started = time.process_time()
        while time.process_time() - started < 0.2:
            pass
    (line,) = run.metrics()
    assert 0.15 < line["time/cpu_seconds"] < 2.0
    assert line["time/step_seconds"] > 0.15


def test_peak_memory_holds_what_a_step_takes_and_gives_back(tmp_path):
    run = make(tmp_path / "demo")
    with run.step(0):
        pass
    with run.step(1):
        bytearray(b"x" * 300_000_000)
    with run.step(2):
        pass
    before, after, later = (line["memory/peak_bytes"] for line in run.metrics())
    assert 300_000_000 < after < 20e9
    assert before <= after <= later


def test_a_step_that_fails_leaves_nothing_but_its_events(tmp_path, make_group):
    run = make(tmp_path / "demo")

    def fail() -> None:
        with run.step(0) as record:
            record.metrics({"train/loss": 1.0})
            record.rollouts([make_group()])
            record.event("nan", where="loss")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert run.metrics() == []
    assert not (run.path / "rollouts").exists()
    (event,) = run.events()
    assert (event["kind"], event["step"], event["where"]) == ("nan", 0, "loss")


def test_numbers_that_are_not_finite_are_null_on_disk_and_nan_when_read(tmp_path):
    run = make(tmp_path / "demo")
    with run.step(0) as record:
        record.metrics({"a/x": math.nan, "a/y": math.inf, "a/z": 2.0})
    text = (run.path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))["a/y"] is None
    (line,) = run.metrics()
    assert math.isnan(line["a/x"])
    assert math.isnan(line["a/y"])
    assert line["a/z"] == 2.0


def test_a_metric_written_twice_is_our_own_mistake(tmp_path):
    run = make(tmp_path / "demo")
    with run.step(0) as record:
        record.metrics({"train/loss": 1.0})
        with pytest.raises(AssertionError, match="train/loss"):
            record.metrics({"train/loss": 2.0})
        with pytest.raises(AssertionError, match="step"):
            record.metrics({"step": 2.0})
    assert run.metrics()[0]["train/loss"] == 1.0


def test_listeners_hear_each_step_after_it_is_written(tmp_path):
    run = make(tmp_path / "demo")
    heard = []
    run.listeners.append(lambda step, metrics: heard.append((step, metrics["a/x"], len(run.metrics()))))
    for step in (0, 5):
        with run.step(step) as record:
            record.metrics({"a/x": step / 2})
    assert heard == [(0, 0.0, 1), (5, 2.5, 2)]


def test_a_step_is_never_written_twice(tmp_path):
    run = make(tmp_path / "demo")
    with run.step(3):
        pass
    for again in (run, Run.open(run.path)):
        with pytest.raises(RunError, match="holds steps up to 3"), again.step(3):
            pass
    assert len(run.metrics()) == 1


def test_an_existing_run_is_kept_unless_it_is_to_be_replaced(tmp_path):
    run = make(tmp_path / "demo")
    run.event("started")
    with pytest.raises(RunError, match=r"(?s)is a run already.*rlvr resume .*demo.*replace=true"):
        make(tmp_path / "demo")
    assert len(run.events()) == 1
    fresh = Run.create(tmp_path / "demo", config={"seed": 2}, provenance={}, replace=True)
    assert fresh.events() == []
    assert fresh.config() == {"seed": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_run_that_a_process_works_in_is_not_replaced(tmp_path):
    run = make(tmp_path / "demo")
    with (
        locked(run.path),
        pytest.raises(RunError, match="another process is working in"),
    ):
        Run.create(run.path, config={"seed": 2}, provenance={}, replace=True)
    assert run.config() == {"seed": 1}
    assert Run.create(run.path, config={"seed": 2}, provenance={}, replace=True).config() == {"seed": 2}


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_run_is_never_touched(tmp_path, replace):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("precious")
    with pytest.raises(RunError, match="is no run folder, so it is left alone"):
        Run.create(tmp_path, config={}, provenance={}, replace=replace)
    assert (tmp_path / "model.safetensors").read_text() == "precious"


def test_opening_what_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"holds no config\.json"):
        Run.open(tmp_path)


def test_a_child_is_a_run_of_the_same_shape_and_is_found_again(tmp_path):
    run = make(tmp_path / "demo")
    child = run.child("2-dpo", config={"kind": "dpo"})
    with child.step(0):
        pass
    assert is_run(run.path / "2-dpo")
    assert run.child("2-dpo", config={"kind": "other"}).config() == {"kind": "dpo"}
    assert [path.path.name for path in Run.open(run.path).children] == ["2-dpo"]
    assert child.checkpoints == run.path / "2-dpo" / "checkpoints"


def test_stages_are_in_the_order_of_their_numbers_and_what_has_none_is_no_stage(tmp_path):
    run = make(tmp_path / "demo")
    for name in ("10-rlvr", "evaluation", "2-dpo", "0-base", "round-10", "round-9"):
        run.child(name)
    assert [stage.path.name for stage in run.stages] == ["0-base", "2-dpo", "10-rlvr"]
    assert [child.path.name for child in run.children][3:] == ["evaluation", "round-9", "round-10"]


def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next(tmp_path):
    run = make(tmp_path / "demo")
    for step in (0, 1):
        with run.step(step) as record:
            record.metrics({"a/x": 1.0})
    metrics = run.path / "metrics.jsonl"
    whole = metrics.read_bytes()
    for torn in (b"{", b'{"step": 2, "a/x', b"\0" * 9000):
        metrics.write_bytes(whole + torn)
        again = Run.open(run.path)
        assert [line["step"] for line in again.metrics()] == [0, 1]
    with again.step(2) as record:
        record.metrics({"a/x": 2.0})
    assert [line["step"] for line in again.metrics()] == [0, 1, 2]
    assert metrics.read_bytes().startswith(whole + b'{"step": 2')
    assert metrics.read_bytes().endswith(b"}\n"), "the torn line is cut off, not only overwritten"


def test_a_damaged_line_before_the_last_is_an_error_with_its_number(tmp_path):
    run = make(tmp_path / "demo")
    (run.path / "metrics.jsonl").write_text('{"step": 0}\n{"step": \n{"step": 2}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2 is not JSON"):
        run.metrics()


def test_rewinding_sets_later_steps_aside_and_loses_none(tmp_path, make_group):
    run = make(tmp_path / "demo")
    take_steps(run, 0, 5, make_group)
    kept = (run.path / "rollouts/train-000001.parquet").read_bytes()
    assert run.rewind(2) == 3
    assert [line["step"] for line in run.metrics()] == [0, 1]
    assert tree(run.path / "rollouts") == ["train-000000.parquet", "train-000001.parquet"]
    aside = run.path / "set-aside" / "001"
    assert [json.loads(line)["step"] for line in (aside / "metrics.jsonl").read_text().splitlines()] == [2, 3, 4]
    assert tree(aside / "rollouts") == [f"train-{step:06d}.parquet" for step in (2, 3, 4)]
    assert (run.path / "rollouts/train-000001.parquet").read_bytes() == kept
    take_steps(run, 2, 3, make_group)
    assert run.rewind(0) == 3
    assert tree(run.path / "set-aside" / "002" / "rollouts") == [f"train-{step:06d}.parquet" for step in (0, 1, 2)]
    assert [event["steps_set_aside"] for event in run.events()] == [3, 3]


def test_rewinding_past_the_end_changes_nothing(tmp_path, make_group):
    run = make(tmp_path / "demo")
    take_steps(run, 0, 2, make_group)
    before = {name: (run.path / name).read_bytes() for name in tree(run.path)}
    assert run.rewind(2) == 0
    assert {name: (run.path / name).read_bytes() for name in tree(run.path)} == before


def test_killed_at_any_instant_and_resumed_the_run_equals_an_undisturbed_one(tmp_path, die_everywhere, make_group):
    undisturbed = make(tmp_path / "undisturbed")
    take_steps(undisturbed.child("1-rlvr"), 0, 4, make_group)

    def prepare(folder: Path) -> None:
        take_steps(make(folder / "demo").child("1-rlvr"), 0, 3, make_group)

    def resume(folder: Path) -> None:
        child = Run.open(folder / "demo").child("1-rlvr")
        child.rewind(2)
        take_steps(child, 2, 4, make_group)

    def check(folder: Path) -> None:
        resume(folder)
        assert differences(undisturbed.path, folder / "demo") == []
        aside = sorted((folder / "demo" / "1-rlvr" / "set-aside").rglob("train-000002.parquet"))
        assert aside, "the step that was made before the kill is lost"
        assert not list(folder.rglob(".tmp-*"))

    assert die_everywhere(prepare, resume, check) > 15


def test_killed_at_any_instant_of_its_making_a_run_can_be_made_again(die_everywhere):
    def check(folder: Path) -> None:
        assert is_run(folder / "demo") or make(folder / "demo").config() == {"seed": 1}
        assert Run.open(folder / "demo").config() == {"seed": 1}

    assert die_everywhere(lambda folder: None, lambda folder: make(folder / "demo"), check) >= 5


def test_killed_at_any_instant_of_its_replacement_a_run_is_the_old_or_the_new_or_gone(die_everywhere, make_group):
    def replace(folder: Path) -> None:
        Run.create(folder / "demo", config={"seed": 2}, provenance={}, replace=True)

    def check(folder: Path) -> None:
        if is_run(folder / "demo"):
            run = Run.open(folder / "demo")
            assert (run.config()["seed"], len(run.metrics())) in ((1, 2), (2, 0))
        replace(folder)
        assert Run.open(folder / "demo").config() == {"seed": 2}
        assert not list(folder.rglob(".tmp-*"))

    die_everywhere(lambda folder: take_steps(make(folder / "demo"), 0, 2, make_group), replace, check)


@pytest.mark.parametrize("written", [0, 5])
def test_a_full_disk_ends_the_step_with_a_clear_error_and_keeps_the_lines_before(tmp_path, monkeypatch, written):
    run = make(tmp_path / "demo")
    with run.step(0):
        pass
    before = (run.path / "metrics.jsonl").read_bytes()
    pwrite = os.pwrite

    def full(descriptor: int, content: bytes, position: int) -> int:
        pwrite(descriptor, content[:written], position)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(RunError, match=r"(?s)metrics\.jsonl cannot be written: No space left.*rlvr resume"),
        run.step(1),
    ):
        pass
    monkeypatch.undo()
    assert (run.path / "metrics.jsonl").read_bytes() == before
    with run.step(1):
        pass
    assert [line["step"] for line in run.metrics()] == [0, 1]


def test_a_read_only_place_gives_a_clear_error(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"(?s)demo cannot be written: Read-only file system.*chmod"):
        make(tmp_path / "demo")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_run_folder_turned_read_only_gives_a_clear_error(tmp_path):
    run = make(tmp_path / "demo")
    run.path.chmod(0o555)
    try:
        with pytest.raises(RunError, match="Permission denied"), run.step(0):
            pass
    finally:
        run.path.chmod(0o755)


def test_json_files_are_replaced_whole(tmp_path, monkeypatch):
    run = make(tmp_path / "demo")
    run.write_json("report.json", {"stages": [], "path": Path("a"), "x": np.float64(0.5), "none": math.nan})
    assert run.read_json("report.json") == {"stages": [], "path": "a", "x": 0.5, "none": None}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"report\.json cannot be written"):
        run.write_json("report.json", {"stages": [1]})
    assert run.read_json("report.json")["stages"] == []


def test_a_corrupt_config_is_named(tmp_path):
    run = make(tmp_path / "demo")
    (run.path / "config.json").write_text('{"seed": ')
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        Run.open(run.path).config()


def test_rollouts_of_a_whole_run_are_one_table(tmp_path, make_group):
    run = make(tmp_path / "demo")
    take_steps(run, 0, 3, make_group)
    assert read_rollouts(run.path / "rollouts").column("step").to_pylist() == [0] * 3 + [1] * 3 + [2] * 3
