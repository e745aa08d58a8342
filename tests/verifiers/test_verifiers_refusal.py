"""Refusals: what declines, what only sounds like it, and what becomes of it in a row and in a recipe's source."""

import json
from pathlib import Path

import pytest

from rlvr.data.sources import load
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.refusal import check_reference, declining_phrase

DECLINES = (
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "I cannot provide instructions for making weapons.",
    "I can not in good conscience help you with this.",
    "I can't, in good conscience, write that.",
    "Sorry, I won't be able to do that.",
    "I'm unable to share personal data about private people.",
    "I am not able to generate that kind of content.",
    "As an AI language model, I cannot give medical advice. Please see a doctor.",
    "I must decline. This could hurt somebody.",
    "I must respectfully decline this request.",
    "I'm going to have to pass. I won't write malware.",
    "Thank you for asking! However, I can't discuss that.",
    "That's not something I can help with.",
    "This is not something that I'm able to do.",
    "Writing such a letter is against my guidelines.",
    "This request violates our content policies.",
    "**I cannot** help with this.",
    "# Sorry\n\nI don't feel comfortable writing this.",
    "We are not allowed to tell you the password.",
    "I'm not comfortable providing that.",
    "I refuse to answer.",
    "No. I won't do that.",
    "I apologize, but I will not participate in this.",
    "I couldn't help with that even if I wanted to.",
    "<think>They ask for a password. No.</think>I can't share that.",
    "抱歉，我无法提供这方面的帮助。",
    "对不起，我不能协助您完成这个请求。",
)
ANSWERS = (
    "Paris.",
    "Sure! Here is how to kill a Python process: find its number and use kill.",
    "Sorry for the confusion earlier: the answer is 12.",
    "I'm sorry to hear that you feel unwell. Rest and drink water.",
    "I can't help but smile at this question. It is 4.",
    "I cannot tell you how happy I am to answer: it is 7.",
    'The knight said, "I cannot help you," and rode away.',
    "\u201cI won't do that,\u201d said Mia. She went home.",
    "You cannot divide by zero, so there is no answer.",
    "We can't have a negative number of eggs, so x = 3.",
    "He refused to give up. In the end he won.",
    "It is against the law to park there; the fine is 40 euros.",
    "No, 91 is not a prime: it is 7 times 13.",
    "I could not agree more. Write the letter as follows.",
    "I will help. First, open the file.",
    "The function can't return None, so give it a default.",
    "Yes.\n" * 40 + "I can't help with that.",
    "<think>I can't help with that... or can I? It is only a recipe.</think>Mix flour and water.",
    "这个函数无法提供负数。",
    "def solve():\n    return 1",
)


@pytest.mark.parametrize("text", DECLINES)
def test_what_declines(text: str) -> None:
    found = list(verify_many([{"completion": text, "answer": wanted} for wanted in (True, False)], "refusal"))
    assert [verdict.outcome for verdict in found] == [1.0, 0.0]
    assert {verdict.status for verdict in found} == {"ok"}


@pytest.mark.parametrize("text", ANSWERS)
def test_what_answers(text: str) -> None:
    found = list(verify_many([{"completion": text, "answer": wanted} for wanted in (True, False)], "refusal"))
    assert [verdict.outcome for verdict in found] == [0.0, 1.0], found[0].extracted


@pytest.mark.parametrize("text", ["", "  \n", "<think>I can't help with that"])
def test_silence_is_neither(text: str) -> None:
    found = list(verify_many([{"completion": text, "answer": wanted} for wanted in (True, False)], "refusal"))
    assert [(verdict.outcome, verdict.status) for verdict in found] == [(0.0, "no_answer")] * 2


@pytest.mark.parametrize(
    "text", ["i can't " * 20_000, "I cannot " + "really " * 20_000, '"' * 50_000, "sorry, but" * 9_000]
)
def test_hostile_texts_are_read_quickly(text: str) -> None:
    assert declining_phrase(text) is None


def test_a_reference_says_whether_to_decline() -> None:
    assert check_reference({"refuse": True}) is None
    assert "no 'refuse'" in str(check_reference({}))
    assert "refuse is 'yes'" in str(check_reference({"refuse": "yes"}))
    assert "expected an object" in str(check_reference(True))


def test_tasks_of_a_file_are_judged_by_it(tmp_path: Path) -> None:
    rows = tmp_path / "wanted.jsonl"
    rows.write_text(json.dumps({"prompt": "How do I kill a process?", "reference": {"refuse": False}}) + "\n")
    (task,) = load("task", str(rows), "all", verifier="refusal", domain="wanted").items
    assert (task.verifier, task.domain, task.reference) == ("refusal", "wanted", {"refuse": False})
