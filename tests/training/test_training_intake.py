"""Tasks that cannot be used are counted and named; when none is left, that is an error."""

import logging
from dataclasses import replace

import pytest
from tiny import task, words

from rlvr.errors import DataError
from rlvr.stages.parts import encoder
from rlvr.training.intake import take_in


def check(found):
    return ["the answer is no number" if one.reference is None else None for one in found]


def intake(tasks, tokenizer, *, context=24, completion=8, prompt="chat"):
    return take_in(
        tasks,
        encode=encoder(tokenizer, prompt),
        context_tokens=context,
        max_completion_tokens=completion,
        check_references=check,
    )


def _with_prompt(index, length):
    prompt = ({"role": "user", "content": words(*([9] * length))},)
    return replace(task(index), messages=prompt)


def test_usable_tasks_keep_their_order_and_get_their_prompts(tiny_tokenizer):
    found = intake([task(2), task(0)], tiny_tokenizer)
    assert [t.id for t in found.tasks] == ["task-2", "task-0"]
    # start, user, word, end, assistant
    assert found.prompts["task-2"].tolist() == [1, 3, 7, 2, 4]
    assert found.longest_prompt == 5
    assert found.left_out == ()


def test_a_plain_prompt_is_the_text_alone_as_a_base_reads_it(tiny_tokenizer):
    found = intake([task(2)], tiny_tokenizer, prompt="w5 {problem} w6")
    assert found.prompts["task-2"].tolist() == [5, 7, 6]


def test_a_prompt_must_leave_room_for_a_whole_completion(tiny_tokenizer):
    # 24 - 8 = 16 tokens; a prompt of n words has n + 4
    found = intake([_with_prompt(0, 12), _with_prompt(1, 13), _with_prompt(2, 40)], tiny_tokenizer)
    assert [t.id for t in found.tasks] == ["task-0"]
    (line,) = found.left_out
    assert line == (
        "2 of 3 tasks left out, their prompt is longer than 16 tokens (context 24 - max_completion_tokens 8); "
        "first: task-1: 17 tokens"
    )


def test_broken_references_are_counted_and_the_first_is_named(tiny_tokenizer, caplog):
    with caplog.at_level(logging.WARNING):
        found = intake([task(0), task(1, None), task(2, None)], tiny_tokenizer)
    assert [t.id for t in found.tasks] == ["task-0"]
    assert "2 of 3 tasks left out, their reference is broken; first: task-1: the answer is no number" in caplog.text


def test_nothing_left_is_an_error_that_says_why(tiny_tokenizer):
    with pytest.raises(
        DataError, match=r"no task is left.*task-0: the answer is no number.*task-1: 44 tokens"
    ) as caught:
        intake([task(0, None), _with_prompt(1, 40)], tiny_tokenizer)
    assert caught.value.exit_code == 2
    with pytest.raises(DataError, match="no task is left"):
        intake([], tiny_tokenizer)
