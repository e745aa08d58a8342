import importlib.util
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.data.sources import load
from rlvr.errors import DataError, UsageError

needs_datasets = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed")

SOLUTION = "Two and two are <<2+2=4>>4.\n#### 4"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local data set in the Hub's layout, with a cache of its own."""
    if importlib.util.find_spec("datasets") is not None:
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = tmp_path / "sums"
    data.mkdir()
    for part, size in (("train", 30), ("test", 4)):
        rows = [{"question": f"{part} {i}: 2 + 2?", "answer": SOLUTION, "prompt": f"{part} {i}"} for i in range(size)]
        pq.write_table(pa.Table.from_pylist(rows), data / f"{part}-00000-of-00001.parquet")
    return data


@needs_datasets
def test_a_folder_in_the_hubs_layout_is_read_by_columns_and_by_layout(folder: Path) -> None:
    by_columns = load("task", "hub", "all", path=str(folder), verifier="exact").items
    assert len(by_columns) == 30
    assert (by_columns[2].messages[0]["content"], by_columns[2].reference) == ("train 2", SOLUTION)
    assert (by_columns[2].verifier, by_columns[2].domain) == ("exact", "sums")
    tests = load("task", "hub", "all", path=str(folder), hub_split="test", layout="gsm8k").items
    assert [(task.reference, task.verifier) for task in tests] == [("4", "math")] * 4
    (first, *_) = load("demonstration", "hub", "all", path=str(folder), layout="gsm8k").items
    assert first.messages[-1]["content"] == "Two and two are 4.\nThe answer is \\boxed{4}"


@needs_datasets
def test_the_hash_parts_a_hub_split_too(folder: Path) -> None:
    parts = [load("task", "hub", s, path=str(folder), evaluation_share=0.4).items for s in ("train", "evaluation")]
    assert sum(map(len, parts)) == 30
    assert not {t.id for t in parts[0]} & {t.id for t in parts[1]}


@needs_datasets
def test_an_unknown_layout_split_or_data_set_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no layout 'gsm'"):
        load("task", "hub", "all", path=str(folder), layout="gsm")
    with pytest.raises(DataError, match="cannot load the split 'dev'"):
        load("task", "hub", "all", path=str(folder), hub_split="dev")
    with pytest.raises(DataError, match="cannot load the split 'train'"):
        load("task", "hub", "all", path=str(tmp_path / "nowhere"))


def test_without_datasets_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match="needs the package datasets") as caught:
        load("task", "hub", "all", path="owner/name")
    assert "pip install 'rlvr[hub]'" in caught.value.hint
