import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.split import check_no_overlap, problem_hash, problem_of, split_of
from rlvr.types import Demonstration, Preference, Task


def task(id_: str, *contents: str) -> Task:
    messages = tuple({"role": "user", "content": text} for text in contents)
    return Task(id_, messages, "1", "math", "made", "made")


def test_letter_case_and_white_space_do_not_change_the_hash() -> None:
    assert problem_hash("  What is\n 1 +\t2? ") == problem_hash("what IS 1 + 2?")
    assert problem_hash("what is 1 + 2?") != problem_hash("what is 1 + 3?")


def test_the_hash_of_a_problem_never_changes() -> None:
    # blake2b with a 16-byte digest of b"what is 1 + 2?", worked with `b2sum --length=128`.
    assert problem_hash("What is 1 + 2?") == "d3decde0e1822a3c6576cefad8f10ee3"


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_problem_held_out_at_a_share_is_held_out_at_every_larger_one(text: str, a: float, b: float) -> None:
    small, large = sorted((a, b))
    if split_of(text, evaluation_share=small) == "evaluation":
        assert split_of(text, evaluation_share=large) == "evaluation"


def test_the_evaluation_share_is_what_was_asked_for() -> None:
    held_out = sum(split_of(f"problem {i}") == "evaluation" for i in range(40_000))
    # 40000 * 0.05 = 2000 expected; the standard deviation is sqrt(40000 * 0.05 * 0.95) = 43.6, five of them are 218.
    assert abs(held_out - 2000) < 218
    assert {split_of(f"problem {i}", evaluation_share=0.0) for i in range(1000)} == {"train"}
    assert {split_of(f"problem {i}", evaluation_share=1.0) for i in range(1000)} == {"evaluation"}


def test_the_problem_is_the_last_user_turn_without_the_line_that_asks_for_a_box() -> None:
    messages = (
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "What is 2 + 2?\nPut the answer in \\boxed{}.\n"},
    )
    assert problem_of(messages).strip() == "What is 2 + 2?"
    assert problem_of(messages[:1]) == ""


def test_overlap_is_found_in_tasks_demonstrations_and_preferences_whatever_the_wording_of_the_instruction() -> None:
    evaluation = [task("e1", "What is 1 + 2?\nPut your final answer within \\boxed{}."), task("e2", "How many?")]
    turn = {"role": "assistant", "content": "3"}
    train = [
        task("t1", "what is 1 + 2?"),
        task("t2", "what is 1 + 4?"),
        Demonstration("d1", ({"role": "user", "content": "WHAT is 1 + 2?\n\nAnswer in \\boxed{}"}, turn), "made"),
        Demonstration(
            "d2", ({"role": "user", "content": "How  many? "}, turn, {"role": "user", "content": "x"}), "made"
        ),
        Preference("p1", ({"role": "user", "content": "How many?"},), "1", "2", "made"),
        Preference("p2", ({"role": "user", "content": "How much?"},), "1", "2", "made"),
    ]
    assert check_no_overlap(train, evaluation) == ("t1", "d1", "d2", "p1")
    assert check_no_overlap(train, []) == ()


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_our_own_mistake(share: float) -> None:
    with pytest.raises(AssertionError):
        split_of("x", evaluation_share=share)
