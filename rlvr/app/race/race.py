"""The race: the stages before the last are run once, then every racer goes from rung to rung, or is paused.

RACE/  race.json (what was asked)  shared/ (the stages before)  racers/NAME/ (a run each)  decisions.json  result.json

Everything is decided from what lies on the disk, so that a race that was killed goes on as if it had not been.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from rlvr.app.pipeline import resume, start
from rlvr.app.race.local import LocalExecutor, log_of, run_to_end
from rlvr.app.race.racer import measured, rung_name
from rlvr.config.reading import Resolved, from_json, resolved_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.config.schema import Recipe
from rlvr.errors import RecipeError, RunError
from rlvr.runs.folder import PROVENANCE, Run, is_run
from rlvr.runs.lock import locked
from rlvr.runs.provenance import collect
from rlvr.runs.report import REPORT, read_report
from rlvr.stages.evaluate import Measurement
from rlvr.stages.race.executor import Executor, Job
from rlvr.stages.race.policy import Decision, Foresight, Policy, Rates, decide, fault

PLAN, DECISIONS = "race.json", "decisions.json"
SOLVED = "rollout/solved_rate/"
"""What begins the metric of each domain that is trained."""
POLL_SECONDS = 0.5
LINE_SECONDS = 15.0
"""So often a line says how far the racers are."""
TRIES = 3
"""How often a racer whose process failed is started again."""


@dataclass(frozen=True, slots=True)
class Racer:
    """One of a race: its name, the seed, and the overrides of the recipe that set it apart from other alternatives."""

    name: str
    seed: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked: the racers in order, the policy with the steps of its rungs, how far rungs tell the end, how many
    run at once, and for how many steps more the winner goes on."""

    racers: tuple[Racer, ...]
    policy: Policy
    rungs: tuple[int, ...]
    steps: int
    foresight: Foresight
    at_once: int
    cook: int


@dataclass(slots=True)
class State:
    """How the race stands: what was decided at each rung, and the faults of those that were killed."""

    decisions: list[dict[str, Decision]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def running(self, plan: Plan) -> list[str]:
        """Who goes on, in the order of the race."""
        stopped = {name for found in self.decisions for name, decision in found.items() if not decision.goes_on}
        return [racer.name for racer in plan.racers if racer.name not in stopped and racer.name not in self.faults]


Say = Callable[[str], None]


def make_race(folder: Path, resolved: Resolved, racers: Mapping[str, Resolved], plan: Plan) -> None:
    """Makes the folder of a race; nothing is run yet.

    Raises RunError where something lies there, RecipeError for a recipe that cannot be raced.
    """
    recipe = resolved.in_force
    *before, last = recipe.stage
    if not isinstance(last, RlvrConfig) or last.continues:
        raise RecipeError(f"the last stage is {last.name or last.kind}; a race is of kind rlvr", hint='kind = "rlvr"')
    if recipe.evaluation is None or not recipe.evaluation.data:
        raise RecipeError("a race is decided by held-out tasks, and the recipe has none", hint="[evaluation] data = …")
    if not before and recipe.model.new is not None:
        raise RecipeError("all racers start from the same weights: a new model needs a stage before", hint="pretrain")
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty", hint=f"rlvr resume {folder} goes on with a race; or another name=")
    folder.mkdir(parents=True, exist_ok=True)
    provenance = collect(data_hashes={}, verifier_versions={}) | {"folder": str(Path.cwd())}
    everyone = {name: resolved_json(one) for name, one in racers.items()}
    content = {"plan": asdict(plan), "recipe": resolved_json(resolved), "racers": everyone}
    race = Run(folder)
    race.write_json(PROVENANCE, provenance)
    race.write_json(PLAN, content)


def is_race(folder: Path) -> bool:
    """Whether a race lies there."""
    return (folder / PLAN).is_file()


def run_race(folder: Path, say: Say) -> Path:
    """Runs what is left of a race and gives its folder."""
    folder = folder.absolute()
    race = Run(folder)
    content = race.read_json(PLAN)
    os.chdir(str(race.read_json(PROVENANCE)["folder"]))
    plan = TypeAdapter(Plan).validate_python(content["plan"])
    with locked(folder):
        begin, models = _shared(folder, from_json(content["recipe"]))
        places = {}
        for racer in plan.racers:
            places[racer.name] = _racer_run(folder, racer, from_json(content["racers"][racer.name]), begin, models)
        executor = LocalExecutor(places, at_once=plan.at_once)
        try:
            state = _rungs(race, plan, places, executor, say)
        finally:
            executor.close()
        winner = _winner(plan, places, state)
        say(f"winner: {winner}")
        _finish(places[winner], plan.cook, say)
    return folder


def _shared(folder: Path, resolved: Resolved) -> tuple[Path, dict[str, str]]:
    """Runs the stages before the race once; gives their checkpoint, and that of each reward model by its stage."""
    recipe = resolved.recipe
    before = recipe.stage[:-1]
    if not before:
        return Path(recipe.model.path), {}
    place = folder / "shared"
    if is_run(place) and not _all_done(place, len(before)):
        resume(place)
    elif not is_run(place):
        changes = {"name": "shared", "runs": str(folder), "stage": before, "evaluation": None, "export": ""}
        start(_with(resolved, changes))
    reports = read_report(Run(place))[1:]
    models = {report.name: str(place / f"{n}-{report.name}") for n, report in enumerate(reports, start=1)}
    found = {report.name: _checkpoint_of(Path(models[report.name])) for report in reports}
    return Path(reports[-1].checkpoint), found


def _all_done(run: Path, num_stages: int) -> bool:
    return (run / REPORT).is_file() and len(read_report(Run(run))) == 1 + num_stages


def _checkpoint_of(stage: Path) -> str:
    path = Path(str(Run(stage).read_json("done.json")["checkpoint"]))
    return str(path if path.is_absolute() else stage / path)


def _racer_run(folder: Path, racer: Racer, resolved: Resolved, begin: Path, models: Mapping[str, str]) -> Path:
    """Makes the racer's run, once: the last stage alone, from the shared checkpoint."""
    place = folder / "racers" / racer.name
    if is_run(place):
        return place
    last = resolved.recipe.stage[-1]
    assert isinstance(last, RlvrConfig), "checked when the race was made"
    scorer = last.scorer.model_copy(
        update={"reward_model": models.get(last.scorer.reward_model, last.scorer.reward_model)}
    )
    critic = last.critic.model_copy(update={"path": models.get(last.critic.path, last.critic.path)})
    stage = last.model_copy(update={"scorer": scorer, "critic": critic})
    model = resolved.recipe.model.model_copy(update={"path": str(begin), "new": None})
    changes = {
        "name": racer.name,
        "runs": str(folder / "racers"),
        "seed": racer.seed,
        "stage": (stage,),
        "model": model,
        "export": "",
        "replace": False,
    }
    provenance = collect(data_hashes={}, verifier_versions={}) | {"folder": str(Path.cwd())}
    Run.create(place, config=resolved_json(_with(resolved, changes)), provenance=provenance)
    return place


def _with(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    recipe: Recipe = resolved.recipe.model_copy(update=dict(changes))
    return Resolved(recipe, resolved.origins, resolved.source, resolved.left_out)


def stage_folder(place: Path) -> Path:
    """The folder of a racer's stage."""
    recipe = from_json(Run(place).config()).recipe
    return place / f"1-{recipe.stage[0].name or recipe.stage[0].kind}"


def measured_at(place: Path, step: int) -> Measurement | None:
    """Gives what was measured of a racer after so many steps; None where nothing was."""
    return measured(stage_folder(place) / rung_name(step))


def _rungs(race: Run, plan: Plan, places: Mapping[str, Path], executor: Executor, say: Say) -> State:
    """Takes all that run from rung to rung, and decides at each."""
    state = _stored(race)
    for number, step in enumerate((*plan.rungs, plan.steps)):
        _bring(race, plan, state, places, executor, step, say)
        if not state.running(plan):
            raise RunError("no racer is left: " + "; ".join(f"{name}: {why}" for name, why in state.faults.items()))
        if number == len(plan.rungs) or number < len(state.decisions):
            continue
        rates = common_rates({name: places[name] for name in state.running(plan)}, step)
        found = decide(plan.policy, number, rates, num_racers=len(plan.racers), foresight=plan.foresight)
        state.decisions.append(found)
        _store(race, state)
        say(f"rung {number + 1} of {len(plan.rungs)}, step {step}:")
        for name, decision in found.items():
            say(f"  {name} {'goes on' if decision.goes_on else 'pauses'}: {decision.reason}")
    return state


def common_rates(places: Mapping[str, Path], step: int) -> Rates:
    """Gives the racers' rates on the tasks that all have one for, in one order; of trained domains, if any is."""
    found = {name: made.sampled for name, place in places.items() if (made := measured_at(place, step)) is not None}
    known = {domain for sampled in found.values() for domain in sampled}
    lines = [line for place in places.values() for line in metrics_of(place)]
    trained = {key.removeprefix(SOLVED) for line in lines for key in line if key.startswith(SOLVED)} & known or known
    rates = {
        name: {(domain, task): rate for domain in trained for task, rate in sampled.get(domain, {}).items()}
        for name, sampled in found.items()
    }
    tasks = sorted(set.intersection(*(set(of_racer) for of_racer in rates.values())))
    return {name: np.array([of_racer[task] for task in tasks]) for name, of_racer in rates.items()}


def _bring(
    race: Run, plan: Plan, state: State, places: Mapping[str, Path], executor: Executor, step: int, say: Say
) -> None:
    """Brings all that run to the step; one with a fault is killed, one whose process fails is started again."""
    missing = {name for name in state.running(plan) if measured_at(places[name], step) is None}
    tries = dict.fromkeys(missing, 1)
    for name in state.running(plan):
        if name in missing:
            executor.submit(Job(name, step))
    spoken = began = time.monotonic()
    first = {name: len(metrics_of(places[name])) for name in missing}
    while missing:
        for ended in executor.report():
            name = ended.job.racer
            if not ended.problem and measured_at(places[name], step) is not None:
                missing.discard(name)
            elif tries[name] < TRIES:
                tries[name] += 1
                executor.submit(ended.job)
            else:
                state.faults[name] = f"failed {TRIES} times: {ended.problem} ({log_of(places[name])})"
        for name in sorted(missing - set(state.faults)):
            if why := fault(metrics_of(places[name])):
                executor.kill(name)
                state.faults[name] = why
        for name in sorted(missing & set(state.faults)):
            say(f"  {name} is out: {state.faults[name]}")
            missing.discard(name)
            _store(race, state)
        if missing and time.monotonic() - spoken > LINE_SECONDS:
            spoken = time.monotonic()
            say(_progress(missing, places, step, first, spoken - began))
        time.sleep(POLL_SECONDS if missing else 0)


def metrics_of(place: Path) -> Sequence[Mapping[str, float]]:
    """Gives the metrics of a racer's steps so far."""
    stage = stage_folder(place)
    return Run(stage).metrics() if is_run(stage) else []


def _progress(
    missing: set[str], places: Mapping[str, Path], step: int, first: Mapping[str, int], seconds: float
) -> str:
    at = {name: len(metrics_of(places[name])) for name in missing}
    made, left = sum(at[name] - first[name] for name in missing), sum(step - at[name] for name in missing)
    rate = made / seconds
    rest = f", {left / rate / 60:.0f} min to the rung" if rate > 0 else ""
    where = f"{len(missing)} on their way to step {step}, at {min(at.values())} to {max(at.values())}"
    return f"  {where}; {rate:.2f} steps/s{rest}"


def _winner(plan: Plan, places: Mapping[str, Path], state: State) -> str:
    """The one with the highest rate at the end; of equals the first in the race."""
    rates = common_rates({name: places[name] for name in state.running(plan)}, plan.steps)
    return max(rates, key=lambda name: float(rates[name].mean()))


def _finish(place: Path, cook: int, say: Say) -> None:
    """Gives the winner its report and measures it on the tasks that took no part, and again after `cook` more steps."""
    _fresh(place, "fresh")
    resume(place)
    if cook:
        if len(from_json(Run(place).config()).recipe.stage) == 1:
            say(f"{place.name} goes on for {cook} steps")
            resume(place, more_steps=cook)
        else:
            resume(place)
        _fresh(place, "fresh-after-more")


def _fresh(place: Path, name: str) -> None:
    if measured(place / name) is None and not run_to_end(place, name):
        raise RunError(
            f"the winner {place.name} could not be measured", hint=f"its last words stand in {log_of(place)}"
        )


def _stored(race: Run) -> State:
    if not (race.path / DECISIONS).is_file():
        return State()
    return TypeAdapter(State).validate_python(race.read_json(DECISIONS))


def _store(race: Run, state: State) -> None:
    race.write_json(DECISIONS, asdict(state))
