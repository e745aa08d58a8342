"""Suites: published files give all their tasks, a file of one's own is a suite, pairs have reference outputs."""

import json
from pathlib import Path

import pytest

from rlvr.data.suites import SUITES, load_suite, problems_of, suite_named
from rlvr.errors import DataError, UsageError
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")
FOLDERS = [name for name in SUITES if name != "alpaca-eval"]


@needs_shared
@pytest.mark.parametrize("name", FOLDERS)
def test_a_published_file_gives_every_task_of_its_suite(name: str) -> None:
    suite, path = suite_named(name, str(SHARED))
    loaded = load_suite(suite, path)
    assert (len(loaded.tasks), loaded.skipped.count) == (suite.num_tasks, 0)
    faults = [fault for fault in Scorer().check_references(loaded.tasks) if fault]
    assert faults == []


@needs_shared
@pytest.mark.parametrize("name", FOLDERS)
def test_the_instruction_says_where_the_answer_goes_and_is_no_part_of_the_problem(name: str) -> None:
    suite, path = suite_named(name, str(SHARED))
    loaded = load_suite(suite, path, limit=3)
    assert len(loaded.tasks) == 3
    for task, problem in zip(loaded.tasks, problems_of(loaded), strict=True):
        assert suite.instruction in task.messages[-1]["content"]
        assert not suite.instruction or suite.instruction not in problem
        assert len(problem) > 20


def test_names_of_suites_are_what_the_command_line_takes() -> None:
    assert set(SUITES) == {
        "gsm8k", "math-500", "humaneval", "mbpp", "mbpp-sanitized", "ifeval", "ifbench", "alpaca-eval",
    }  # fmt: skip
    with pytest.raises(UsageError, match="no suite 'gsm8'") as caught:
        suite_named("gsm8")
    assert "did you mean 'gsm8k'" in caught.value.hint
    with pytest.raises(UsageError, match="the suite ifeval needs its published file"):
        suite_named("ifeval")


def test_a_file_of_your_own_is_a_suite(tmp_path: Path) -> None:
    file = tmp_path / "mine.v2.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{n} + {n}?", "answer": str(2 * n)}) + "\n" for n in range(3)))
    by_path, by_name = load_suite(*suite_named(str(file))), load_suite(*suite_named("sums", str(file)))
    assert (by_path.suite.name, by_name.suite.name) == ("mine", "sums")
    assert [task.reference for task in by_path.tasks] == ["0", "2", "4"]
    assert by_path.suite.metric == "pass@1"


def test_a_file_of_constraints_has_the_figures_of_ifeval(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    reference = {"constraints": [{"id": "punctuation:no_comma", "kwargs": {}}]}
    file.write_text(json.dumps({"prompt": "Say it.", "verifier": "instructions", "reference": reference}) + "\n")
    assert load_suite(*suite_named(str(file))).suite.metric == "prompt strict"


PAIRS = [
    {"dataset": "helpful_base", "instruction": "Name a bird.", "output": "A wren.", "generator": "reference"},
    {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"},
    {"prompt": "Name a tree.", "completion": "An oak."},
    {"instruction": "No output."},
]


@pytest.mark.parametrize("layout", ["json", "jsonl"])
def test_pairs_are_instructions_with_a_reference_output(tmp_path: Path, layout: str) -> None:
    file = tmp_path / f"alpaca_eval.{layout}"
    file.write_text(json.dumps(PAIRS) if layout == "json" else "".join(json.dumps(row) + "\n" for row in PAIRS))
    loaded = load_suite(*suite_named("alpaca-eval", str(tmp_path)))
    assert [task.messages[0]["content"] for task in loaded.tasks] == [
        "Name a bird.",
        "Translate.\n\nGuten Tag",
        "Name a tree.",
    ]
    assert list(loaded.rivals.values()) == ["A wren.", "Good day", "An oak."]
    assert {task.verifier for task in loaded.tasks} == {JUDGE}
    assert (loaded.skipped.count, loaded.skipped.first) == (1, f"alpaca_eval.{layout}:4: no output and no completion")


def test_pairs_are_for_evaluation_only(tmp_path: Path) -> None:
    from rlvr.data.sources import load

    (tmp_path / "pairs.json").write_text(json.dumps(PAIRS))
    with pytest.raises(DataError, match="pairs have no split 'train'"):
        load("solution", "pairs", "train", path=tmp_path)
