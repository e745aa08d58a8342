"""The laptop recipes hold out what they measure: no prompt of [evaluation] stands in anything that they train on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.reading import read_recipe
from rlvr.config.schema import DataConfig, Recipe
from rlvr.data.sources import Kind, load
from rlvr.data.split import check_no_overlap
from rlvr.types import Document, Task

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TASKS = 256
"""As many held-out tasks of each domain as `make evidence` measures."""
ITEMS = 400
"""So many items of each source that a stage trains on; a longer list begins with the shorter one."""
DOCUMENTS = 4000

pytestmark = pytest.mark.usefixtures("few_shipped_exercises")


@pytest.fixture(scope="module")
def laptop() -> Recipe:
    return read_recipe(RECIPES / "laptop.toml").recipe


@pytest.fixture(scope="module")
def base() -> Recipe:
    return read_recipe(RECIPES / "laptop-base.toml").recipe


@pytest.fixture(scope="module")
def evaluation(laptop: Recipe, few_shipped_exercises: None) -> list[Task]:
    assert laptop.evaluation is not None
    return [task for data in laptop.evaluation.data if not data.seen for task in items("task", data, TASKS)]


def items(kind: Kind, data: DataConfig, limit: int) -> Sequence[Any]:
    """What the recipe's own options give, cut to `limit`."""
    return load(kind, data.source, data.split, path=data.path or None, limit=limit, **data.options).items


def kind_of(stage: Any) -> Kind:
    if stage.kind == "rlvr" or (stage.kind == "dpo" and stage.pairs == "policy"):
        return "task"
    kinds: dict[str, Kind] = {"sft": "demonstration", "dpo": "preference"}
    return kinds[stage.kind]


def standing_in(documents: Sequence[Document], prompts: Sequence[str]) -> list[str]:
    """The documents in which one of the prompts stands: a line break or the end of the turn follows a whole one."""
    ended = [prompt + end for prompt in prompts for end in ("\n", "<|end|>")]
    # Text by text: one long haystack makes the search for needles with a long common beginning slow.
    texts = [document.prompt + document.text for document in documents]
    return [text for text in texts if any(needle in text for needle in ended)]


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
    assert len(set(prompts_of(evaluation))) == TASKS * len(domains)


def test_no_stage_of_the_recipe_trains_on_a_held_out_prompt(laptop: Recipe, evaluation: list[Task]) -> None:
    trained = [item for stage in laptop.stage for data in stage.data for item in items(kind_of(stage), data, ITEMS)]
    assert len(trained) == ITEMS * sum(len(stage.data) for stage in laptop.stage)
    assert check_no_overlap(trained, evaluation) == ()
    # A task of the evaluation among them would be found.
    assert check_no_overlap([*trained, evaluation[-1]], evaluation) == (evaluation[-1].id,)


def test_no_held_out_prompt_or_text_stands_in_the_corpus_of_the_base(base: Recipe, evaluation: list[Task]) -> None:
    assert base.model.new is not None
    assert base.evaluation is not None
    for data in (*base.stage[0].data, *base.model.new.tokenizer.data):
        documents = items("document", data, DOCUMENTS)
        assert len(documents) == DOCUMENTS
        assert standing_in(documents, prompts_of(evaluation)) == []
        texts = {document.text for entry in base.evaluation.text for document in items("document", entry, 100)}
        assert texts.isdisjoint(document.text for document in documents)


def test_a_held_out_prompt_in_any_form_of_a_document_would_be_found(evaluation: list[Task]) -> None:
    prompts = prompts_of(evaluation)
    chat = Document("1", "\\boxed{1}", "x", prompt=f"<|user|>{prompts[0]}<|end|><|assistant|>")
    plain = Document("2", " 1", "x", prompt=f"Q: {prompts[-1]}\nA:")
    longer = Document("3", " 1", "x", prompt=f"Q: {prompts[-1]} And then?\nA:")
    assert standing_in([chat, longer, plain], prompts) == [chat.prompt + chat.text, plain.prompt + plain.text]
