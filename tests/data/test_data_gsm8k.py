from collections import Counter
from pathlib import Path

import pytest

from rlvr.data import gsm8k
from rlvr.data.rows import Row
from rlvr.data.sources import load
from rlvr.data.split import check_no_overlap
from rlvr.errors import DataError

FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")

WEIGHS = (
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much did she earn?"
)


def row(answer: object, question: object = "How many?") -> Row:
    return Row("made.jsonl:9", {"question": question, "answer": answer})


def test_a_published_row_becomes_a_task_with_the_integer_as_its_reference() -> None:
    tasks = load("task", "gsm8k", "train", path=FIXTURES, evaluation_share=0.0).items
    assert tasks[1].messages == ({"role": "user", "content": f"{WEIGHS}\nPut your final answer within \\boxed{{}}."},)
    assert [task.reference for task in tasks] == ["72", "10", "5", "42", "624", "1080"]
    assert {(task.verifier, task.domain, task.source) for task in tasks} == {("math", "gsm8k", "gsm8k")}
    assert tasks[1].id == "gsm8k/gsm8k_train.jsonl:2"


def test_the_instruction_can_be_changed_or_left_out() -> None:
    for instruction, expected in (("", WEIGHS), ("Box it.", f"{WEIGHS}\nBox it.")):
        tasks = load("task", "gsm8k", "all", path=FIXTURES, instruction=instruction).items
        assert tasks[1].messages[0]["content"] == expected


def test_a_demonstration_has_no_calculator_marks_and_ends_in_the_boxed_answer() -> None:
    items = load("demonstration", "gsm8k", "all", path=FIXTURES).items
    assert items[1].messages[-1] == {
        "role": "assistant",
        "content": "Weng earns 12/60 = $0.2 per minute.\nWorking 50 minutes, she earned 0.2 x 50 = $10.\n"
        "The answer is \\boxed{10}",
    }
    assert items[1].messages[0] == load("task", "gsm8k", "all", path=FIXTURES).items[1].messages[0]
    assert items[5].messages[-1]["content"].endswith("\\boxed{1080}")


def test_a_preference_slips_at_the_last_number_that_is_the_answer() -> None:
    preference = load("preference", "gsm8k", "all", path=FIXTURES).items[0]
    assert preference.chosen == (
        "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n"
        "The answer is \\boxed{72}"
    )
    wrong = preference.rejected.rpartition("{")[2].rstrip("}")
    assert wrong in {"73", "74", "75", "76", "77", "78", "79", "80", "81", "720"}
    assert preference.rejected == preference.chosen.replace("72", wrong)


@pytest.mark.parametrize("gold", ["0", "-5", "7", "1,200"])
def test_the_rejected_number_is_always_another_one(gold: str) -> None:
    for question in range(200):
        preference = gsm8k.preference_from_row(row(f"So it is {gold}.\n#### {gold}", str(question)))
        assert preference.rejected != preference.chosen
        assert preference.rejected.rpartition("{")[2] != preference.chosen.rpartition("{")[2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("So it is 7."), "no integer after ####"),
        (row("So it is 7.\n#### seven"), "no integer after ####"),
        (row("So it is 7.\n####"), "no integer after ####"),
        (row("So it is 7.\n#### 7.5"), "no integer after ####"),
        (row(""), "no answer"),
        (row(None), "no answer"),
        (row("#### 7", question=" "), "no question"),
        (row("#### 7", question=3), "no question"),
    ],
)
def test_a_row_without_question_or_integer_says_so(bad: Row, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        gsm8k.task_from_row(bad)


def test_the_test_split_is_the_published_test_file() -> None:
    assert [t.reference for t in load("task", "gsm8k", "test", path=FIXTURES).items] == ["18", "3", "70000"]
    with pytest.raises(DataError, match="no split 'dev'"):
        load("task", "gsm8k", "dev", path=FIXTURES)
    with pytest.raises(DataError, match="holds no GSM8K train file"):
        load("task", "gsm8k", "train", path=FIXTURES.parent)


@needs_shared
def test_the_whole_of_gsm8k_is_read_without_a_bad_row_and_its_splits_never_overlap() -> None:
    train = load("task", "gsm8k", "train", path=SHARED)
    evaluation = load("task", "gsm8k", "evaluation", path=SHARED)
    test = load("task", "gsm8k", "test", path=SHARED)
    assert len(train.items) + len(evaluation.items) == 7473
    # 7473 * 0.05 = 373.7 expected, standard deviation sqrt(7473 * 0.05 * 0.95) = 18.8, four of them are 75.
    assert abs(len(evaluation.items) - 373.7) < 75
    assert len(test.items) == 1319
    assert train.skipped.count == evaluation.skipped.count == test.skipped.count == 0
    assert check_no_overlap(train.items, [*evaluation.items, *test.items]) == ()
    demonstrations = load("demonstration", "gsm8k", "train", path=SHARED).items
    assert check_no_overlap(demonstrations, evaluation.items) == ()
    assert [d.messages[0] for d in demonstrations] == [t.messages[0] for t in train.items]
    assert not any("<<" in d.messages[-1]["content"] for d in demonstrations)
    everything = load("demonstration", "gsm8k", "all", path=SHARED).items
    assert len(check_no_overlap(everything, evaluation.items)) == len(evaluation.items)


@needs_shared
def test_no_preference_of_gsm8k_prefers_a_text_to_itself_and_most_slip_in_the_working_too() -> None:
    items = load("preference", "gsm8k", "all", path=SHARED).items
    assert len(items) == 7473
    slips = Counter(
        p.chosen.rpartition("\n")[0] != p.rejected.rpartition("\n")[0] and p.chosen != p.rejected for p in items
    )
    assert slips[True] > 7200
