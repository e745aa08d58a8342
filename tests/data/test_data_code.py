import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from rlvr.data import code, humaneval, mbpp, programs
from rlvr.data.formats import solved, task_from_row
from rlvr.data.rows import BadRow, Row
from rlvr.data.sources import load
from rlvr.errors import DataError
from rlvr.types import Solution, Task

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")

PROMPT = 'import math\n\ndef helper(x):\n    return x\n\n\ndef f(x: int) -> int:\n    """Gives x + 1."""\n'
HUMANEVAL = {
    "task_id": "HumanEval/7",
    "prompt": PROMPT,
    "entry_point": "f",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}
MBPP = {
    "text": "Write a function to add one.",
    "code": "def g(x):\r\n  return x\r\ndef f(x):\r\n  return g(x) + 1",
    "task_id": 700,
    "test_setup_code": "",
    "test_list": ["assert f(1) == 2", "assert f(2) == 3"],
    "challenge_test_list": [],
}


def row(values: dict[str, Any]) -> Row:
    return Row("made.jsonl:1", values)


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(values) + "\n" for values in rows))
    return path


def test_a_row_of_humaneval_gives_its_helpers_before_the_program_and_beside_the_tests(tmp_path: Path) -> None:
    path = write(tmp_path, "humaneval.jsonl", [HUMANEVAL])
    (task,) = load("task", "humaneval", "test", path=path).items
    given = "import math\ndef helper(x):\n    return x"
    assert task.reference == {"asserts": HUMANEVAL["test"], "entry": "f", "preamble": given, "given": given}
    assert (task.id, task.verifier, task.domain, task.check) == ("humaneval/HumanEval/7", "code", "humaneval", "tested")
    assert task.messages[0]["content"] == f"{humaneval.INSTRUCTION}\n\n```python\n{PROMPT.strip()}\n```"


def test_the_solution_of_a_humaneval_row_is_a_whole_program(tmp_path: Path) -> None:
    (found,) = load("solution", "humaneval", "test", path=write(tmp_path, "a.jsonl", [HUMANEVAL])).items
    task, program = found.task, found.text
    assert task.reference["entry"] == "f"
    assert program == PROMPT + "    return x + 1\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt": "def f(:"}, "the prompt is no Python"),
        ({"prompt": "x = 1"}, "the prompt does not define 'f'"),
        ({"test": ""}, "no test"),
        ({"entry_point": None}, "no entry_point"),
    ],
)
def test_a_humaneval_row_that_cannot_be_used_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        humaneval.task_from_row(row({**HUMANEVAL, **change}))


def test_humaneval_has_no_training_split() -> None:
    with pytest.raises(DataError, match="no split 'train'"):
        load("task", "humaneval", "train", path=".")


def test_a_row_of_mbpp_shows_its_first_test_and_keeps_the_others_hidden() -> None:
    task = mbpp.task_from_row(row(MBPP), name=mbpp.FULL)
    assert task.reference == {"asserts": "assert f(1) == 2\nassert f(2) == 3", "entry": "f"}
    content = task.messages[0]["content"]
    assert "assert f(1) == 2" in content
    assert "assert f(2) == 3" not in content
    assert content.endswith(mbpp.INSTRUCTION)
    assert "assert" not in mbpp.task_from_row(row(MBPP), name=mbpp.FULL, shown_tests=0).messages[0]["content"]


def test_imports_and_set_up_code_of_mbpp_stand_before_the_tests() -> None:
    values = {**MBPP, "test_setup_code": "r = f(0)", "test_imports": ["import math"]}
    assert (
        mbpp.task_from_row(row(values), name=mbpp.FULL).reference["asserts"].startswith("import math\nr = f(0)\nassert")
    )


def test_mbpp_is_split_by_its_published_ids(tmp_path: Path) -> None:
    path = write(
        tmp_path, "mbpp.jsonl", [{**MBPP, "task_id": number, "text": f"Task {number}."} for number in range(1, 975)]
    )
    numbers = {
        split: {int(task.id.rpartition("/")[2]) for task in load("task", "mbpp", split, path=path).items}
        for split in ("few_shot", "test", "train", "evaluation", "all")
    }
    assert numbers["few_shot"] == set(range(1, 11))
    assert numbers["test"] == set(range(11, 511))
    assert numbers["train"] | numbers["evaluation"] == numbers["all"] == set(range(511, 975))
    assert not numbers["train"] & numbers["evaluation"]
    with pytest.raises(DataError, match="no split 'validation'"):
        load("task", "mbpp", "validation", path=path)


def test_quarantined_problems_are_left_out_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "mbpp.jsonl", [MBPP, {**MBPP, "task_id": 701}])
    named = write(tmp_path, "quarantine.jsonl", [{"id": "mbpp/700", "reason": "its tests are wrong"}])
    for kind in ("task", "solution", "demonstration"):
        loaded = load(kind, "mbpp", "all", path=path, quarantine=named)  # type: ignore[call-overload]
        assert [item.id for item in loaded.items] == ["mbpp/701"]
        assert loaded.skipped.count == 1
        assert loaded.skipped.first.endswith("mbpp/700 is quarantined: its tests are wrong")
    assert len(load("solution", "mbpp", "all", path=path).items) == 2


@pytest.mark.parametrize("content", ["[1]", "{}", '{"id": 7}', "no json"])
def test_a_quarantine_that_is_none_is_a_clear_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "quarantine.jsonl").write_text(f"{content}\n")
    with pytest.raises(DataError, match=r"quarantine\.jsonl:1: ") as caught:
        load("task", "mbpp", "all", path=write(tmp_path, "m.jsonl", [MBPP]), quarantine=tmp_path / "quarantine.jsonl")
    assert "rlvr calibrate" in caught.value.hint


def test_a_demonstration_of_mbpp_is_the_solution_in_a_block(tmp_path: Path) -> None:
    (item,) = load("demonstration", "mbpp", "all", path=write(tmp_path, "mbpp.jsonl", [MBPP])).items
    assert item.messages[-1]["content"] == "```python\ndef g(x):\n  return x\ndef f(x):\n  return g(x) + 1\n```"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test_list": []}, "no test_list"),
        ({"test_list": ["assert h(1) == 2"]}, "call no function of the solution"),
        ({"code": "def f(:"}, "the solution is no Python"),
        ({"code": ""}, "no code"),
        ({"text": ""}, "no text"),
        ({"task_id": "7"}, "no task_id"),
    ],
)
def test_an_mbpp_row_that_cannot_be_used_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        mbpp.task_from_row(row({**MBPP, **change}), name=mbpp.FULL)


APPS = {
    "problem_id": 5,
    "question": "Add one.",
    "solutions": json.dumps(["print(int(input()) + 1)"]),
    "input_output": json.dumps({"inputs": ["1\n", ["2", "3"]], "outputs": ["2\n", ["3"]]}),
    "starter_code": "",
}


def test_a_row_of_apps_becomes_cases_on_standard_input() -> None:
    task = code.task_from_row(row(APPS), name="apps")
    assert task.reference == {"stdin": [{"input": "1\n", "output": "2\n"}, {"input": "2\n3", "output": "3"}]}
    assert task.id == "apps/5"
    assert task.messages[0]["content"] == f"Add one.\n\n{code.STDIN}"
    assert solved(row(APPS), parse=lambda _: task).text == "print(int(input()) + 1)"


def test_a_function_of_apps_becomes_calls_with_its_outputs_unwrapped() -> None:
    tests = {"fn_name": "f", "inputs": [[1, "a"], [2, "b"]], "outputs": [[[2]], [[3]]]}
    starter = "class Solution:\n    def f(self, x: int, s: str) -> List[int]:\n"
    task = code.task_from_row(row({**APPS, "input_output": json.dumps(tests), "starter_code": starter}), name="apps")
    assert task.reference == {
        "calls": [{"args": [1, "a"], "expected": [2]}, {"args": [2, "b"], "expected": [3]}],
        "entry": "Solution.f",
    }
    assert "Begin with this:\n\n```python\nclass Solution:" in task.messages[0]["content"]
    plain = programs.from_input_output({"fn_name": "f", "inputs": [[1], [2]], "outputs": [[2], 3]})
    assert [call["expected"] for call in plain["calls"]] == [[2], 3]


CASES = [{"input": "[1, 2]\n3", "output": "[4]", "testtype": "functional"}]
STDIN_CASES = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def livecodebench(public: list[Any], private: str, **more: Any) -> dict[str, Any]:
    return {
        "question_id": "a_b",
        "question_content": "Do it.",
        "starter_code": "",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": "{}",
        **more,
    }


def test_livecodebench_joins_public_and_private_cases() -> None:
    task = code.task_from_row(row(livecodebench(STDIN_CASES, packed(json.dumps(STDIN_CASES)))), name="livecodebench")
    assert task.reference == {"stdin": [{"input": "1\n", "output": "2\n"}] * 2}
    starter = "class Solution:\n    def go(self, xs: List[int], n: int) -> List[int]:\n        "
    values = livecodebench(CASES, json.dumps(CASES), starter_code=starter, metadata=json.dumps({"func_name": "go"}))
    assert code.task_from_row(row(values), name="livecodebench").reference == {
        "calls": [{"args": [[1, 2], 3], "expected": [4]}] * 2,
        "entry": "Solution.go",
    }


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_something_to_run_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be unpacked: UnpicklingError: it names"):
        programs.unpacked(packed(Evil(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text", ["?", "aGk=", base64.b64encode(zlib.compress(b"no pickle")).decode(), packed("no JSON"), "[1"]
)
def test_private_cases_that_cannot_be_read_are_a_bad_row(text: str) -> None:
    with pytest.raises(DataError):
        programs.unpacked(text)


def test_private_cases_that_unpack_to_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MAX_PACKED_BYTES", 1000)
    with pytest.raises(DataError, match="more than 1000 bytes"):
        programs.unpacked(packed("x" * 2000))


def test_acecode_and_tulu_hold_assert_statements() -> None:
    lines = ["assert f(1) == 2", "assert f(2) == 3"]
    task = code.task_from_row(row({"id": "x", "question": "Add.", "test_cases": lines}), name="acecode")
    assert task.reference == {"asserts": "assert f(1) == 2\nassert f(2) == 3"}
    for truth in (lines, json.dumps(lines)):
        values = {"messages": [{"role": "user", "content": "Add."}], "ground_truth": truth, "dataset": "code"}
        task = task_from_row(row(values), domain="d")
        assert (task.verifier, task.check, task.reference) == ("code", "tested", {"asserts": "\n".join(lines)})


def test_tulus_cases_on_standard_input_and_our_own_references_are_read() -> None:
    cases = [{"input": "1", "output": "2"}]
    values = {"prompt": "Add.", "ground_truth": json.dumps(cases), "dataset": "code_stdio"}
    assert task_from_row(row(values), domain="d").reference == {"stdin": cases}
    own = {"calls": [{"args": [1], "expected": 2}], "entry": "f", "limits": {"cpu_seconds": 1}}
    for values in ({"reference": own, "verifier": "code"}, {"reference": own, "check": "tested"}):
        task = task_from_row(row({"prompt": "Add.", **values}), domain="d")
        assert (task.verifier, task.reference) == ("code", own)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("apps", {**APPS, "input_output": ""}, "no tests"),
        ("apps", {**APPS, "input_output": "{"}, "no JSON"),
        ("apps", {**APPS, "input_output": '{"inputs": [], "outputs": []}'}, "no tests"),
        ("apps", {**APPS, "input_output": '{"inputs": ["1"], "outputs": []}'}, "no tests"),
        ("apps", {**APPS, "input_output": '{"inputs": [1], "outputs": ["1"]}'}, "expected text"),
        ("apps", {**APPS, "input_output": '{"inputs": [1], "outputs": [1], "fn_name": "f"}'}, "have to be a list"),
        ("apps", {**APPS, "question": " "}, "no question"),
        ("acecode", {"question": "Add.", "test_cases": []}, "no tests"),
        ("acecode", {"question": "Add.", "test_cases": [1]}, "no tests"),
        ("livecodebench", livecodebench([], ""), "no tests"),
        ("livecodebench", livecodebench([*CASES, *STDIN_CASES], ""), "expected one kind"),
        ("livecodebench", livecodebench(CASES, ""), "expected one kind"),
        ("livecodebench", livecodebench(CASES, "", metadata="{"), "no JSON"),
    ],
)
def test_a_row_without_usable_tests_says_why(name: str, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        code.task_from_row(row(values), name=name)


def test_solutions_leave_rows_without_one_as_bad_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "apps.jsonl", [APPS, {**APPS, "problem_id": 6, "solutions": ""}])
    good, bad = code.solutions("apps", "all", path=path)
    assert isinstance(good, Solution)
    assert good.text == "print(int(input()) + 1)"
    assert bad == BadRow("apps.jsonl:2", "no solution")
    assert [task.id for task in load("task", "apps", "all", path=path).items] == ["apps/5", "apps/6"]


@needs_shared
@pytest.mark.parametrize(("name", "count"), [("humaneval", 164), ("mbpp", 974), ("mbpp_sanitized", 427)])
def test_every_published_row_becomes_a_task(name: str, count: int) -> None:
    splits = ("test",) if name == "humaneval" else ("few_shot", "test", "all")
    tasks: list[Task] = [task for split in splits for task in load("task", name, split, path=SHARED).items]
    assert len(tasks) == count
    assert all(task.reference["entry"].isidentifier() for task in tasks)


def test_a_source_s_option_adds_to_every_task_s_reference(tmp_path: Path) -> None:
    path = write(tmp_path, "mbpp.jsonl", [MBPP])
    added = {"limits": {"cpu_seconds": 10}, "packages": ["numpy"]}
    (plain,) = load("task", "mbpp", "all", path=path).items
    (task,) = load("task", "mbpp", "all", path=path, reference=added).items
    assert task.reference == {**plain.reference, **added}
    assert (task.check, task.id) == ("tested", plain.id)
    (solution,) = load("solution", "mbpp", "all", path=path, reference={"in_process": True}).items
    assert (solution.task.reference["in_process"], solution.task.check) == (True, "in_process")
    with pytest.raises(DataError, match="whose reference is an object"):
        load("demonstration", "mbpp", "all", path=path, reference=added)
