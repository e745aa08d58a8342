"""What a recipe trains on, as texts, to be held against a suite's problems."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rlvr.app.importing import import_from
from rlvr.app.plan import KINDS
from rlvr.app.wiring import House, load_for_training
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import Resolved
from rlvr.config.schema import Recipe
from rlvr.data.sources import Kind
from rlvr.data.split import without_answer_line
from rlvr.types import Demonstration, Document, Preference, Task
from rlvr.verifiers.scorer import Scorer


def training_texts(resolved: Resolved) -> Iterator[tuple[str, ...]]:
    """Yields the texts of every item that the recipe's stages train on, without those that it holds out itself.

    What the model had read before the first stage is not among them.
    """
    import_from(Path(resolved.source).parent)
    recipe = resolved.in_force
    house = House(recipe, torch.device("cpu"), Scorer())
    for kind, entry in _trained_on(recipe):
        yield from (texts_of(item) for item in load_for_training(house, kind, [entry]))


def _trained_on(recipe: Recipe) -> Iterator[tuple[Kind, Any]]:
    seen = set()
    for stage in recipe.stage:
        if isinstance(stage, EvaluateConfig):
            continue
        kind: Any = "task" if getattr(stage, "pairs", "") == "policy" else KINDS.get(stage.kind, "task")
        for entry in stage.data:
            if (key := (kind, entry.model_dump_json())) not in seen:
                seen.add(key)
                yield kind, entry


def texts_of(item: Task | Demonstration | Preference | Document) -> tuple[str, ...]:
    """Gives everything that a model reads or writes of an item, a turn each; of a task also its reference where that is
    a text. A last line that asks for a `\\boxed{}` answer is not among it."""
    if isinstance(item, Document):
        return item.prompt, item.text
    parts = [without_answer_line(message["content"]) for message in item.messages]
    if isinstance(item, Preference):
        parts += [item.chosen, item.rejected]
    if isinstance(item, Task) and isinstance(item.reference, str):
        parts.append(item.reference)
    return tuple(parts)
