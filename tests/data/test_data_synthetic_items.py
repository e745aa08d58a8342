"""What the generators yield: tasks, demonstrations, preferences and documents with stable ids and clean contents."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rlvr.data.split import check_no_overlap
from rlvr.data.synthetic import arithmetic, corpus, facts, lists, stories
from rlvr.errors import DataError
from rlvr.types import Demonstration, Document, Preference, Task

BOXED = re.compile(r"\\boxed\{(\d+)\}")


def first_of(items: Iterator[Any], count: int) -> list[Any]:
    return list(itertools.islice(items, count))


def test_a_task_asks_for_a_number_that_the_math_verifier_can_check() -> None:
    tasks = list(arithmetic.tasks("train", seed=3, limit=200))
    assert len({task.id for task in tasks}) == len({task.messages[0]["content"] for task in tasks}) == 200
    for task in tasks:
        assert (task.verifier, task.domain, task.threshold) == ("math", "arithmetic", 1.0)
        assert [message["role"] for message in task.messages] == ["user"]
        assert re.fullmatch(r"[1-9]\d?", task.reference)


def test_every_demonstration_thinks_and_ends_with_the_boxed_result_of_its_last_line() -> None:
    for item in arithmetic.demonstrations("train", limit=300):
        answer = item.messages[-1]["content"]
        found = re.fullmatch(r"<think>([^<]+=(\d+))</think>\\boxed\{(\d+)\}", answer)
        assert found is not None, answer
        assert found[2] == found[3]


def test_both_sides_of_a_preference_are_right_and_only_the_rejected_one_is_untidy() -> None:
    untidy: Counter[str] = Counter()
    for pair in arithmetic.preferences("train", limit=300):
        answer = BOXED.search(pair.chosen)
        assert answer is not None
        assert re.fullmatch(r"<think>[\d+\-*/=\n]+</think>\\boxed\{\d+\}", pair.chosen)
        assert pair.chosen != pair.rejected
        assert re.search(rf"\b{answer[1]}\b", pair.rejected.split("=")[-1])
        untidy["boxed" if BOXED.search(pair.rejected) else "unboxed"] += 1
    assert min(untidy["boxed"], untidy["unboxed"]) > 50


@pytest.mark.parametrize(
    "generator",
    [
        arithmetic.tasks,
        arithmetic.demonstrations,
        arithmetic.preferences,
        arithmetic.documents,
        stories.documents,
        facts.documents,
        lists.documents,
        corpus.documents,
    ],
)
def test_a_generator_gives_the_same_items_again_and_a_longer_list_begins_with_the_shorter(
    generator: Callable[..., Iterator[Task | Demonstration | Preference | Document]],
) -> None:
    short, long = list(generator("train", seed=5, limit=20)), list(generator("train", seed=5, limit=40))
    other = list(generator("train", seed=6, limit=20))
    assert short == long[:20]
    assert first_of(generator("train", seed=5), 40) == long
    assert len({item.id for item in long}) == 40
    assert short != other


@pytest.mark.parametrize("source", [stories.documents, facts.documents, lists.documents, corpus.documents])
def test_an_unknown_split_is_an_error(source: Callable[..., Iterator[Document]]) -> None:
    with pytest.raises(DataError, match="'dev'"):
        list(source("dev", limit=3))


def test_no_evaluation_prompt_stands_in_the_corpus_or_in_any_training_item() -> None:
    short = arithmetic.tasks("evaluation", limit=200)
    long = arithmetic.tasks("evaluation", seed=2026, limit=200, min_steps=6, max_steps=8)
    evaluation = [*short, *long]
    trained = [
        *arithmetic.tasks("train", seed=7, limit=2000),
        *arithmetic.tasks("train", seed=7, limit=2000, min_steps=6, max_steps=8),
        *arithmetic.demonstrations("train", limit=960),
        *arithmetic.preferences("train", limit=256),
    ]
    assert check_no_overlap(trained, evaluation) == ()
    written = "\n".join(document.prompt + document.text for document in corpus.documents("train", seed=1, limit=4000))
    assert not [task.id for task in evaluation if task.messages[0]["content"] in written]


def test_nothing_that_is_written_out_has_more_steps_than_five() -> None:
    drawn = arithmetic.problems("train", purpose="document", seed=0, min_steps=1, max_steps=5, easy=True)
    assert {len(problem.steps) for _, problem in itertools.islice(drawn, 2000)} == {1, 2, 3, 4, 5}
    with pytest.raises(DataError, match="6"):
        next(arithmetic.demonstrations("train", limit=1, max_steps=6))


def test_a_planted_evaluation_prompt_would_be_found() -> None:
    evaluation = list(arithmetic.tasks("evaluation", limit=20))
    assert check_no_overlap([evaluation[7]], evaluation) == (evaluation[7].id,)


def test_the_corpus_mixes_its_sources_in_the_shares_that_it_names() -> None:
    found = Counter(document.domain for document in corpus.documents("train", seed=1, limit=3000))
    shares = {"arithmetic": 0.82, "lists": 0.06, "stories": 0.06, "facts": 0.06}
    assert set(found) == set(shares)
    for domain, share in shares.items():
        # 3000 draws: standard deviation sqrt(3000 * p * (1 - p)) <= 21
        assert abs(found[domain] - 3000 * share) < 85, found


def test_the_corpus_writes_problems_in_many_forms_with_and_without_a_chain_of_thought() -> None:
    whole = [document.prompt + document.text for document in arithmetic.documents("train", limit=1500)]
    forms = {
        "chat with thinking": r"<\|user\|>[^<]+<\|end\|><\|assistant\|><think>[^<]+</think>\\boxed\{\d+\}",
        "chat, answer only": r"<\|user\|>[^<]+<\|end\|><\|assistant\|>\\boxed\{\d+\}",
        "question and worked answer": r"Q: [^\n]+\nA: (First )?\d+[^\n]*=(.|\n)*",
        "question and answer": r"Q: [^\n]+\nA: \d+",
        "problem and solution": r"Problem: [^\n]+\nSolution:\n(.|\n)+\nAnswer: \\boxed\{\d+\}",
        "exercises": r"(\d+[+*/-]\d+=\d+\n){5}\d+[+*/-]\d+=\d+",
    }
    for name, pattern in forms.items():
        assert sum(re.fullmatch(pattern, text) is not None for text in whole) >= 15, name


def test_the_prompt_of_a_document_holds_no_part_of_its_solution() -> None:
    for document in arithmetic.documents("train", limit=500):
        assert not re.search(r"\d=\d", document.prompt)
        assert document.text.strip()


def test_a_story_belongs_to_one_split_only_and_has_no_numbers() -> None:
    train = {document.text for document in stories.documents("train", limit=500)}
    evaluation = {document.text for document in stories.documents("evaluation", limit=100)}
    assert not train & evaluation
    assert not any(character.isdigit() for text in train | evaluation for character in text)


def test_facts_say_the_same_of_a_land_wherever_they_are_told() -> None:
    known = facts.lands()
    assert len(known) == facts.NUM_LANDS
    for document in facts.documents("evaluation", limit=300):
        found = re.search(
            r"capital of (\w+)\?\n?(?:<\|end\|><\|assistant\|>|A: )(\w+)", document.prompt + document.text
        )
        if found:
            assert known[found[1]]["capital"] == found[2]


def test_a_list_is_said_again_in_the_same_or_the_opposite_order() -> None:
    backwards = 0
    for document in lists.documents("train", limit=200):
        first, again = re.fullmatch(r"(.+)\. (?:Again|Once more|Copy|Backwards): (.+)\.", document.text).groups()
        entries = first.split(", ")
        backwards += "Backwards" in document.text
        assert again.split(", ") == (entries[::-1] if "Backwards" in document.text else entries)
    assert 15 < backwards < 70  # a fifth of 200 is 40
