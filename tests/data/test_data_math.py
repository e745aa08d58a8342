import json
from pathlib import Path

import pytest

from rlvr.data.math import last_boxed
from rlvr.data.sources import load
from rlvr.data.split import check_no_overlap
from rlvr.errors import DataError

FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so $\boxed{2}$.", "2"),
        (r"$\boxed{1}$ and then $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"$\fbox{7}$", "7"),
        (r"\boxed {7}", "7"),
        (r"$\boxed 7$", "7"),
        (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
        (r"\boxed{\{1\}}", r"\{1\}"),
        (r"\boxed{\{1\}", None),
        (r"\boxed{3} but then \boxed{4", "3"),
        (r"no box", None),
        (r"\boxed{", None),
        (r"\boxed", None),
    ],
)
def test_the_last_whole_box_of_a_solution_is_its_answer(text: str, answer: str | None) -> None:
    assert last_boxed(text) == answer


def test_published_rows_become_tasks_and_demonstrations() -> None:
    tasks = load("task", "math", "test", path=FIXTURES).items
    assert [task.reference for task in tasks] == ["2", "10", r"\dfrac{9}{7}", "i"]
    assert tasks[0].messages[0]["content"].endswith("have?\nPut your final answer within \\boxed{}.")
    demonstrations = load("demonstration", "math", "test", path=FIXTURES).items
    assert r"\boxed{2}" in demonstrations[0].messages[-1]["content"]


def test_the_published_folder_of_one_file_per_problem_is_read(tmp_path: Path) -> None:
    for part, subject, name in (("train", "algebra", "1"), ("train", "geometry", "2"), ("test", "algebra", "3")):
        folder = tmp_path / part / subject
        folder.mkdir(parents=True, exist_ok=True)
        problem = {"problem": f"P{name}", "level": "Level 1", "type": subject, "solution": rf"\boxed{{{name}}}"}
        (folder / f"{name}.json").write_text(json.dumps(problem))
    (tmp_path / "train" / "geometry" / "4.json").write_text(json.dumps({"problem": "P4", "solution": "none"}))
    loaded = load("task", "math", "all", path=tmp_path)
    assert [task.reference for task in loaded.items] == ["1", "2"]
    assert (loaded.skipped.count, loaded.skipped.first[:8]) == (1, "4.json:1")
    assert [task.reference for task in load("task", "math", "test", path=tmp_path).items] == ["3"]


def test_files_of_the_same_name_in_two_subjects_are_two_problems(tmp_path: Path) -> None:
    for subject in ("algebra", "geometry"):
        folder = tmp_path / "train" / subject
        folder.mkdir(parents=True)
        (folder / "1.json").write_text(json.dumps({"problem": subject, "solution": r"\boxed{1}"}))
    items = load("task", "math", "all", path=tmp_path).items
    assert [task.id for task in items] == ["math/algebra/1.json:1", "math/geometry/1.json:1"]


def test_math_500_is_for_evaluation_only() -> None:
    with pytest.raises(DataError, match="MATH-500 has no split 'train'") as caught:
        load("task", "math500", "train", path=FIXTURES)
    assert "math500:test" in caught.value.hint


@needs_shared
def test_all_of_math_is_read_and_math_500_lies_within_it_with_the_same_answers() -> None:
    whole, subset = load("task", "math", "test", path=SHARED), load("task", "math500", "test", path=SHARED)
    assert (len(whole.items), len(subset.items)) == (5000, 500)
    assert whole.skipped.count == subset.skipped.count == 0
    answers = {task.messages[0]["content"]: task.reference for task in whole.items}
    assert sum(answers[task.messages[0]["content"]] == task.reference for task in subset.items) == 500
    assert len(check_no_overlap(whole.items, subset.items)) == 500
    assert subset.items[0].id == "math500/test/precalculus/807.json"
