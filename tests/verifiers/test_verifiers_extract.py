"""Where an answer stands in a completion."""

import time

import pytest

from rlvr.verifiers.extract import MAX_ANSWER_CHARACTERS, MAX_BOX_DISTANCE, after_thinking, extract


def test_only_text_after_the_last_think_counts() -> None:
    assert after_thinking("a</think>b</think> c") == " c"
    assert extract(r"<think>\boxed{4}</think> so \boxed{5}", "boxed").text == "5"


@pytest.mark.parametrize("text", [r"<think>maybe \boxed{4}", r"x</think> y <think> \boxed{4}"])
def test_an_open_think_is_no_answer(text: str) -> None:
    assert extract(text, "boxed").status == "no_answer"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{4}", "4"),
        (r"\boxed 4", "4"),
        (r"$\boxed \pi$.", r"\pi"),
        (r"\fbox{4}", "4"),
        (r"\boxed{\boxed{ 4 }}", "4"),
        (r"\boxed{\frac{1}{2}}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a \} b}", r"a \} b"),
        (r"\boxed{3} then \boxed{", "3"),
        (r"First \boxed{3}. No, that forgets the carry. Again: \boxed{4}", "4"),
        (r"\boxed{4} and once more \boxed{4}", "4"),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, answer: str) -> None:
    found = extract(text, "boxed")
    assert (found.text, found.status) == (answer, "ok")


@pytest.mark.parametrize(
    "text", ["4", r"\boxed{4", r"\boxed{}", r"\boxed{  }", r"\boxedfoo{4}", r"\boxed 42", "", "}{"]
)
def test_without_a_closed_box_there_is_no_answer(text: str) -> None:
    assert extract(text, "boxed").status == "no_answer"


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{3} or \boxed{4}",
        r"\boxed{3}" + "\n\n" + r"\boxed{4}",
        r"\boxed{3}. Or \boxed{4}.",
        r"$\boxed{11}$, $\boxed{12}$",
        r"\boxed{5} <answer>4</answer>",
    ],
)
def test_differing_answers_without_working_between_are_a_hedge(text: str) -> None:
    assert extract(text, "boxed").status == "hedged"


def test_a_box_inside_the_answer_tag_is_no_second_channel() -> None:
    assert extract(r"<answer>So it is \boxed{4}</answer>", "boxed").status == "ok"


def test_the_slots_read_where_their_name_says() -> None:
    assert extract("<answer> red </answer>", "tag").text == "red"
    assert extract("<answer> red </answer>", "boxed_or_tag").text == "red"
    assert extract("<answer> red </answer>", "boxed").status == "no_answer"
    assert extract("work\n#### 18", "marked").text == "18"
    assert extract("A: 3\nno\nA: 26", "marked").text == "26"
    assert extract("<think>x</think> blue ", "whole").text == "blue"
    with pytest.raises(KeyError):
        extract("4", "nowhere")


def test_an_answer_over_the_length_cap_is_refused() -> None:
    # A box of exactly the cap passes, one more character does not.
    assert extract(r"\boxed{" + "1" * MAX_ANSWER_CHARACTERS + "}", "boxed").status == "ok"
    assert extract(r"\boxed{" + "1" * (MAX_ANSWER_CHARACTERS + 1) + "}", "boxed").status == "wrong_format"


def test_a_box_is_looked_for_in_the_last_million_characters() -> None:
    # The box is 9 characters long.
    assert extract(r"\boxed{4}" + "x" * (MAX_BOX_DISTANCE - 9), "boxed").text == "4"
    assert extract(r"\boxed{4}" + "x" * (MAX_BOX_DISTANCE - 8), "boxed").status == "no_answer"


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 20_000,
        r"\boxed{1}" * 20_000,
        r"\boxed" * 20_000,
        r"\boxed{\boxed{" * 5_000 + "}" * 10_000,
        "{" * 200_000,
        "$" * 200_000,
        "<answer>" * 20_000,
        "<answer>" * 20_000 + "</answer>",
        "<think>" * 20_000,
        "\n" * 100_000 + "A:",
        "\n" + " " * 100_000,
        "The answer is" * 10_000,
    ],
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    for slot in ("boxed", "boxed_or_tag", "tag", "marked"):
        extract(text, slot)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "status", "answer"),
    [
        ("So the answer is 18.", "ok", "18."),
        ("**Answer:** 18", "ok", "18"),
        ("Answer: **18**", "ok", "18"),
        (r"Answer: \boxed{18}", "ok", "18"),
        ("Thus, the final answer is 18", "ok", "18"),
        (r"Answer: \boxed{17} or \boxed{18}", "hedged", "18"),
        ("I think the answer is 18", "no_answer", ""),
    ],
)
def test_a_marked_line_may_begin_with_so_and_hold_a_box(text: str, status: str, answer: str) -> None:
    found = extract(text, "marked")
    assert (found.status, found.text) == (status, answer)
