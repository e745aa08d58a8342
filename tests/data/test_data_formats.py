import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.data.formats import demonstration_from_row, document_from_row, preference_from_row, task_from_row
from rlvr.data.rows import BadRow, Row, data_files, first_match, read_rows
from rlvr.data.sources import load
from rlvr.errors import DataError

USER = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "a"}


def row(**values: Any) -> Row:
    return Row("made.jsonl:3", values)


@pytest.mark.parametrize(
    ("values", "reference", "verifier"),
    [
        ({"prompt": "q", "answer": "3"}, "3", "math"),
        ({"prompt": "q", "answer": 3}, "3", "math"),
        ({"prompt": "q", "answer": 0}, "0", "math"),
        ({"prompt": "q", "reference": {"n": [1, 2]}, "verifier": "letters:count"}, {"n": [1, 2]}, "letters:count"),
        ({"messages": [USER], "ground_truth": "3", "dataset": "gsm8k"}, "3", "math"),
        ({"messages": [USER], "ground_truth": ["3"], "dataset": ["MATH"]}, "3", "math"),
        (
            {"prompt": [USER], "reward_model": {"style": "rule", "ground_truth": "3"}, "data_source": "openai/gsm8k"},
            "3",
            "math",
        ),
    ],
    ids=["own text", "own number", "zero is an answer", "own reference", "tulu", "tulu lists", "verl"],
)
def test_a_task_row_of_every_convention_is_read(values: dict[str, Any], reference: Any, verifier: str) -> None:
    task = task_from_row(row(**values), domain="d")
    assert task.messages == (USER,)
    assert (task.reference, task.verifier, task.domain, task.threshold) == (reference, verifier, "d", 1.0)
    assert (task.id, task.source) == ("d/made.jsonl:3", "made.jsonl")


def test_the_row_says_more_than_the_options_and_the_options_more_than_the_label() -> None:
    full = {"prompt": "q", "answer": "3", "dataset": "gsm8k", "domain": "own", "id": 17, "threshold": 0.5}
    task = task_from_row(row(**full), domain="d", verifier="exact")
    assert (task.id, task.domain, task.verifier, task.threshold) == ("17", "own", "exact", 0.5)
    assert task_from_row(row(**full, verifier="gym"), domain="d", verifier="exact").verifier == "gym"


@pytest.mark.parametrize(
    ("values", "check", "verifier"),
    [
        ({"answer": "3"}, "exact", "math"),
        ({"answer": "3", "verifier": "mine:verify"}, "exact", "mine:verify"),
        ({"answer": "3", "verifier": "mine:verify", "check": "tested"}, "tested", "mine:verify"),
        ({"reference": {"rubric": "kind"}, "check": "judged"}, "judged", "judge"),
        ({"reference": {"rubric": "kind"}, "verifier": "judge"}, "judged", "judge"),
        ({"reference": {"constraints": []}, "verifier": "instructions"}, "constrained", "instructions"),
        ({"reference": {"asserts": "assert f(f)"}, "verifier": "code"}, "tested", "code"),
        ({"reference": {"asserts": "assert f(f)", "in_process": True}, "verifier": "code"}, "in_process", "code"),
        ({"reference": {"asserts": "assert f(f)", "in_process": True}, "check": "tested"}, "tested", "code"),
    ],
)
def test_a_row_says_how_its_answer_can_be_checked_or_its_verifier_does(
    values: dict[str, Any], check: str, verifier: str
) -> None:
    task = task_from_row(row(prompt="q", **values), domain="d")
    assert (task.check, task.verifier) == (check, verifier)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"prompt": "q"}, "no answer and no reference"),
        ({"prompt": "q", "answer": None}, "no answer and no reference"),
        ({"prompt": "q", "answer": "  "}, "no answer and no reference"),
        ({"prompt": "q", "answer": []}, "no answer and no reference"),
        ({"prompt": "q", "answer": float("nan")}, "the answer is nan"),
        ({"prompt": "q", "reward_model": {"style": "rule"}}, "no answer and no reference"),
        ({"answer": "3"}, r"no prompt and no messages \(the row has answer\)"),
        ({"prompt": " ", "answer": "3"}, "prompt is empty"),
        ({"prompt": 4, "answer": "3"}, "prompt is int"),
        ({"messages": [], "answer": "3"}, "no messages"),
        ({"messages": [{"role": "user"}], "answer": "3"}, "no text content"),
        ({"messages": ["q"], "answer": "3"}, "no text content"),
        ({"messages": [{"role": "robot", "content": "q"}], "answer": "3"}, "role 'robot'"),
        ({"messages": [USER, SAID], "answer": "3"}, "the last message of the prompt is the assistant's"),
        ({"messages": [USER], "ground_truth": "3", "dataset": "poems"}, "no verifier is known for dataset 'poems'"),
        ({"prompt": "q", "answer": "3", "verifier": 7}, "verifier is int"),
        ({"prompt": "q", "answer": "3", "threshold": 0}, "threshold is 0"),
        ({"prompt": "q", "answer": "3", "check": "guessed"}, "check is 'guessed'; expected one of exact, tested"),
        ({"prompt": "q", "answer": "3", "check": "preferred"}, "no verifier is known for a check 'preferred'"),
    ],
)
def test_a_task_row_that_cannot_be_used_says_why(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        task_from_row(row(**values), domain="d")


def test_demonstrations_come_as_messages_or_as_prompt_and_completion() -> None:
    for values in (
        {"messages": [USER, SAID]},
        {"prompt": "q", "completion": "a"},
        {"prompt": [USER], "completion": [SAID]},
    ):
        assert demonstration_from_row(row(**values), domain="d").messages == (USER, SAID)
    with pytest.raises(DataError, match="no turn of the assistant"):
        demonstration_from_row(row(messages=[USER]), domain="d")
    with pytest.raises(DataError, match="completion is empty"):
        demonstration_from_row(row(prompt="q", completion=""), domain="d")


def test_preferences_come_as_texts_or_as_whole_conversations() -> None:
    worse = {"role": "assistant", "content": "b"}
    for values in (
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"messages": [USER], "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": [USER, SAID], "rejected": [USER, worse]},
        {"prompt": [USER], "chosen": [SAID], "rejected": [worse]},
    ):
        preference = preference_from_row(row(**values), domain="d")
        assert (preference.messages, preference.chosen, preference.rejected) == ((USER,), "a", "b")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"prompt": "q", "chosen": "a"}, "no rejected"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "the same text"),
        ({"chosen": "a", "rejected": "b"}, "no prompt and no messages"),
        ({"chosen": [USER, SAID], "rejected": [{"role": "user", "content": "p"}, SAID]}, "the same prompt"),
        ({"chosen": [USER], "rejected": [USER]}, "does not end with a turn of the assistant"),
    ],
)
def test_a_preference_row_that_cannot_be_used_says_why(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        preference_from_row(row(**values), domain="d")


def test_documents_are_texts() -> None:
    assert document_from_row(row(text="t"), domain="d").text == "t"
    with pytest.raises(DataError, match="no text"):
        document_from_row(row(text=" \n"), domain="d")


ROWS = [{"prompt": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(60)]


def written(folder: Path, name: str) -> Path:
    path = folder / name
    lines = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(ROWS))
    else:
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return path


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.json", "t.parquet"])
def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    loaded = load("task", str(written(tmp_path, name)), "all")
    assert [task.reference for task in loaded.items] == [r["answer"] for r in ROWS]
    assert [task.messages[0]["content"] for task in loaded.items] == [r["prompt"] for r in ROWS]
    assert (loaded.items[2].id, loaded.skipped.count) == (f"t/{name}:3", 0)


def test_nested_parquet_columns_of_verl_are_read(tmp_path: Path) -> None:
    rows = [{"data_source": "openai/gsm8k", "prompt": [USER], "reward_model": {"ground_truth": "3", "style": "rule"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "v.parquet")
    (task,) = load("task", str(tmp_path / "v.parquet"), "all").items
    assert (task.messages, task.reference, task.verifier) == ((USER,), "3", "math")


def test_train_and_evaluation_of_one_file_are_disjoint_and_make_up_the_whole(tmp_path: Path) -> None:
    path = str(written(tmp_path, "t.jsonl"))
    train = load("task", path, "train", evaluation_share=0.3).items
    evaluation = load("task", path, "evaluation", evaluation_share=0.3).items
    assert {t.id for t in train}.isdisjoint(t.id for t in evaluation)
    assert len(train) + len(evaluation) == 60
    # 60 * 0.3 = 18 expected, standard deviation sqrt(60 * 0.3 * 0.7) = 3.5.
    assert 4 <= len(evaluation) <= 32


def test_an_added_instruction_moves_no_problem_to_the_other_side(tmp_path: Path) -> None:
    path = str(written(tmp_path, "t.jsonl"))
    plain = load("task", path, "evaluation", evaluation_share=0.3).items
    asked = load("task", path, "evaluation", evaluation_share=0.3, instruction="Answer with one number.").items
    assert [t.id for t in asked] == [t.id for t in plain]
    assert asked[0].messages[0]["content"] == plain[0].messages[0]["content"] + "\nAnswer with one number."


def test_single_bad_rows_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    good = json.dumps(ROWS[0])
    broken = '{"prompt": "q", "answer": '
    path.write_bytes("\n".join([good, "", broken, '["a list"]', '{"prompt": "q"}', good]).encode() + b"\n\xff\xfe\n")
    loaded = load("task", str(path), "all")
    assert [task.id for task in loaded.items] == ["t/t.jsonl:1", "t/t.jsonl:6"]
    assert loaded.skipped.count == 4
    assert loaded.skipped.first.startswith("t.jsonl:3: broken JSON")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode())
    assert len(load("task", str(tmp_path / "t.jsonl"), "all").items) == 1


def test_a_repeated_id_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({**r, "id": "same"}) + "\n" for r in ROWS[:3]))
    loaded = load("task", str(tmp_path / "t.jsonl"), "all")
    assert (len(loaded.items), loaded.skipped.count) == (1, 2)
    assert "'same' occurs twice" in loaded.skipped.first


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "gives no task"),
        ("bad.jsonl", b'{"prompt": "q"}\n{"prompt": "p"}\n', "2 bad rows, the first: bad.jsonl:1: no answer"),
        ("cut.jsonl.gz", gzip.compress(json.dumps(ROWS).encode())[:-20], "cannot read"),
        ("not.jsonl.gz", b"plain text", "cannot read"),
        ("not.parquet", b"plain text", "no whole Parquet file"),
        ("not.json", b"{", "1 bad rows, the first: not.json:1: broken JSON"),
    ],
)
def test_a_file_without_any_usable_row_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load("task", str(tmp_path / name), "all")
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_missing_file_and_an_unknown_kind_of_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data file at .*nowhere\.jsonl"):
        load("task", str(tmp_path / "nowhere.jsonl"), "all")
    (tmp_path / "t.csv").write_text("a,b")
    with pytest.raises(DataError, match="no known kind of data file") as caught:
        data_files(tmp_path / "t.csv")
    assert ".jsonl" in caught.value.hint


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name, text in (("b.jsonl", "second"), ("a.jsonl", "first"), ("c.txt", "no")):
        (tmp_path / name).write_text(json.dumps({"text": text}) + "\n")
    assert [d.text for d in load("document", "file", "all", path=tmp_path).items] == ["first", "second"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no data file"):
        load("document", "file", "all", path=tmp_path / "none")


def test_the_first_pattern_that_matches_wins(tmp_path: Path) -> None:
    for name in ("x_train.jsonl", "train.jsonl", "other.jsonl"):
        (tmp_path / name).write_text("{}")
    assert [p.name for p in first_match(tmp_path, ["train.jsonl", "*.jsonl"], what="X")] == ["train.jsonl"]
    with pytest.raises(DataError, match="holds no X"):
        first_match(tmp_path, ["test.jsonl"], what="X")


def test_deeply_nested_json_is_a_bad_row_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl").write_text("[" * 200_000 + "\n" + "{}\n")
    first, second = read_rows([tmp_path / "deep.jsonl"])
    assert isinstance(first, BadRow)
    assert isinstance(second, Row)
