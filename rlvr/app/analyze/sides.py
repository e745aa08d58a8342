"""A stage of a run beside its parent, the checkpoint that it began from: both asked the same tasks with the same keys.

Random draws are keyed by a task's place in the whole [evaluation]: fewer tasks get the same completions as all of them.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.app.analyze.kept import Kept, Spent
from rlvr.app.chain import BASE
from rlvr.app.ended import DONE, gate_report, handed_on, has_ended, made_by
from rlvr.app.importing import at_home
from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.app.wiring import House, make_parts, open_house
from rlvr.config.data import EvaluateConfig
from rlvr.config.rlvr import REINFORCED
from rlvr.config.schema import Recipe
from rlvr.config.supervised import RewardModelConfig
from rlvr.data.stream import Draw
from rlvr.errors import RunError, UsageError
from rlvr.models.policy import context_length
from rlvr.runs.atomic import strict_json
from rlvr.runs.folder import CHECKPOINTS, Run, is_run
from rlvr.runs.publish import damages, latest_whole, mark_of
from rlvr.runs.report import measured_in
from rlvr.stages.evaluate import RESULT, Measurement, Way, read_measurement
from rlvr.stages.parts import Parts, sample_groups, usable_tasks
from rlvr.training.rollout import refuse_unscored
from rlvr.types import Group, IntArray, Task

log = logging.getLogger(__name__)

PORTION = 1024
"""Completions that are sampled before what they show is kept."""
MAX_UNSCORED_OF_PORTION = 0.5
"""Above this share of completions without an outcome something is broken; below, their tasks are left out."""

Reduce = Callable[[Sequence[Group]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A stage of a run: its place in the recipe, from 1, its folder's name and its settings."""

    number: int
    name: str
    config: Any


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: "parent" or "child", its checkpoint, and a mark that changes whenever that checkpoint does."""

    name: str
    checkpoint: str
    mark: str


@dataclass(frozen=True, slots=True)
class Sides:
    """An open stage with its parent. `parent_stage` is the folder of the stage that made the parent; `done` is what the
    stage's own done.json says."""

    run: Run
    stage: Run
    chosen: Chosen
    parent: Side
    child: Side
    parent_stage: str
    evaluation: EvaluateConfig
    house: House
    done: Mapping[str, Any]

    @property
    def both(self) -> tuple[Side, Side]:
        """Parent and child, in this order."""
        return self.parent, self.child


@dataclass(frozen=True, slots=True)
class Asked:
    """One side ready to be asked: its parts, the tasks in order, and their encoded prompts by id."""

    side: Side
    parts: Parts
    draws: Sequence[Draw]
    prompts: Mapping[str, IntArray]
    evaluation: EvaluateConfig

    def key(self, way: Way, *, max_tokens: int, what: str) -> str:
        """Gives what findings of this way are kept under: it changes with all that they depend on."""
        asked = self.evaluation.model_dump(mode="json", include={"data", "seed", "max_completion_tokens"})
        computes = [self.parts.dtype, self.parts.policy.device.type]
        how = [self.side.mark, asked, way.prompt, way.temperature, way.num_samples, max_tokens, what, computes]
        return hashlib.sha256(strict_json(how).encode()).hexdigest()[:24]

    @property
    def longest_prompt(self) -> int:
        """The longest prompt, in tokens."""
        return max(len(self.prompts[draw.task.id]) for draw in self.draws)

    @property
    def context(self) -> int:
        """Tokens that the network can read at most."""
        return context_length(self.parts.policy)


def stages_of(recipe: Recipe) -> list[Chosen]:
    """Gives the stages of a recipe with the names of their folders."""
    return [Chosen(number, config.folder(number), config) for number, config in enumerate(recipe.stage, start=1)]


def choose_stage(run: Run, recipe: Recipe, stage: str, *, word: str, among: tuple[type, ...] = REINFORCED) -> Chosen:
    """Gives the last stage of the kinds `among`, or the one that `stage` names, with or without its number.

    Raises RunError, with a hint for `rlvr analyze word`, where there is none.
    """
    known = [entry for entry in stages_of(recipe) if isinstance(entry.config, among)]
    fitting = [entry for entry in known if stage in ("", entry.name, entry.name.partition("-")[2])]
    if not fitting:
        many, one = ("learn", "learns") if among == REINFORCED else ("train a policy", "trains a policy")
        end = " from rewards" if among == REINFORCED else ""
        names = ", ".join(entry.name for entry in known)
        which = f"those that {many}{end} are {names}" if names else f"none {one}{end}"
        what = f"no stage {stage!r}" if stage else "no stage to analyze"
        raise RunError(f"{run.path} has {what}: {which}", hint=f"rlvr analyze {word} RUN --stage NAME")
    return fitting[-1]


def open_sides(path: Path, *, stage: str, word: str) -> Sides:
    """Gives a stage, the last one that learns from rewards unless `stage` names another, and its parent.

    Works in the folder where the run was started, so that its relative paths mean what they meant. A stage that
    continues another shares its parent. Raises RunError where the stage or its parent has not ended, or its checkpoint
    is gone, and UsageError where the recipe has no [evaluation] with tasks.
    """
    run = Run.open(path.absolute())
    resolved = fitted(at_home(run))
    recipe = resolved.in_force
    trains = tuple({type(s) for s in recipe.stage if not isinstance(s, (EvaluateConfig, RewardModelConfig))})
    chosen = choose_stage(run, recipe, stage, word=word, among=trains if stage else REINFORCED)
    if recipe.evaluation is None or not recipe.evaluation.data:
        raise UsageError(
            f"the recipe of {path} has no [evaluation] with tasks, so there is nothing to ask both checkpoints",
            hint="give the recipe an [evaluation] with data, and train again",
        )
    parent_stage, parent = _parent(run, recipe, chosen)
    child = Run.open(run.path / chosen.name)
    made = str(_usable(child.path, made_by))
    house = open_house(recipe)
    if left_out := left_out_line(resolved):
        log.warning("%s", left_out)
    return Sides(
        run=run,
        stage=child,
        chosen=chosen,
        parent=Side("parent", parent, mark_of(parent)),
        child=Side("child", made, mark_of(made)),
        parent_stage=parent_stage,
        evaluation=recipe.evaluation,
        house=house,
        done=child.read_json(DONE),
    )


def ask(sides: Sides, side: Side, *, domains: Sequence[str] = (), limit: int | None = None) -> Asked:
    """Loads a side and gives it with the held-out tasks: of the named domains, at most `limit` of each.

    Raises UsageError for a domain that no task has.
    """
    evaluation = sides.evaluation
    parts = make_parts(sides.house, start=side.checkpoint, parent=None, stage=evaluation)
    tasks = parts.load_held_out("task", evaluation.data)
    known = sorted({task.domain for task in tasks})
    if unknown := [name for name in domains if name not in known]:
        raise UsageError(
            f"no held-out task has the domain {unknown[0]!r}; there are {', '.join(known)}", hint="--domain NAME"
        )
    intake = usable_tasks(parts, tasks, evaluation.max_completion_tokens, prompt=evaluation.prompts[0])
    count: dict[str, int] = {}
    draws = []
    for place, task in enumerate(intake.tasks):
        count[task.domain] = count.get(task.domain, 0) + 1
        if task.domain in (domains or known) and (limit is None or count[task.domain] <= limit):
            draws.append(Draw(place, task))
    if not draws:
        raise UsageError("no held-out task is left to ask", hint="name another --domain")
    return Asked(side, parts, draws, intake.prompts, evaluation)


def sample(
    asked: Asked, way: Way, kept: Kept, *, max_tokens: int, what: str, reduce: Reduce, tick: Callable[[int], None]
) -> Mapping[str, Any]:
    """Gives by task id what `reduce` makes of its group; only tasks that `kept` does not know are sampled.

    `what` names what is kept of a group. `tick` is told after each portion how many completions are done.
    """
    key = asked.key(way, max_tokens=max_tokens, what=what)
    names = {draw.task.id: _name_of(draw.task) for draw in asked.draws}
    missing = [draw for draw in asked.draws if names[draw.task.id] not in kept.tasks(key)]
    tick(way.num_samples * (len(asked.draws) - len(missing)))
    engine = asked.parts.make_engine(asked.longest_prompt + max_tokens) if missing else None
    size = max(1, PORTION // way.num_samples)
    for start in range(0, len(missing), size):
        assert engine is not None, "there is one where something is missing"
        began = time.process_time()
        groups = sample_groups(
            asked.parts,
            engine,
            missing[start : start + size],
            asked.prompts,
            group_size=way.num_samples,
            temperature=way.temperature,
            max_completion_tokens=max_tokens,
            seed=asked.evaluation.seed,
            purpose="evaluate",
        )
        tokens = sum(len(c.token_ids) for group in groups for c in group.completions)
        spent = Spent(time.process_time() - began, tokens)
        refuse_unscored(groups, MAX_UNSCORED_OF_PORTION)
        kept.add(key, {names[id_]: found for id_, found in reduce(groups).items()}, spent)
        tick(way.num_samples * len(groups))
    known = kept.tasks(key)
    return {id_: known[name] for id_, name in names.items() if name in known}


def _name_of(task: Task) -> str:
    """Gives a task's id with a mark that changes where its row does, whose id may stay."""
    row = [task.messages, task.reference, task.threshold, task.check, task.verifier]
    return f"{task.id}#{hashlib.sha256(strict_json(row).encode()).hexdigest()[:12]}"


def training_cpu_seconds(sides: Sides) -> float:
    """Gives the CPU-seconds from the parent to the child: those of the stage, and of the stages that it continues."""
    chain = [sides.chosen]
    before = stages_of(sides.house.recipe)[: sides.chosen.number - 1]
    while getattr(chain[-1].config, "continues", False):
        chain.append(before.pop())
    return sum(float(Run.open(sides.run.path / one.name).read_json(DONE)["cpu_seconds"]) for one in chain)


def reward_model_of(sides: Sides) -> Path | None:
    """Gives the checkpoint of the last reward model that the run has made before the stage; None without one."""
    before = stages_of(sides.house.recipe)[: sides.chosen.number - 1]
    made = [one.name for one in before if isinstance(one.config, RewardModelConfig)]
    return _usable(sides.run.path / made[-1], made_by) if made else None


def _parent(run: Run, recipe: Recipe, chosen: Chosen) -> tuple[str, str]:
    """Gives the folder's name and the checkpoint of the stage before, reward models and evaluations passed over."""
    before = stages_of(recipe)[: chosen.number - 1]
    config = chosen.config
    while getattr(config, "continues", False):
        config = before.pop().config
    for entry in reversed(before):
        if isinstance(entry.config, (EvaluateConfig, RewardModelConfig)):
            continue
        if handed := _usable(run.path / entry.name, handed_on):
            return entry.name, str(handed)
    if recipe.model.new is None:
        return BASE, recipe.model.path
    found = latest_whole(run.path / BASE / CHECKPOINTS)
    if found is None:
        raise RunError(f"{run.path / BASE} holds no checkpoint of the model that the run began with", hint=_AGAIN)
    return BASE, str(found[0])


_AGAIN = "restore it from a copy, or train again"


def parent_measurement(run: Run, recipe: Recipe, chosen: Chosen) -> Measurement | None:
    """Gives what the weights that a stage began with were measured with; None where they were not."""
    place = begun_measured_in(run, recipe, chosen)
    return read_measurement(Run(place)) if place and (place / RESULT).is_file() else None


def begun_measured_in(run: Run, recipe: Recipe, chosen: Chosen) -> Path | None:
    """Gives the folder of that measurement."""
    begun = Chosen(chosen.number, chosen.name, None)  # Also where it continues a stage, it begins where that ended.
    folder = run.path / _parent(run, recipe, begun)[0]
    place = folder / measured_in(gate_report(folder))
    return place if is_run(place) else None


def _usable(stage: Path, found: Callable[[Path], Path | None]) -> Path | None:
    """Gives the checkpoint that is `found` in a stage's folder. Raises RunError where it is damaged or not made."""
    if not has_ended(stage):
        raise RunError(f"{stage} has not ended", hint=f"rlvr resume {stage.parent}")
    path = found(stage)
    if path is not None and path.is_relative_to(stage) and (trouble := damages(path)):
        raise RunError(f"the checkpoint {path} cannot be used: {trouble[0]}", hint=_AGAIN)
    return path
