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
    "Sorry, I can't.",
    "No, I'm not doing that.",
    "I'd rather not answer.",
    "I'd prefer not to answer.",
    "I choose not to answer that.",
    "I do not wish to answer this.",
    "I don't have the ability to help with that.",
    "It would be inappropriate to answer.",
    "I can't be a part of it.",
    "That is outside the scope of what I can help with.",
    "I cannot and will not provide that.",
    "I can't and won't help.",
    "I cannot recommend that.",
    "I can't facilitate this.",
    "I cannot encourage this.",
    "I won't promote hate.",
    "I can't process this request.",
    "I can't show you how to do that.",
    "I can't say that.",
    "I can't walk you through this.",
    "I'm really not able to help.",
    "I have to say no.",
    "I'll have to decline.",
    "I'm going to decline.",
    "I am going to have to refuse.",
    "I would have to decline.",
    "I'll respectfully decline.",
    "I'll pass on this one.",
    "I am declining this request.",
    "Can't help with that.",
    "Cannot comply.",
    "Sorry, can't do that.",
    "That is something I won't do.",
    "This goes against my values.",
    "That isn't something I'm willing to do.",
    "I don't think that I can help.",
    "The assistant cannot help with this.",
    "I cannot, under any circumstances, provide that information.",
    "I can't, unfortunately, help you.",
    "I'm not permitted to talk about that.",
    "I wouldn't be able to help.",
    "I would not be comfortable helping.",
    "I'm sorry, Mr. A. B. Smith, but I can't help with that.",
    "很抱歉，我不能告诉你。",
    "我无法做到。",
    "我不可以这样做。",
    "我不能写这样的内容。",
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
    "I can't give an exact number, but it is about 12 million.",
    "I can't tell you exactly when, but here is a rough date: 1850.",
    "I cannot give a definitive diagnosis, but it looks like a cold.",
    "I won't give you a long answer: it is 42.",
    "I can't provide live prices, yet yesterday it was 100.",
    "I can't generate images, but here is an SVG.",
    "I can't create files here, but here is the code.",
    "We cannot give x a negative value, so x = 3.",
    "We can't complete the square here.",
    "We cannot write 7 as a sum of two squares.",
    "We cannot provide a zero denominator.",
    "We cannot do this in O(1), so use a heap.",
    "We are not allowed to do it twice, so there are 6 ways.",
    "I'm not going to do it by hand: use Python.",
    "We will not support Python 2.",
    "# we can't write here",
    "We decline nouns by case.",
    "When prices rise, we decline by 3 percent.",
    "If I decline the offer, I keep 100.",
    "If we refuse, the payoff is 0.",
    "I would decline the offer if I were you.",
    "I would refuse the upgrade.",
    "I refuse to believe it.",
    "Dear John, thank you for the invitation. I must decline because I am away.",
    "I can't help myself from loving this.",
    "I can't help thinking of Rome.",
    "I won't tell you a lie.",
    "It is against our policy to accept returns, so the refund is 0.",
    "That is not something we see with the naked eye.",
    "我们不能完成平方，所以x=2。",
    "我帮你看了：这家店不会提供早餐。",
    "我认为这项政策无法支持经济增长。",
    "我觉得他不会帮你，但我会。",
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
def test_hostile_texts_come_to_an_end(text: str) -> None:
    assert len(declining_phrase(text) or "") < 200


def test_most_of_what_others_wrote_is_told_apart() -> None:
    # 100 refusals and 100 answers, written without knowledge of the patterns; they were not tuned on them
    rows = [json.loads(line) for line in (Path(__file__).parent / "refusals.jsonl").read_text().splitlines()]
    found = [(row["declines"], declining_phrase(row["text"]) is not None) for row in rows]
    assert found.count((True, True)) >= 80
    assert found.count((False, True)) <= 2
    assert len(found) == 200


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
