"""What a recipe would do: its stages in numbers, and the memory they take. Printed before every run.

Checks what is cheap to check before anything heavy is loaded: the model's directory, sources, algorithms, shaping,
verifiers and sinks. The run's folder is not touched before.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rlvr.algorithms.algorithm import Algorithm
from rlvr.algorithms.presets import describe, resolve
from rlvr.algorithms.refusals import refuse_lone_completions
from rlvr.app.importing import import_from
from rlvr.app.memory import ModelSize, Work, bytes_text, estimate, size_from_numbers, size_of_directory
from rlvr.app.preflight import check_verifiers, preflight
from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.app.trust import weights_of, with_named_verifiers
from rlvr.config.data import CHAT, DataConfig, EvaluateConfig
from rlvr.config.keys import nearest
from rlvr.config.preference import LOSS_ROWS, describe_loss
from rlvr.config.reading import Resolved
from rlvr.config.rlvr import REINFORCED, CriticConfig, IterateConfig, RlvrConfig
from rlvr.config.schema import ModelConfig, Recipe, VerifierConfig
from rlvr.config.supervised import DpoConfig, PretrainConfig, RewardModelConfig, SftConfig
from rlvr.data import sources
from rlvr.engines.base import MAX_SLOTS
from rlvr.errors import ModelError, RecipeError
from rlvr.verifiers.pool import usable_cores

PROMPT_TOKENS = 256
"""Taken for the longest prompt in the cache's estimate, as prompts are not tokenized yet."""

NOT_LOADED = ("hub", "gym")
"""Sources that are slow to load, or need a download."""

KINDS: Mapping[str, sources.Kind] = {
    "pretrain": "document",
    "sft": "demonstration",
    "dpo": "preference",
    "reward_model": "preference",
}
NOUNS = {"document": "documents", "demonstration": "demonstrations", "preference": "pairs"}


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: its name, what it does in lines, and its memory by part (empty where the model's size is unknown)."""

    name: str
    lines: tuple[str, ...]
    memory: dict[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run before it starts."""

    heading: tuple[str, ...]
    stages: tuple[StagePlan, ...]

    @property
    def peak(self) -> StagePlan:
        """The stage that takes the most memory."""
        return max(self.stages, key=lambda stage: sum(stage.memory.values()))


def make_plan(resolved: Resolved) -> Plan:
    """Gives what would run.

    Raises RecipeError, DataError or ModelError for an unknown algorithm, cell, shaping, verifier or source, a missing
    data file or package, or a directory that is no model or a damaged one.
    """
    resolved = fitted(resolved)
    recipe = resolved.in_force
    import_from(resolved.source.parent)
    size = model_size(recipe.model)
    preflight(recipe)
    _check_domains(resolved.recipe)
    workers = recipe.pool_workers or usable_cores()
    stages = []
    for number, stage in enumerate(recipe.stage, start=1):
        lines, work = _stage(recipe, stage, size)
        memory = {}
        if size is not None:
            memory = estimate(
                size,
                work,
                bfloat16=recipe.model.dtype == "bfloat16",
                gradient_checkpointing=recipe.model.gradient_checkpointing,
                workers=workers,
            )
        stages.append(StagePlan(stage.folder(number), tuple(lines), memory))
    return Plan(tuple(_heading(resolved, size)), tuple(stages))


def print_plan(plan: Plan, stream: TextIO) -> None:
    """Prints a plan as plain text."""
    lines = [*plan.heading, ""]
    for stage in plan.stages:
        first, *rest = stage.lines
        lines.append(f"  {stage.name:<14} {first}")
        lines += [" " * 17 + line for line in rest]
    peak = plan.peak
    if peak.memory:
        parts = ", ".join(f"{name} {bytes_text(value)}" for name, value in peak.memory.items())
        total = bytes_text(sum(peak.memory.values()))
        lines += ["", f"memory: about {total} at most, in {peak.name}: {parts}"]
    else:
        lines += ["", "memory: unknown until the model's configuration is here"]
    print("\n".join(lines), file=stream, flush=True)


def model_size(model: ModelConfig) -> ModelSize | None:
    """Gives the model's numbers without loading it; None for a Hub name or an architecture that is not known here.

    Raises ModelError for a path that is no model directory.
    """
    if model.new is not None:
        numbers = {"vocab_size": model.new.tokenizer.vocabulary_size, **model.new.settings}
        return size_from_numbers(numbers, model.new.architecture)
    path = Path(model.path)
    if (path / "config.json").is_file():
        return size_of_directory(path)
    if path.exists() or model.path.startswith((".", "/", "~")) or model.path.count("/") != 1:
        what = "exists but holds no config.json" if path.exists() else "does not exist"
        raise ModelError(
            f'model.path "{model.path}" {what}; a Hugging Face causal language model was expected',
            hint="model.path=DIRECTORY with config.json, model.safetensors and tokenizer.json",
        )
    return None


def _heading(resolved: Resolved, size: ModelSize | None) -> list[str]:
    recipe = resolved.in_force
    chain = " → ".join(["base", *(stage.label for stage in recipe.stage)])
    numbers = f", {_count(size.parameters)} parameters" if size else ""
    model = f"new {recipe.model.new.architecture}" if recipe.model.new else recipe.model.path
    lines = [
        f"{recipe.name}: {chain}; seed {recipe.seed}, into {Path(recipe.runs) / recipe.name}",
        f"model: {model}{numbers}, {recipe.model.dtype}, device {recipe.model.device}",
    ]
    if left_out := left_out_line(resolved):
        lines.append(left_out)
    changed = [key for key, origin in resolved.origins.items() if origin == "override"]
    if changed:
        lines.append(f"overridden: {', '.join(changed)}")
    if recipe.evaluation:
        lines.append(f"measured on the base and after each stage: {_evaluation(recipe, recipe.evaluation)}")
    lines += [_trust(entry, weight) for entry, weight in zip(recipe.verifier, weights_of(recipe).values(), strict=True)]
    return lines


def _trust(entry: VerifierConfig, weight: float) -> str:
    verifier = entry.name or "each task's own verifier"
    audited = f", audited in {entry.audit}" if entry.audit else ""
    return f"{entry.check} answers: {verifier}, weight {weight:.2f}{audited}"


def _stage(recipe: Recipe, stage: Any, size: ModelSize | None) -> tuple[list[str], Work]:
    context = size.context if size else 2**31
    if isinstance(stage, REINFORCED):
        return _rlvr(recipe, stage, context)
    if isinstance(stage, EvaluateConfig):
        tokens = min(stage.microbatch_tokens, 2**31)
        work = Work(tokens, tokens, "", False, MAX_SLOTS, _width(stage.max_completion_tokens, context))
        return [_evaluation(recipe, stage)], work
    return _supervised(recipe, stage, context)


def _supervised(
    recipe: Recipe, stage: PretrainConfig | SftConfig | DpoConfig | RewardModelConfig, context: int
) -> tuple[list[str], Work]:
    row = LOSS_ROWS[stage.loss] if isinstance(stage, DpoConfig) else None
    sampled = isinstance(stage, DpoConfig | RewardModelConfig) and stage.pairs == "policy"
    count = count_items(recipe, "task" if sampled else KINDS[stage.kind], stage.data)
    noun = NOUNS[KINDS[stage.kind]]
    if row and not row.paired:
        noun = "completions"
        count = count * 2 if count is not None and not sampled else count
    source = f"{_names(stage.data)}"
    epochs = f"{stage.epochs:g} epoch{'' if stage.epochs == 1 else 's'}"
    sequences = stage.sequences_per_update * (2 if noun == "pairs" else 1)
    if sampled:
        assert isinstance(stage, DpoConfig | RewardModelConfig)
        learned = "those told" if noun == "completions" else noun
        amount = f"{_number(count)} tasks × {stage.group_size} completions → {learned}; {epochs} × {learned}"
    elif count is None:
        amount = f"{epochs} × {noun} of {source}"
    else:
        updates = max(1, round(math.ceil(count / stage.sequences_per_update) * stage.epochs))
        amount = f"{epochs} × {count:,} {noun} = {updates:,} updates at most"
    lines = [
        f"{stage.kind}: {amount}, {stage.sequences_per_update} {noun} an update",
        f"at most {sequences * stage.max_length:,} tokens an update, {_optimizer(stage)}, "
        f"checkpoint every {stage.checkpoint_every} updates",
    ]
    if not sampled and count is not None:
        lines[0] += f"  ({source})"
    if isinstance(stage, DpoConfig):
        lines.insert(1, describe_loss(stage.loss, stage.model_dump()))
    tokens = min(stage.microbatch_tokens, sequences * min(stage.max_length, context))
    slots = MAX_SLOTS if sampled else 0
    width = _width(stage.max_completion_tokens, context) if isinstance(stage, DpoConfig | RewardModelConfig) else 0
    if isinstance(stage, RewardModelConfig):
        lines.append(f"pairwise accuracy on {stage.held_out_share:.0%} of the prompts; the policy goes on as it was")
        logit_tokens = tokens if sampled else 0
        return lines, Work(tokens, logit_tokens, stage.optimizer.name, False, slots, width, reward_model=True)
    return lines, Work(tokens, tokens, stage.optimizer.name, bool(row and row.reference), slots, width)


def _rlvr(recipe: Recipe, stage: RlvrConfig | IterateConfig, context: int) -> tuple[list[str], Work]:
    row = resolve(stage.algorithm.preset, **stage.algorithm.cells)
    refuse_lone_completions(row, stage.group_size)
    _refuse_idle_critic(stage, row)
    if stage.max_completion_tokens >= context:
        raise RecipeError(
            f"max_completion_tokens is {stage.max_completion_tokens}, but the model reads {context} tokens, "
            "prompt included",
            hint="lower max_completion_tokens, so that prompts fit as well",
        )
    if stage.kl_groups and row.needs_reference:
        raise RecipeError(
            f"kl_groups is {stage.kl_groups}, but {row.name} measures the KL on every trained token",
            hint="set kl_groups=0",
        )
    count = count_items(recipe, "task", stage.data)
    completions = stage.prompts_per_step * stage.group_size
    updates = min(row.updates_per_step, stage.prompts_per_step)  # as the stage does: groups stay whole
    refill = f", up to {row.refill_limit}× as many with refill" if row.refill else ""
    scorer = f", reward from {stage.scorer.reward_model}" if stage.scorer.reward_model else ""
    shaping = f", shaping {', '.join(step.name for step in stage.shaping)}" if stage.shaping else ""
    rounds = f"at most {stage.rounds} rounds of " if isinstance(stage, IterateConfig) else ""
    held_out = f", held-out evaluation every {stage.evaluate_every} steps" if stage.evaluate_every else ""
    lines = [
        f"{stage.kind}: {rounds}{stage.steps:,} steps × {stage.prompts_per_step} prompts × {stage.group_size} "
        f"completions, {stage.steps * updates * row.epochs_per_step:,} updates at most  "
        f"({_names(stage.data)}: {_number(count)} tasks)",
        f"algorithm {describe(row)}{scorer}{shaping}",
        f"at most {stage.steps * completions * stage.max_completion_tokens:,} sampled tokens{refill}, "
        f"temperature {stage.temperature:g}{'' if stage.prompt == CHAT else f', asked as {stage.prompt!r}'}",
        f"{_optimizer(stage)}, checkpoint every {stage.checkpoint_every} steps{held_out}",
    ]
    if row.needs_values:
        shared = "a head on the policy" if stage.critic.shared else "the stage's first weights"
        start = stage.critic.path or shared
        warmup = f", alone for the first {stage.critic.warmup_steps} steps" if stage.critic.warmup_steps else ""
        lines.append(
            f"critic from {start}, {stage.critic.optimizer.name} {stage.critic.optimizer.learning_rate:g}{warmup}"
        )
    lines += _before(stage)
    if updates < row.updates_per_step:
        lines[1] += f"; updates_per_step lowered from {row.updates_per_step} to {updates}, one for each prompt"
    width = _width(stage.max_completion_tokens, context)
    tokens = min(stage.microbatch_tokens, math.ceil(completions / updates) * width)
    slots = min(MAX_SLOTS, completions)
    critic = stage.critic.optimizer.name if row.needs_values and not stage.critic.shared else ""
    reference = row.needs_reference or stage.kl_groups > 0
    scored = bool(stage.scorer.reward_model)
    return lines, Work(tokens, tokens, stage.optimizer.name, reference, slots, width, critic, reward_model=scored)


def _before(stage: RlvrConfig | IterateConfig) -> list[str]:
    """Says what is sampled before the steps."""
    if isinstance(stage, RlvrConfig):
        tasks = stage.conditions.tasks
        return [f"before it, conditions on {tasks} tasks of each domain"] if tasks else []
    drawn = f"{stage.candidates} tasks × {stage.candidate_samples} completions"
    return [f"before each round {drawn}: those solved now and then are kept"] if stage.candidates else []


def _refuse_idle_critic(stage: RlvrConfig | IterateConfig, row: Algorithm) -> None:
    """Raises RecipeError for a critic that nobody asks, or one that leaves the policy no step to learn."""
    if not row.needs_values and stage.critic != CriticConfig.model_validate({}):
        raise RecipeError(
            f"[stage.critic] is set, but {row.name} has no critic",
            hint='algorithm = "ppo", or leave critic out',
        )
    if row.needs_values and stage.critic.warmup_steps >= stage.steps:
        raise RecipeError(
            f"critic.warmup_steps is {stage.critic.warmup_steps} of {stage.steps} steps: the policy never learns",
            hint="fewer warmup_steps, or more steps",
        )


def _check_domains(recipe: Recipe) -> None:
    """Raises RecipeError where an algorithm has cells for a domain that none of its stage's sources has.

    Said of the whole recipe: data that needs a sandbox has its domain where there is none, too.
    """
    for stage in recipe.stage:
        if not isinstance(stage, RlvrConfig | IterateConfig):
            continue
        named = stage.algorithm.cells.get("domains") or {}
        there = domains_of(stage) if named else set()
        if not there:
            continue
        if other := sorted(set(named) - there):
            close = nearest(other[0], there)
            raise RecipeError(
                f"algorithm.domains names {other[0]!r}, of which the stage {stage.label} has no task",
                hint=f"did you mean {close}?" if close else f"its domains are {', '.join(sorted(there))}",
            )


def domains_of(stage: RlvrConfig | IterateConfig) -> set[str]:
    """Gives the domains that a stage trains on; empty where that cannot be told quickly."""
    known = [_domains_of(entry) for entry in stage.data]
    return set() if None in known else set[str]().union(*filter(None, known))


def _domains_of(entry: DataConfig) -> set[str] | None:
    """Gives the domains of a source's tasks; None where that cannot be told quickly."""
    if entry.source.startswith("gym/"):
        return {entry.source.partition("/")[2]}
    if ":" in entry.source or entry.source in NOT_LOADED:
        return None
    limit = 1 if sources.is_endless("task", entry.source) else entry.limit or None
    loaded = sources.load("task", entry.source, entry.split, path=entry.path or None, limit=limit, **entry.options)
    return {task.domain for task in loaded.items}


def count_items(recipe: Recipe, kind: sources.Kind, data: Sequence[DataConfig]) -> int | None:
    """Gives how many items the sources have, at most; None where that cannot be told quickly.

    Raises DataError for an unknown source, a missing file, or a file without a usable row, and UsageError for a task's
    verifier that cannot be found.
    """
    total = 0
    for entry in data:
        exact = entry.limit and sources.is_endless(kind, entry.source)
        slow = exact or ":" in entry.source or entry.source in NOT_LOADED or entry.source.startswith("gym/")
        if not slow:
            loaded = sources.load(
                kind,
                entry.source,
                entry.split,
                path=entry.path or None,
                limit=entry.limit or None,
                **entry.options,
            )
            total += len(loaded.items)
            if kind == "task":
                judged = with_named_verifiers(recipe, loaded.items)
                check_verifiers({item.verifier: None for item in judged}, recipe)
        elif entry.limit:
            total += entry.limit
        else:
            return None
    return total


def _evaluation(recipe: Recipe, config: EvaluateConfig) -> str:
    count = count_items(recipe, "task", config.data)
    count_items(recipe, "document", config.text)
    text = f"; perplexity of {_names(config.text)}" if config.text else ""
    if not config.data:
        return text.removeprefix("; ")
    others = len(config.prompts) - 1
    more = f", {others} other prompt{'' if others == 1 else 's'}" if others else ""
    more += f", temperature {config.low_temperature:g}" if config.low_temperature else ""
    also = f"; read out too: {more.removeprefix(', ')}" if more else ""
    also += f"; asked as {config.prompts[0]!r}" if config.prompts[0] != CHAT else ""
    return f"{_number(count)} tasks × ({config.samples} samples + greedy) ({_names(config.data)}){also}{text}"


def _width(completion_tokens: int, context: int) -> int:
    return min(completion_tokens + PROMPT_TOKENS, context)


def _names(data: Sequence[DataConfig]) -> str:
    return ", ".join(f"{entry.source}:{entry.split}" for entry in data)


def _number(count: int | None) -> str:
    return "all" if count is None else f"{count:,}"


def _optimizer(stage: Any) -> str:
    config = stage.optimizer
    return f"{config.name} {config.learning_rate:g} {config.schedule}"


def _count(number: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f}{unit}"
    return str(number)
