"""Rows of IFEval, IFBench and Tulu's instruction following become tasks of the verifier "instructions"."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlvr.data.constraints import reference_from_label, reference_of
from rlvr.data.formats import task_from_row
from rlvr.data.rows import Row
from rlvr.data.sources import load
from rlvr.errors import DataError
from rlvr.verifiers.instructions.verify import check_reference

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")

ROW = {
    "key": 1000,
    "prompt": "Say it without commas, in two words.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{"num_words": None}, {"relation": "less than", "num_words": 3, "keyword": None}],
}
CONSTRAINTS = [
    {"id": "punctuation:no_comma", "kwargs": {}},
    {"id": "length_constraints:number_words", "kwargs": {"relation": "less than", "num_words": 3}},
]


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["ifeval", "ifbench"])
def test_a_published_row_becomes_a_task_without_its_empty_arguments(tmp_path: Path, name: str) -> None:
    (task,) = load("task", name, "test", path=written(tmp_path, ROW), mode="loose", score="mean").items
    assert task.messages == ({"role": "user", "content": ROW["prompt"]},)
    assert task.reference == {"constraints": CONSTRAINTS, "mode": "loose", "score": "mean"}
    assert (task.id, task.verifier, task.source, task.domain) == (f"{name}/1000", "instructions", name, name)
    assert check_reference(task.reference) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt": " "}, "no prompt"),
        ({"instruction_id_list": []}, "expected a list of names"),
        ({"instruction_id_list": [3, 4]}, "expected a list of names"),
        ({"kwargs": [{}]}, "expected a list of 2"),
        ({"kwargs": [{}, "x"]}, "neither an object nor null"),
    ],
)
def test_a_row_that_does_not_fit_together_is_skipped_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    loaded = load("task", "ifeval", "test", path=written(tmp_path, {**ROW, **change}, ROW))
    assert (len(loaded.items), loaded.skipped.count) == (1, 1)
    assert reason in loaded.skipped.first


def test_both_are_for_evaluation_only_and_take_two_modes_and_scores(tmp_path: Path) -> None:
    path = written(tmp_path, ROW)
    with pytest.raises(DataError, match="ifbench has no split 'train'"):
        load("task", "ifbench", "train", path=path)
    with pytest.raises(DataError, match="expected strict or loose"):
        load("task", "ifeval", "test", path=path, mode="lose")


LABEL = {
    "instruction_id": [one["id"] for one in CONSTRAINTS],
    "kwargs": [None, {**CONSTRAINTS[1]["kwargs"], "N": None}],
}


@pytest.mark.parametrize(
    "label",
    [str([LABEL]), json.dumps([LABEL]), [LABEL], LABEL, [str([LABEL])], str([json.dumps(LABEL)])],
    ids=["literal", "JSON", "list", "object", "literal in a list", "JSON in a literal"],
)
def test_a_label_of_tulu_becomes_constraints_whose_mean_counts(label: Any) -> None:
    row = Row(
        "tulu.jsonl:1", {"messages": [{"role": "user", "content": "q"}], "ground_truth": label, "dataset": "ifeval"}
    )
    task = task_from_row(row, domain="d")
    assert task.verifier == "instructions"
    assert task.reference == {"constraints": CONSTRAINTS, "score": "mean"}


def test_our_own_reference_stays_as_it_is() -> None:
    reference = {"constraints": CONSTRAINTS, "mode": "loose"}
    row = Row("own.jsonl:1", {"prompt": "q", "reference": reference, "verifier": "instructions"})
    assert task_from_row(row, domain="d").reference == reference


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("[{'instruction_id': ", "is no literal"),
        ("__import__('os').getcwd()", "is no literal"),
        ("[" * 100_000, "is no literal"),
        ("1" * 300_000, "at most 200000"),
        ("{'func_name': 'validate_word_constraint', 'N': 3}", "the older layout with func_name"),
        ("3", "expected constraints as"),
        ([LABEL, LABEL], "expected constraints as"),
    ],
)
def test_a_label_that_says_no_constraints_is_named(label: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        reference_from_label(label)


def test_names_without_arguments_need_none() -> None:
    assert reference_of(["a:b"], None) == {"constraints": [{"id": "a:b", "kwargs": {}}]}


@needs_shared
@pytest.mark.parametrize(("name", "count", "kinds"), [("ifeval", 541, 25), ("ifbench", 300, 58)])
def test_every_published_prompt_has_a_reference_that_the_verifier_takes(name: str, count: int, kinds: int) -> None:
    loaded = load("task", name, "test", path=SHARED)
    assert (len(loaded.items), loaded.skipped.count) == (count, 0)
    assert [
        (task.id, check_reference(task.reference)) for task in loaded.items if check_reference(task.reference)
    ] == []
    assert len({one["id"] for task in loaded.items for one in task.reference["constraints"]}) == kinds
