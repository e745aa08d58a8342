"""The laptop recipes hold out what they measure: no prompt of [evaluation] stands in anything that they train on.

All of it is made and looked at, every item that the recipes draw, each source once.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.data import DataConfig
from rlvr.config.reading import read_recipe
from rlvr.config.schema import Recipe
from rlvr.data.sources import Kind, load
from rlvr.data.split import check_no_overlap
from rlvr.types import Demonstration, Document, Preference, Task

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TASKS = 256
"""As many held-out tasks of each domain as `make evidence` measures, but for lines to order, of which it has more."""
OTHERS = ("laptop-zero", "laptop-iterate", "laptop-rlhf")
"""Recipes that measure what laptop.toml does."""
STARTS = ("<|user|>", "Q: ", "Problem: ")
ENDS = ("<|end|>", "\n")
"""What a document has before and after a task that it poses."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prompt stands in a text; `posed` says whether it is a whole task there, not a part of a longer one."""

    prompt: str
    text: str
    posed: bool


@pytest.fixture(scope="module")
def laptop() -> Recipe:
    return read_recipe(RECIPES / "laptop.toml").recipe


@pytest.fixture(scope="module")
def evidence() -> Iterator[Recipe]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(RECIPES.parent / "benchmarks")
        job = next(job for job in importlib.import_module("evidence").plan(TASKS) if job.name == "base1-seed1")
        yield read_recipe(job.recipe, job.words).recipe
    for name in ("evidence", "evidence_tables", "evidence_readme", "evidence_claims", "evidence_runs"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def base() -> Recipe:
    return read_recipe(RECIPES / "laptop-base.toml").recipe


@pytest.fixture(scope="module")
def evaluation(laptop: Recipe, evidence: Recipe) -> list[Task]:
    """What the demo measures, and beyond it as much as the evidence does; and what the evidence measures."""
    found: list[Task] = []
    for recipe in (laptop, evidence):
        assert recipe.evaluation is not None
        measured = [data for data in recipe.evaluation.data if not data.seen]
        found += [task for data in measured for task in items("task", data, max(TASKS, data.limit or 0))]
    return found


@pytest.fixture(scope="module")
def trained(laptop: Recipe) -> list[Any]:
    """Every item of every stage after pretraining, of all the laptop's recipes."""
    recipes = [laptop, *(read_recipe(RECIPES / f"{name}.toml").recipe for name in OTHERS)]
    assert [recipe.evaluation.data for recipe in recipes if recipe.evaluation] == [laptop.evaluation.data] * 4
    every = [(kind_of(stage), data) for recipe in recipes for stage in recipe.stage for data in stage.data]
    wanted = [pair for place, pair in enumerate(every) if pair not in every[:place]]
    found = [item for kind, data in wanted for item in items(kind, data, data.limit)]
    assert len(found) == sum(data.limit or 0 for _, data in wanted)
    return found


@pytest.fixture(scope="module")
def corpus(base: Recipe) -> list[Document]:
    """Every document that the base reads in any stage; those of its tokenizer are the first of them."""
    read = [data for stage in base.stage for data in stage.data]
    assert base.model.new is not None
    for entry in base.model.new.tokenizer.data:
        assert entry.model_copy(update={"limit": read[0].limit}) == read[0]
        assert entry.limit is not None
        assert read[0].limit is not None
        assert entry.limit <= read[0].limit
    found = [document for data in read for document in items("document", data, data.limit)]
    assert len(found) == sum(data.limit or 0 for data in read)
    return found


@pytest.fixture(scope="module")
def found(corpus: list[Document], trained: list[Any], evaluation: list[Task]) -> list[Place]:
    """Every place where a held-out prompt stands verbatim in anything that is trained on."""
    return list(places([text_of(item) for item in (*corpus, *trained)], prompts_of(evaluation)))


def items(kind: Kind, data: DataConfig, limit: int | None) -> Sequence[Any]:
    """What the recipe's own options give, cut to `limit`."""
    return load(kind, data.source, data.split, path=data.path or None, limit=limit, **data.options).items


def kind_of(stage: Any) -> Kind:
    if stage.kind in ("rlvr", "iterate") or getattr(stage, "pairs", "") == "policy":
        return "task"
    kinds: dict[str, Kind] = {"sft": "demonstration", "dpo": "preference"}
    return kinds[stage.kind]


def text_of(item: Document | Task | Demonstration | Preference) -> str:
    """All that training shows of an item, each turn behind the mark of a user's."""
    if isinstance(item, Document):
        return item.prompt + item.text
    turns = [message["content"] for message in item.messages]
    answers = [item.chosen, item.rejected] if isinstance(item, Preference) else []
    return "".join(f"<|user|>{turn}<|end|>" for turn in (*turns, *answers))


def places(texts: Sequence[str], prompts: Sequence[str]) -> Iterator[Place]:
    """Gives each place where a prompt stands verbatim; a word that goes on after its end is another word."""
    shortest = min(map(len, prompts))
    tails: dict[str, list[str]] = {}
    for prompt in prompts:
        tails.setdefault(prompt[-shortest:], []).append(prompt)
    last = re.escape("".join(sorted({prompt[-1] for prompt in prompts})))
    # Where a prompt could end, its last characters are looked up: a search for each prompt would take hours.
    ends = re.compile(rf"[{last}](?![^\W_])")
    for text in texts:
        for end in (found.end() for found in ends.finditer(text)):
            for prompt in tails.get(text[max(0, end - shortest) : end], ()):
                if text.endswith(prompt, 0, end):
                    before, after = text[: end - len(prompt)], text[end:]
                    posed = before.endswith(STARTS) and (not after or after.startswith(ENDS))
                    yield Place(prompt, text, posed)


def prompts_of(tasks: Sequence[Task]) -> list[str]:
    return [task.messages[-1]["content"] for task in tasks]


def test_both_recipes_measure_the_same_domains_at_least_four(
    laptop: Recipe, base: Recipe, evaluation: list[Task]
) -> None:
    assert laptop.evaluation is not None
    assert base.evaluation is not None
    assert [data.source for data in laptop.evaluation.data] == [data.source for data in base.evaluation.data]
    assert laptop.evaluation.text == base.evaluation.text
    domains = {task.domain for task in evaluation}
    assert len(domains) >= 4
    # Of the two sets of instructions a few may be the same by chance.
    fewest = TASKS * len(domains)
    assert fewest <= len(set(prompts_of(evaluation))) <= len(evaluation) <= 2 * fewest + 3 * TASKS


def test_no_stage_of_the_recipe_trains_on_a_held_out_prompt(trained: list[Any], evaluation: list[Task]) -> None:
    assert check_no_overlap(trained, evaluation) == ()
    # A task of the evaluation among them would be found.
    assert check_no_overlap([*trained, evaluation[-1]], evaluation) == (evaluation[-1].id,)


def test_no_held_out_prompt_stands_in_any_text(found: list[Place], evaluation: list[Task]) -> None:
    assert found == []
    # A task of the evaluation among them would be found.
    assert [p.posed for p in places([text_of(evaluation[0])], prompts_of(evaluation))] == [True]


def test_no_held_out_text_stands_in_the_corpus_of_the_base(base: Recipe, corpus: list[Document]) -> None:
    assert base.evaluation is not None
    texts = {document.text for entry in base.evaluation.text for document in items("document", entry, 100)}
    assert texts
    assert texts.isdisjoint(document.text for document in corpus)


def test_a_held_out_prompt_in_any_form_of_a_document_would_be_found(evaluation: list[Task]) -> None:
    prompts = prompts_of(evaluation)
    chat = f"<|user|>{prompts[0]}<|end|><|assistant|>\\boxed{{1}}"
    plain = f"Q: {prompts[-1]}\nA: 1"
    longer = f"Q: {prompts[-1]} And then?\nA: 1"
    told = f"Anna asked: {prompts[-1]}"
    other = f"Q: {prompts[-1]}s\nA: 1" if prompts[-1][-1].isalnum() else "Q: another\nA: 1"
    assert list(places([chat, longer, plain, told, other], prompts)) == [
        Place(prompts[0], chat, True),
        Place(prompts[-1], longer, False),
        Place(prompts[-1], plain, True),
        Place(prompts[-1], told, False),
    ]
