"""`rlvr probe`: a few tasks of each domain sampled and one step's learning timed, before compute is spent."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import torch

from rlvr.app.calibrating import Quarantined
from rlvr.app.importing import import_from
from rlvr.app.memory import machine_bytes
from rlvr.app.plan import make_plan
from rlvr.app.probe.advice import Finding, Place, findings_of, memory_finding
from rlvr.app.probe.start import Start, start_of
from rlvr.app.sandboxing import fitted
from rlvr.app.trust import with_named_verifiers
from rlvr.app.verifying import progress_bar
from rlvr.app.wiring import House, held_out_among, load_items, make_parts, open_house
from rlvr.config.data import DataConfig
from rlvr.config.reading import Resolved
from rlvr.config.rlvr import REINFORCED, ConditionsConfig, IterateConfig, RlvrConfig, ScorerConfig
from rlvr.data.overlap import COPY_RATE
from rlvr.errors import RecipeError
from rlvr.models.policy import context_length
from rlvr.runs.folder import peak_bytes
from rlvr.stages.conditions import MIN_SAMPLES, contamination_of, shared_rates
from rlvr.stages.iterate import once_of
from rlvr.stages.parts import usable_tasks
from rlvr.stages.trial import Trial, try_stage
from rlvr.types import Task

DEFAULTS = ConditionsConfig.model_validate({})


@dataclass(frozen=True, slots=True)
class StageProbe:
    """One stage before it runs.

    `key` is what its overrides begin with, `steps` those of all its rounds. The `start` is what was sampled;
    `can_require` says whether the stage has conditions to require, which iterate has not. `room_tokens` is what the
    context leaves beside the longest prompt. `equal` counts by domain the tasks that are held out themselves, and so
    left out of training. `memory` is the plan's, in bytes; `free_bytes` was free before, and `peak_bytes` is the most
    that the probe itself has held.
    """

    stage: str
    key: str
    start: Start
    can_require: bool
    required: bool
    steps: int
    prompts_per_step: int
    max_completion_tokens: int
    room_tokens: int
    trial: Trial
    equal: Mapping[str, int]
    memory: Mapping[str, int]
    free_bytes: int
    peak_bytes: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether something fails that the recipe requires; memory is no condition of the stage."""
        return self.required and any(finding.stops for finding in self.findings)


def probe(
    resolved: Resolved, *, stage: str = "", tasks: int | None = None
) -> tuple[list[StageProbe], list[Quarantined]]:
    """Gives a probe of each stage that learns from rewards, or of the one that `stage` names, and all near copies.

    `tasks` of each domain are sampled, as many as the recipe's conditions say where it is None. Nothing is written.
    Raises RecipeError where there is no such stage, ModelError where a new model was not trained yet.
    """
    resolved = fitted(resolved)
    chosen = _chosen(resolved, stage)
    plan = make_plan(resolved)
    import_from(resolved.source.parent)
    starts = {number: start_of(resolved.in_force, number) for number in chosen}
    house = open_house(resolved.in_force)
    found: list[StageProbe] = []
    copies: dict[str, Quarantined] = {}
    for number in chosen:
        config, memory = resolved.in_force.stage[number - 1], plan.stages[number - 1].memory
        assert isinstance(config, RlvrConfig | IterateConfig), "only such stages are chosen"
        key = _key(resolved, number)
        one, domains, near = _probed(house, config, starts[number], tasks, memory)
        one = replace(one, stage=plan.stages[number - 1].name, key=key)
        found.append(replace(one, findings=_findings(one, config, domains, resolved.recipe.stage[number - 1].data)))
        copies |= {copy.id: copy for copy in near}
    house.scorer.close()
    return found, list(copies.values())


def _chosen(resolved: Resolved, wanted: str) -> list[int]:
    names = {
        number: (stage.folder(number), stage.label)
        for number, stage in enumerate(resolved.in_force.stage, start=1)
        if isinstance(stage, REINFORCED)
    }
    chosen = [number for number, known in names.items() if wanted in ("", *known)]
    if not chosen:
        known = ", ".join(full for full, _ in names.values())
        what = f'no stage "{wanted}" that learns from rewards' if wanted else "no stage that learns from rewards"
        raise RecipeError(
            f"{resolved.source} has {what}",
            hint=f"--stage takes one of {known}" if known else "rlvr probe is for stages of kind rlvr and iterate",
        )
    return chosen


def _key(resolved: Resolved, number: int) -> str:
    """Gives what the overrides of a stage begin with: its name or kind where no other stage has it, else its place."""
    stages = resolved.recipe.stage
    name = stages[number - 1].label
    told = [name in (other.name, other.kind) for other in stages]
    return name if sum(told) == 1 else f"stage.{number}"


def _findings(
    one: StageProbe,
    config: RlvrConfig | IterateConfig,
    domains: Sequence[AbstractSet[str]],
    written: Sequence[DataConfig],
) -> tuple[Finding, ...]:
    """Gives what is wrong. `domains` are those of each source in force, `written` all sources of the recipe's file:
    what is left out on this machine has a place there too, and overrides count it."""
    place_of = [written.index(entry) + 1 for entry in config.data]
    places = {
        name: Place(
            key=one.key,
            data={at: e for at, e, known in zip(place_of, config.data, domains, strict=True) if name in known},
            max_completion_tokens=one.max_completion_tokens,
            room_tokens=one.room_tokens,
        )
        for name in {found.domain for found in one.trial.conditions}
    }
    found = findings_of(one.trial.conditions, _conditions(config), places)
    return (*found, *memory_finding(one.memory, one.free_bytes, one.key))


def _conditions(config: RlvrConfig | IterateConfig) -> ConditionsConfig:
    return config.conditions if isinstance(config, RlvrConfig) else DEFAULTS


def _probed(
    house: House, config: RlvrConfig | IterateConfig, start: Start, tasks: int | None, memory: Mapping[str, int]
) -> tuple[StageProbe, list[set[str]], list[Quarantined]]:
    """Gives a probe without name and findings, the domains of each source, and the near copies among its tasks."""
    once = _as_probed(config, tasks)
    gpu = house.device.type == "cuda"
    free_bytes = torch.cuda.mem_get_info(house.device)[0] if gpu else machine_bytes()[0]
    parts = make_parts(house, start=start.checkpoint, parent=start.checkpoint, stage=once)
    entries = [with_named_verifiers(house.recipe, load_items("task", [entry])) for entry in config.data]
    every = [task for loaded in entries for task in loaded]
    equal = held_out_among(house, "task", every)
    intake = usable_tasks(
        parts, [t for t in every if t.id not in equal], config.max_completion_tokens, prompt=config.prompt
    )
    held_out, _ = house.held_out()
    shares = _shares(entries, [entry.weight for entry in config.data])
    total = sum(min(once.conditions.tasks, sum(t.domain == name for t in intake.tasks)) for name in shares)
    with progress_bar() as progress:
        bar = progress.add_task(f"{total} tasks × {max(MIN_SAMPLES, config.group_size)} samples", total=total)
        trial = try_stage(
            parts,
            once,
            intake,
            shares=shares,
            contamination=contamination_of(intake.tasks, held_out),
            tick=lambda: progress.advance(bar),
        )
    found = StageProbe(
        stage="",
        key="",
        start=start,
        can_require=isinstance(config, RlvrConfig),
        required=once.conditions.required,
        steps=config.steps * (config.rounds if isinstance(config, IterateConfig) else 1),
        prompts_per_step=config.prompts_per_step,
        max_completion_tokens=config.max_completion_tokens,
        room_tokens=context_length(parts.policy) - intake.longest_prompt,
        trial=trial,
        equal={name: sum(t.domain == name and t.id in equal for t in every) for name in shares},
        memory=memory,
        free_bytes=free_bytes,
        peak_bytes=peak_bytes(),
        findings=(),
    )
    return found, [{task.domain for task in loaded} for loaded in entries], _near(intake.tasks, held_out)


def _as_probed(config: RlvrConfig | IterateConfig, tasks: int | None) -> RlvrConfig:
    """Gives the stage as it is tried: scored by the verifiers alone, its critic of the policy's own size."""
    said = _conditions(config)
    once = once_of(config) if isinstance(config, IterateConfig) else config
    return once.model_copy(
        update={
            "conditions": said.model_copy(update={"tasks": tasks or said.tasks or DEFAULTS.tasks}),
            "scorer": ScorerConfig.model_validate({}),
            "critic": config.critic.model_copy(update={"path": ""}),
        }
    )


def _shares(entries: Sequence[Sequence[Task]], weights: Sequence[float]) -> dict[str, float]:
    """Gives how often a task of each domain is drawn: by the weight of each source, and within it alike."""
    shares: dict[str, float] = {}
    for tasks, weight in zip(entries, weights, strict=True):
        for task in tasks:
            shares[task.domain] = shares.get(task.domain, 0.0) + weight / sum(weights) / len(tasks)
    return dict(sorted(shares.items()))


def _near(tasks: Sequence[Task], held_out: Sequence[Task]) -> list[Quarantined]:
    return [
        Quarantined(task.id, f"{rate:.0%} of its n-grams of words stand in held-out problems")
        for task, rate in zip(tasks, shared_rates(tasks, held_out), strict=True)
        if rate >= COPY_RATE
    ]
