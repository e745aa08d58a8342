"""Where a name becomes an object: models, engines, verifiers, data and stages of a recipe."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from rlvr.app.preflight import shaping_function
from rlvr.app.trust import weights_of, with_named_verifiers
from rlvr.config.data import DataConfig, EvaluateConfig, EvaluationDataConfig
from rlvr.config.optimizer import OptimizerConfig
from rlvr.config.rlvr import REINFORCED, ShapingConfig
from rlvr.config.schema import Recipe
from rlvr.data import sources
from rlvr.data.sources import Kind
from rlvr.data.split import check_no_overlap, problem_hash, problem_of
from rlvr.engines.base import MAX_SLOTS, Engine
from rlvr.engines.native.engine import NativeEngine
from rlvr.errors import DataError
from rlvr.models.heads import create_value_model, load_value_model
from rlvr.models.optim import Optimizer
from rlvr.models.policy import check_attention, load_policy, load_reference, pick_device
from rlvr.runs.folder import Run
from rlvr.runs.report import SEEN
from rlvr.stages.dpo import dpo
from rlvr.stages.evaluate import evaluate
from rlvr.stages.iterate import iterate
from rlvr.stages.parts import Checkpoint, Parts, encoder
from rlvr.stages.pretrain import pretrain
from rlvr.stages.reward_model import reward_model
from rlvr.stages.rlvr import rlvr
from rlvr.stages.sft import sft
from rlvr.training.reward_scores import RewardScores
from rlvr.training.rollout import Scores, Shape
from rlvr.types import Task
from rlvr.verifiers import code
from rlvr.verifiers.pool import configure_shared
from rlvr.verifiers.scorer import Scorer, make_scorer

log = logging.getLogger(__name__)

Stage = Callable[[Parts, Any, Run], Checkpoint]

STAGES: dict[str, Stage] = {
    "pretrain": pretrain,
    "sft": sft,
    "dpo": dpo,
    "reward_model": reward_model,
    "rlvr": rlvr,
    "iterate": iterate,
    "evaluate": evaluate,
}
ENGINES: dict[str, Callable[..., Engine]] = {"native": NativeEngine}


@dataclass(slots=True)
class House:
    """What the stages of one process share: the device, the scorer, and what is held out, once it is loaded."""

    recipe: Recipe
    device: torch.device
    scorer: Scorer
    reward_models: dict[str, Path] = field(default_factory=dict)
    """The checkpoint of each reward_model stage that is done, by the stage's name."""
    _held_out: tuple[list[Task], frozenset[str]] | None = None
    _measured_on: dict[tuple[Kind, str], list[Any]] = field(default_factory=dict)

    def load_held_out(self, kind: Kind, data: Sequence[DataConfig]) -> list[Any]:
        """Gives the items that checkpoints are measured on; they are loaded once for all stages."""
        return _joined(kind, [self._measured(kind, entry) for entry in data])

    def _measured(self, kind: Kind, entry: DataConfig) -> list[Any]:
        key = kind, entry.model_dump_json()
        if key not in self._measured_on:
            self._measured_on[key] = with_named_verifiers(self.recipe, _load_entry(kind, entry))
        return self._measured_on[key]

    def held_out(self) -> tuple[list[Task], frozenset[str]]:
        """Gives every task that some evaluation of the recipe holds out, and the hashes of its problems and texts."""
        if self._held_out is None:
            stages = [stage for stage in self.recipe.stage if isinstance(stage, EvaluateConfig)]
            configs = [*stages, *([self.recipe.evaluation] if self.recipe.evaluation else [])]
            tasks = [t for c in configs for t in self.load_held_out("task", [d for d in c.data if not d.seen])]
            texts = [t for c in configs for t in self.load_held_out("document", c.text)]
            hashes = {problem_hash(problem_of(t.messages)) for t in tasks} | {problem_hash(t.text) for t in texts}
            self._held_out = tasks, frozenset(hashes)
        return self._held_out


def open_house(recipe: Recipe) -> House:
    """Sets the threads of torch, picks the device and makes the scorer."""
    transformers_logging.disable_progress_bar()
    configure_shared(recipe.pool_workers)
    code.configure(**recipe.sandbox.model_dump())
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    return House(recipe, pick_device(recipe.model.device), make_scorer(recipe.judge))


def make_parts(house: House, *, start: str | Path, parent: str | Path | None, stage: Any) -> Parts:
    """Gives the parts of one stage: the policy from `start`, the reference from `parent` when it is asked for.

    `start` is the stage's own last checkpoint when it is resumed and trains a policy, else `parent`.
    """
    recipe = house.recipe
    policy = load_policy(start, device=house.device)
    check_attention(policy.model, packed=getattr(stage, "batching", "") == "packed")
    if recipe.model.gradient_checkpointing:
        policy.model.activation_checkpointing_enable()
    evaluation = recipe.evaluation
    return Parts(
        origin=Path(start),
        policy=policy.model,
        tokenizer=policy.tokenizer,
        make_engine=partial(make_engine, policy.model, policy.tokenizer, _completions_at_once(stage)),
        make_optimizer=make_optimizer,
        make_reference=lambda: None if parent is None else load_reference(parent, device=house.device),
        make_critic=partial(make_critic, house, stage, parent or start, policy.tokenizer),
        load=partial(load_for_training, house),
        load_held_out=house.load_held_out,
        held_out=lambda: house.held_out()[0],
        scores=house.scorer,
        rewards=_rewards(house, stage, policy.tokenizer),
        shaping=make_shaping(getattr(stage, "shaping", ())),
        weights=weights_of(recipe),
        evaluation=evaluation,
        announce=lambda steps, first: None,
        seed=recipe.seed,
        dtype=recipe.model.dtype,
    )


def make_critic(house: House, stage: Any, start: str | Path, tokenizer: Any, path: str) -> Any:
    """Gives a network with a value for each token: a stage's or one that lies at `path`, or a new one on `start`."""
    if path:
        model = load_value_model(house.reward_models.get(path, path), tokenizer=tokenizer, device=house.device)
    else:
        model = create_value_model(start, head="zero", seed=house.recipe.seed, device=house.device)
    check_attention(model, packed=stage.batching == "packed")
    if house.recipe.model.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return model


def _rewards(house: House, stage: Any, tokenizer: Any) -> Scores:
    """The verifiers alone, or with them the reward model that the stage names: one of the recipe's, or a path."""
    if not isinstance(stage, REINFORCED) or not stage.scorer.reward_model:
        return house.scorer
    named = stage.scorer.reward_model
    model = load_value_model(house.reward_models.get(named, named), tokenizer=tokenizer, device=house.device)
    check_attention(model, packed=False)
    model.requires_grad_(False)
    return RewardScores(
        house.scorer,
        model,
        encoder(tokenizer, stage.prompt),
        microbatch_tokens=stage.microbatch_tokens,
        dtype=house.recipe.model.dtype,
    )


def _completions_at_once(stage: Any) -> int:
    return int(getattr(stage, "prompts_per_step", MAX_SLOTS) * getattr(stage, "group_size", 1))


def make_engine(model: Any, tokenizer: Any, completions: int, max_length: int) -> Engine:
    """Gives an engine for that many completions at once (MAX_SLOTS at most) of up to `max_length` tokens."""
    return ENGINES["native"](model, tokenizer, num_slots=min(MAX_SLOTS, completions), max_length=max_length)


def make_optimizer(model: Any, config: OptimizerConfig, updates: int) -> Optimizer:
    """Gives the optimizer of a stage that makes that many updates."""
    return Optimizer(model, updates=updates, **config.model_dump())


def make_shaping(steps: Sequence[ShapingConfig]) -> list[Shape]:
    """Gives the shaping functions, each with its options. Raises RecipeError for an unknown name or option."""
    return [shaping_function(step) for step in steps]


def load_items(kind: Kind, data: Sequence[DataConfig]) -> list[Any]:
    """Gives the items of all sources in order; unusable rows are counted and the first is named in a warning.

    The domain of evaluation tasks that were trained on gets the end SEEN.
    Raises DataError when a source gives nothing, or when two items share an id.
    """
    return _joined(kind, [_load_entry(kind, entry) for entry in data])


def _load_entry(kind: Kind, entry: DataConfig) -> list[Any]:
    loaded = sources.load(
        kind, entry.source, entry.split, path=entry.path or None, limit=entry.limit or None, **entry.options
    )
    if loaded.skipped.count:
        log.warning("%s: %d bad rows left out; first: %s", entry.source, loaded.skipped.count, loaded.skipped.first)
    if "quarantine" in entry.options and not loaded.skipped.count:
        log.warning("%s: the quarantine %s names none of its tasks", entry.source, entry.options["quarantine"])
    items: list[Any] = list(loaded.items)
    seen = isinstance(entry, EvaluationDataConfig) and entry.seen
    return [replace(item, domain=item.domain + SEEN) for item in items] if seen else items


def _joined(kind: Kind, parts: Sequence[Sequence[Any]]) -> list[Any]:
    items = [item for part in parts for item in part]
    ids: set[str] = set()
    for item in items:
        if item.id in ids:
            raise DataError(
                f"two {kind}s have the id {item.id!r}", hint="give each row its own id, or leave the id field out"
            )
        ids.add(item.id)
    return items


def load_for_training(house: House, kind: Kind, data: Sequence[DataConfig]) -> list[Any]:
    """Gives training items without those whose prompt is a held-out task's.

    Of documents, those go whose prompt or text, taken whole, is a held-out problem or text; one that merely contains
    a held-out problem is not found.
    """
    items = with_named_verifiers(house.recipe, load_items(kind, data))
    shared = held_out_among(house, kind, items)
    if shared:
        log.warning("%d of %d %ss left out: they are held out for evaluation", len(shared), len(items), kind)
    if len(shared) == len(items):
        raise DataError(
            f"every {kind} to train on is held out for evaluation", hint="choose another split, or mark it seen = true"
        )
    return [item for item in items if item.id not in shared]


def held_out_among(house: House, kind: Kind, items: Sequence[Any]) -> set[str]:
    """Gives the ids of the items that are held out for evaluation, as `load_for_training` tells them."""
    tasks, hashes = house.held_out()
    if kind == "document":
        return {item.id for item in items if not hashes.isdisjoint(map(problem_hash, (item.prompt, item.text)))}
    return set(check_no_overlap(items, tasks))
