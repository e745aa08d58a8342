"""The race: the stages before the last are run once, then every racer goes from rung to rung, or is paused.

Everything is decided from what lies on the disk, so that a race that was killed goes on as if it had not been.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvr.app.ended import made_by
from rlvr.app.gating import gate_of, stop_where_asked
from rlvr.app.importing import go_home
from rlvr.app.pipeline import gpu_name, resume, start
from rlvr.app.race.crown import crown
from rlvr.app.race.local import LocalExecutor, at_once_on, usable_gpus
from rlvr.app.race.running import Course, Say, bring, run_rungs
from rlvr.app.race.standing import PLAN, is_race, read_race
from rlvr.app.race.state import RacePlan, Racer
from rlvr.config.reading import Resolved, from_json, resolved_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import RecipeError, RunError
from rlvr.runs.folder import PROVENANCE, Run, is_run, is_vacant
from rlvr.runs.lock import locked
from rlvr.runs.provenance import collect
from rlvr.runs.report import REPORT, read_report
from rlvr.stages.race.executor import Job


def make_race(folder: Path, resolved: Resolved, racers: Mapping[str, Resolved], plan: RacePlan) -> None:
    """Makes the folder of a race; nothing is run yet. `resolved` and `racers` are fitted to this machine.

    Raises RunError where something lies there, RecipeError for a recipe that cannot be raced.
    """
    recipe = resolved.in_force
    if recipe.evaluation is None or not recipe.evaluation.data:
        raise RecipeError("a race is decided by held-out tasks, and the recipe has none", hint="[evaluation] data = …")
    if len(recipe.stage) == 1 and recipe.model.new is not None:
        raise RecipeError("all racers start from the same weights: a new model needs a stage before", hint="pretrain")
    if recipe.replace or recipe.export:
        key = "replace" if recipe.replace else "export"
        raise RecipeError(f"{key} is for a run, not for a race", hint="remove the folder yourself, or leave it out")
    if not is_vacant(folder):
        goes_on = f"rlvr resume {folder} goes on with a race; or give another name=" if is_race(folder) else "name="
        raise RunError(f"{folder} is not empty", hint=goes_on)
    folder.mkdir(parents=True, exist_ok=True)
    race = Run(folder)
    race.write_json(PROVENANCE, _provenance())
    everyone = {name: resolved_json(one) for name, one in racers.items()}
    race.write_json(PLAN, {"plan": asdict(plan), "recipe": resolved_json(resolved), "racers": everyone})


def run_race(folder: Path, say: Say) -> None:
    """Runs what is left of the race in that folder, an absolute path."""
    race = Run(folder)
    go_home(race)
    with locked(folder):  # What stands there is read inside: another command may just have taken a racer back.
        content = race.read_json(PLAN)
        plan, state, places = read_race(folder)
        begin, models = _shared(folder, from_json(content["recipe"]))
        racers = {name: from_json(stored) for name, stored in content["racers"].items()}
        for number, racer in enumerate(plan.racers):
            _make_racer(places[racer.name], racer, racers[racer.name], begin, models, is_first=number == 0)
        gpus = usable_gpus() if plan.num_gpus else ()  # Others than when it was asked for, after a restart.
        at_once = at_once_on(len(gpus), asked=plan.at_once, counted=plan.num_gpus)
        executor = LocalExecutor(places, at_once=at_once, gpus=gpus)
        course = Course(race, plan, state, places, executor, say)
        try:
            run_rungs(course)
            bring(course, {name: Job(name, plan.steps, fresh=True) for name in state.running(plan)})
            crown(course, racers)
        finally:
            for name in reversed(places):  # Those that wait first, or each would begin in the place of one that ends.
                executor.kill(name)


def _provenance() -> dict[str, Any]:
    return collect(data_hashes={}, verifier_versions={}) | {"gpu": gpu_name(), "folder": str(Path.cwd())}


def _shared(folder: Path, resolved: Resolved) -> tuple[Path, dict[str, str]]:
    """Runs the stages before the race once; gives their checkpoint, and that of each by its name."""
    recipe = resolved.recipe
    before = recipe.stage[:-1]
    if not before:
        return Path(recipe.model.path), {}
    place = folder / "shared"
    if not is_run(place):
        start(_with(resolved, {"name": "shared", "runs": str(folder), "stage": before}))
    elif not (place / REPORT).is_file() or len(read_report(Run(place))) < 1 + len(before):
        resume(place)
    reports = read_report(Run(place))[1:]
    for stage, report in zip(before, reports, strict=True):
        stop_where_asked(gate_of(recipe, stage), report)  # A race that goes on sees what stopped it.
    stages = {report.name: place / f"{number}-{report.name}" for number, report in enumerate(reports, start=1)}
    last = reports[-1]
    return Path(last.gate.goes_on if last.gate else last.checkpoint), {
        name: str(made_by(stage)) for name, stage in stages.items()
    }


def _make_racer(
    place: Path, racer: Racer, resolved: Resolved, begin: Path, models: Mapping[str, str], *, is_first: bool
) -> None:
    """Makes the racer's run, once: the last stage alone, from the shared checkpoint. The first one has its conditions
    measured, which are the same for all."""
    if is_run(place):
        return
    last = resolved.recipe.stage[-1]
    assert isinstance(last, RlvrConfig), "checked when the race was asked for"
    named = last.scorer.reward_model
    # Rungs compare racers that all came as far; what stops a single stage has no place there. A gate judges the winner.
    changes: dict[str, Any] = {
        "gate": None,
        "patience": 0,
        "kl_groups": max(1, last.kl_groups),  # A KL that blows up is a fault, so it is measured.
        "scorer": last.scorer.model_copy(update={"reward_model": models.get(named, named)}),
        "critic": last.critic.model_copy(update={"path": models.get(last.critic.path, last.critic.path)}),
    }
    if not is_first:
        changes["conditions"] = last.conditions.model_copy(update={"tasks": 0, "required": False})
    alone = {
        "name": racer.name,
        "runs": str(place.parent),
        "seed": racer.seed,
        "gate": None,
        "stage": (last.model_copy(update=changes),),
        "model": resolved.recipe.model.model_copy(update={"path": str(begin), "new": None}),
    }
    Run.create(place, config=resolved_json(_with(resolved, alone)), provenance=_provenance())


def _with(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """Gives the recipe with these changes; where its values came from is known no more."""
    return Resolved(resolved.recipe.model_copy(update=dict(changes)), {}, resolved.source, resolved.left_out)
