import json
from dataclasses import replace

import numpy as np
import pytest

from rlvr.errors import RunError
from rlvr.runs.rollouts import SCHEMA, read_rollouts, write_rollouts
from rlvr.types import read_only


def test_every_completion_comes_back_with_all_that_was_known_of_it(tmp_path, make_group):
    path = tmp_path / "train-000007.parquet"
    write_rollouts(path, [make_group(4), make_group(9)], step=7, split="train")
    table = read_rollouts(path)
    assert table.schema.equals(SCHEMA)
    assert table.column("draw_index").to_pylist() == [4, 4, 4, 9, 9, 9]
    assert table.column("sample_index").to_pylist() == [0, 1, 2, 0, 1, 2]
    row = table.to_pylist()[1]
    assert json.loads(row.pop("messages")) == [{"role": "user", "content": "What is 2 + 3? 你好"}]
    assert json.loads(row.pop("reference")) == {"answer": "5"}
    assert row == {
        "step": 7,
        "split": "train",
        "domain": "arithmetic",
        "source": "arithmetic",
        "task_id": "sum-4",
        "draw_index": 4,
        "sample_index": 1,
        "prompt_ids": [1, 5, 6],
        "token_ids": [7, 9, 2],
        "logprobs": [-0.5, -0.25, float(np.float32(-1 / 3))],
        "trainable": [True, True, True],
        "text": "answer 1",
        "finish": "stop",
        "policy_version": 4,
        "outcome": 0.0,
        "threshold": 1.0,
        "score": 0.0,
        "status": "ok",
        "extracted": "5",
        "path": "fast",
        "reward": -0.1,
        "parts": "{}",
        "verify_seconds": 0.5,
        "verifier": "math",
        "verifier_version": "",
    }


def test_a_verifier_that_could_not_tell_leaves_null_and_not_zero(tmp_path, make_group):
    path = tmp_path / "train-000000.parquet"
    write_rollouts(path, [make_group(outcomes=(None, 1.0))], step=0, split="train")
    table = read_rollouts(path)
    assert table.column("outcome").to_pylist() == [None, 1.0]
    assert table.column("reward").to_pylist() == [None, 0.9]
    assert table.column("status").to_pylist() == ["timeout", "ok"]


def test_equal_groups_give_equal_bytes_and_only_durations_may_differ(tmp_path, make_group):
    paths = [tmp_path / name / "train-000000.parquet" for name in ("a", "b", "c")]
    for path, seconds in zip(paths, (0.5, 0.5, 0.75), strict=True):
        write_rollouts(path, [make_group(seconds=seconds)], step=0, split="train")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    tables = [read_rollouts(path) for path in paths]
    assert not tables[0].equals(tables[2])
    assert tables[0].drop_columns("verify_seconds").equals(tables[2].drop_columns("verify_seconds"))


def test_hostile_text_is_stored_and_never_stops_a_run(tmp_path, make_group):
    texts = ["\ud800 alone", "nul \0 byte", "𝒳" * 1000, ""]
    group = make_group(outcomes=(1.0,) * 4)
    completions = tuple(replace(c, text=text) for c, text in zip(group.completions, texts, strict=True))
    verdicts = tuple(replace(v, extracted="\udfff", parts={"format": float("nan")}) for v in group.verdicts)
    path = tmp_path / "train-000000.parquet"
    write_rollouts(path, [replace(group, completions=completions, verdicts=verdicts)], step=0, split="train")
    table = read_rollouts(path)
    assert table.column("text").to_pylist() == ["\\ud800 alone", *texts[1:]]
    assert table.column("extracted").to_pylist() == ["\\udfff"] * 4
    assert table.column("parts").to_pylist() == ['{"format": null}'] * 4


def test_no_groups_and_empty_completions_are_stored_too(tmp_path, make_group):
    empty, tokenless = tmp_path / "train-000000.parquet", tmp_path / "train-000001.parquet"
    write_rollouts(empty, [], step=0, split="train")
    assert read_rollouts(empty).num_rows == 0
    group = make_group(outcomes=(1.0,))
    nothing = replace(
        group.completions[0],
        token_ids=read_only([], np.int64),
        logprobs=read_only([], np.float32),
        trainable=read_only([], np.bool_),
    )
    write_rollouts(tokenless, [replace(group, completions=(nothing,))], step=1, split="train")
    assert read_rollouts(tmp_path).column("token_ids").to_pylist() == [[]]


def test_a_damaged_or_missing_file_is_named(tmp_path, make_group):
    path = tmp_path / "train-000000.parquet"
    with pytest.raises(RunError, match=r"train-000000\.parquet cannot be read"):
        read_rollouts(path)
    write_rollouts(path, [make_group()], step=0, split="train")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=r"train-000000\.parquet cannot be read"):
        read_rollouts(path)


def test_unfinished_files_are_not_read(tmp_path, make_group):
    write_rollouts(tmp_path / "train-000000.parquet", [make_group()], step=0, split="train")
    (tmp_path / ".tmp-train-000001.parquet").write_bytes(b"half")
    assert read_rollouts(tmp_path).num_rows == 3
