"""What the generators yield: tasks, demonstrations, preferences and documents with stable ids and clean contents."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from rlvr.data.gym import tasks as gym_tasks
from rlvr.data.split import check_no_overlap
from rlvr.data.synthetic import arithmetic, corpus, facts, items, lists, shipped, stories
from rlvr.errors import DataError
from rlvr.types import Completion, Demonstration, Document, Preference, Task, read_only
from rlvr.verifiers import exact, math

BOXED = re.compile(r"\\boxed\{([^}]+)\}")
WRITTEN = ("arithmetic", "instructions", "functions")
SHIPPED = ("chain_sum", "spell_backward")


pytestmark = pytest.mark.usefixtures("few_shipped_exercises")


def first_of(found: Iterator[Any], count: int) -> list[Any]:
    return list(itertools.islice(found, count))


def said(text: str) -> Completion:
    return Completion(read_only([1], "int64"), read_only([0], "float32"), read_only([True], "bool"), text, "stop", 0)


@pytest.mark.parametrize("name", WRITTEN)
def test_tasks_stand_on_every_rung_alike_and_no_text_comes_twice(name: str) -> None:
    found = list(items.tasks(name, "train", seed=3, limit=600))
    assert len({task.id for task in found}) == len({task.messages[0]["content"] for task in found}) == 600
    rungs = Counter(task.rung for task in found)
    highest = items.HIGHEST_RUNGS[name]
    assert sorted(rungs) == list(range(1, highest + 1))
    # 600 draws over r rungs: mean 600/r, standard deviation below sqrt(600/r); easy texts repeat, which thins rung 1.
    assert all(abs(count - 600 / highest) < 5 * (600 / highest) ** 0.5 for rung, count in rungs.items() if rung > 1)
    assert {(task.domain, task.threshold) for task in found} == {(name, 1.0)}


@pytest.mark.parametrize(("name", "highest"), [("arithmetic", 8), ("instructions", 6), ("functions", 4)])
def test_what_is_written_is_mostly_easy_and_never_of_the_highest_rungs(name: str, highest: int) -> None:
    drawn = items.DOMAINS[name](
        "train", purpose="document", seed=0, min_rung=1, max_rung=items.HIGHEST_RUNGS[name], written=True
    )
    rungs = Counter(exercise.rung for _, exercise in first_of(drawn, 2000))
    assert sorted(rungs) == list(range(1, highest + 1))
    assert rungs[1] > 3 * rungs[highest]
    with pytest.raises(DataError, match="99"):
        next(items.tasks(name, "train", limit=1, max_rung=99))


def test_chains_of_the_highest_rung_are_more_than_ten_times_as_long_as_those_of_the_lowest() -> None:
    def lines(rung: int) -> int:
        drawn = arithmetic.exercises("train", purpose="task", seed=0, min_rung=rung, max_rung=rung, written=False)
        return min(len(exercise.lines) for _, exercise in first_of(drawn, 50))

    assert lines(12) >= 12 * lines(1)


def test_rungs_that_no_written_text_has_are_refused_and_not_drawn_as_the_hardest() -> None:
    for name in ("arithmetic", "functions"):
        highest = items.HIGHEST_RUNGS[name]
        with pytest.raises(DataError, match=f"no written text has rungs {highest} to {highest}"):
            next(items.demonstrations(name, "train", limit=1, min_rung=highest, max_rung=highest))
        assert next(items.tasks(name, "train", limit=1, min_rung=highest, max_rung=highest))


def test_the_last_line_of_arithmetic_is_the_answer_and_the_verifier_takes_it() -> None:
    for task, demonstration in zip(
        items.tasks("arithmetic", "train", limit=20),
        items.demonstrations("arithmetic", "train", limit=200),
        strict=False,
    ):
        answer = demonstration.messages[-1]["content"]
        found = re.fullmatch(r"<think>([^<]+=(\d+))</think>\\boxed\{(\d+)\}", answer)
        assert found is not None, answer
        assert found[2] == found[3]
        assert re.fullmatch(r"[1-9]\d?", task.reference)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_working_of_a_shipped_exercise_leads_to_its_own_answer(name: str) -> None:
    drawn = shipped.exercises(name, "train", purpose="document", seed=1, min_rung=1, max_rung=1, written=True)
    for _, exercise in first_of(drawn, 300):
        last = exercise.lines[-1] if exercise.lines else exercise.answer
        assert last.rpartition("=")[2].replace(" ", "") == exercise.answer


def test_the_workings_of_shipped_exercises_by_hand() -> None:
    chain = "State the final answer to the following arithmetic problem: 4 - 7 + 12 ="
    assert shipped.WORKINGS["chain_sum"](chain) == ("4-7=-3", "-3+12=9")
    word = "Spell this word backward (example: sun -> nus): stop"
    assert shipped.WORKINGS["spell_backward"](word) == ("s t o p", "p o t s")


@pytest.mark.parametrize("name", items.DOMAINS)
def test_both_sides_of_a_preference_end_alike_and_only_the_rejected_one_rambles(name: str) -> None:
    for pair in items.preferences(name, "train", limit=100):
        chosen, rejected = (text.rpartition("</think>") for text in (pair.chosen, pair.rejected))
        assert chosen[1:] == rejected[1:]
        tidy, untidy = (part[0].removeprefix("<think>").splitlines() for part in (chosen, rejected))
        assert len(untidy) > len(tidy)
        kept = iter(untidy)
        assert all(line in kept for line in tidy), "the lines of the tidy one, in their order, with others between them"


def test_a_share_of_the_demonstrations_says_the_answer_and_nothing_else() -> None:
    found = list(items.demonstrations("arithmetic", "train", limit=400, answer_only_share=0.4))
    short = [item for item in found if "<think>" not in item.messages[-1]["content"]]
    # 400 draws at 0.4: mean 160, standard deviation sqrt(400 * 0.4 * 0.6) = 9.8
    assert 120 < len(short) < 200
    assert all(BOXED.fullmatch(item.messages[-1]["content"]) for item in short)
    whole = list(items.demonstrations("arithmetic", "train", limit=400))
    assert [item.messages[0] for item in whole] == [item.messages[0] for item in found]
    assert all("<think>" in item.messages[-1]["content"] for item in whole)


def test_a_draft_counts_the_words_of_the_line_that_follows_it() -> None:
    for item in items.demonstrations("instructions", "train", limit=100):
        found = re.fullmatch(r"<think>(.+)</think>(.+)", item.messages[-1]["content"])
        assert found is not None
        assert re.sub(r"\d", "", found[1]) == found[2]
        assert re.findall(r"\d+", found[1]) == [str(place + 1) for place in range(len(found[2].split()))]


@pytest.mark.parametrize(
    "generator",
    [
        *(partial(make, name) for make in (items.tasks, items.demonstrations, items.documents) for name in WRITTEN),
        partial(items.preferences, "chain_sum"),
        *(partial(items.documents, name) for name in SHIPPED),
        arithmetic.drills,
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


@pytest.mark.parametrize(
    "source", [stories.documents, facts.documents, lists.documents, partial(items.tasks, "functions"), facts.tasks]
)
def test_an_unknown_split_is_an_error(source: Callable[..., Iterator[Document]]) -> None:
    with pytest.raises(DataError, match="'dev'"):
        list(source("dev", limit=3))


def test_no_evaluation_prompt_stands_in_the_corpus_or_in_any_training_item() -> None:
    evaluation = [task for name in WRITTEN for task in items.tasks(name, "evaluation", seed=2026, limit=256)]
    for name in SHIPPED:
        evaluation += gym_tasks("evaluation", name=name, limit=256, seed=2026, instruction="", **shipped.OPTIONS[name])
    trained: list[Any] = []
    for name in WRITTEN:
        trained += items.tasks(name, "train", seed=7, limit=1500)
    for name in (*WRITTEN, *SHIPPED):
        trained += items.demonstrations(name, "train", limit=960)
    for name in ("arithmetic", "functions", *SHIPPED):
        trained += items.preferences(name, "train", limit=256)
    for name in SHIPPED:
        trained += gym_tasks("train", name=name, limit=1500, seed=7, instruction="", **shipped.OPTIONS[name])
    assert len(evaluation) == 5 * 256
    assert check_no_overlap(trained, evaluation) == ()
    # In each form of a document a line break or the end of the turn follows the question.
    asked = [task.messages[0]["content"] + end for task in evaluation for end in ("\n", "<|end|>")]
    # Text by text: one long haystack makes the search for needles with a long common beginning slow.
    for document in corpus.documents("train", seed=0, limit=4000):
        whole = document.prompt + document.text
        assert not any(question in whole for question in asked), whole


def test_a_planted_evaluation_prompt_would_be_found() -> None:
    evaluation = list(items.tasks("arithmetic", "evaluation", limit=20))
    assert check_no_overlap([evaluation[7]], evaluation) == (evaluation[7].id,)


def test_the_corpus_mixes_its_sources_in_the_shares_that_it_names() -> None:
    found = Counter(document.domain for document in corpus.documents("train", seed=1, limit=3000))
    shares: Counter[str] = Counter()
    for weight, source in corpus.MIX:
        shares[next(source("train")).domain] += weight
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(found) == set(shares)
    for domain, share in shares.items():
        # 3000 draws: standard deviation sqrt(3000 * p * (1 - p)) <= 27.3
        assert abs(found[domain] - 3000 * share) < 110, found


def test_the_corpus_writes_problems_in_many_forms_with_and_without_a_chain_of_thought() -> None:
    whole = [d.prompt + d.text for d in items.documents("arithmetic", "train", limit=1500)]
    whole += [d.prompt + d.text for d in arithmetic.drills("train", limit=500)]
    forms = {
        "chat with thinking": r"<\|user\|>[^<]+<\|end\|><\|assistant\|><think>[^<]+</think>\\boxed\{\d+\}",
        "chat, answer only": r"<\|user\|>[^<]+<\|end\|><\|assistant\|>\\boxed\{\d+\}",
        "question and worked answer": r"Q: [^\n]+\nA: (First )?\d+[^\n]*=(.|\n)*",
        "question and answer": r"Q: [^\n]+\nA: \\boxed\{\d+\}",
        "problem and solution": r"Problem: [^\n]+\nSolution:\n(.|\n)+\nAnswer: \\boxed\{\d+\}",
        "exercises": r"(\d+[+*/-]\d+=\d+\n){5}\d+[+*/-]\d+=\d+",
    }
    for name, pattern in forms.items():
        assert sum(re.fullmatch(pattern, text) is not None for text in whole) >= 15, name


def test_the_prompt_of_a_document_holds_no_part_of_its_solution() -> None:
    for document in items.documents("arithmetic", "train", limit=500):
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
    checked = 0
    for document in facts.documents("evaluation", limit=300):
        found = re.search(
            r"capital of (\w+)\?\n?(?:<\|end\|><\|assistant\|>|A: )(?:\\boxed\{)?(\w+)", document.prompt + document.text
        )
        if found:
            checked += 1
            assert known[found[1]]["capital"] == found[2]
    assert checked > 10


def test_every_fact_is_asked_twice_and_may_be_answered_with_or_without_a_box() -> None:
    found = list(facts.tasks("evaluation"))
    assert len(found) == len({task.messages[0]["content"] for task in found}) == facts.NUM_LANDS * 4 * 2 == 256
    value = found[0].reference["answer"]
    for text in (value, f"\\boxed{{{value}}}", f"<think>hm</think>{value}"):
        assert exact.verify(found[0], said(text)).outcome == 1.0, text
    assert exact.verify(found[0], said(f"{value} or not")).outcome == 0.0


def test_a_list_is_said_again_in_the_same_or_the_opposite_order() -> None:
    backwards = 0
    for document in lists.documents("train", limit=200):
        match = re.fullmatch(r"(.+)\. (?:Again|Once more|Copy|Backwards): (.+)\.", document.text)
        assert match is not None, document.text
        entries = match[1].split(", ")
        backwards += "Backwards" in document.text
        assert match[2].split(", ") == (entries[::-1] if "Backwards" in document.text else entries)
    assert 15 < backwards < 70  # a fifth of 200 is 40


def test_the_math_verifier_takes_what_a_demonstration_says() -> None:
    for _, exercise in first_of(
        arithmetic.exercises("train", purpose="task", seed=4, min_rung=1, max_rung=12, written=False), 30
    ):
        assert math.check_reference(exercise.reference) is None
