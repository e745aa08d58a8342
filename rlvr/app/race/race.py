"""The race: the stages before the last are run once, then every racer goes from rung to rung, or is paused.

RACE/  race.json (what was asked)  shared/ (the stages before)  racers/NAME/ (a run each)  decisions.json  result.json

Everything is decided from what lies on the disk, so that a race that was killed goes on as if it had not been.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rlvr.app.chain import DONE
from rlvr.app.pipeline import resume, start
from rlvr.app.race.local import LocalExecutor, log_of
from rlvr.app.race.racer import measured, place_name
from rlvr.app.race.state import Fault, RacePlan, Racer, State, plan_from, state_from
from rlvr.config.reading import Resolved, from_json, resolved_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import RecipeError, RunError
from rlvr.runs.folder import PROVENANCE, Run, is_run
from rlvr.runs.lock import locked
from rlvr.runs.provenance import collect
from rlvr.runs.report import REPORT, read_report
from rlvr.stages.evaluate import Measurement
from rlvr.stages.race.executor import Ended, Executor, Job
from rlvr.stages.race.policy import TaskRates, decide, first_fault

PLAN, DECISIONS = "race.json", "decisions.json"
SOLVED = "rollout/solved_rate/"
"""What begins the metric of each domain that is trained."""
POLL_SECONDS = 0.5
LINE_SECONDS = 15.0
"""So often a line says how far the racers are."""
TRIES = 3
"""How often a job whose process failed is started in all."""


Say = Callable[[str], None]


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
    if folder.exists() and any(entry.name != PROVENANCE for entry in folder.iterdir()):
        goes_on = f"rlvr resume {folder} goes on with a race; or give another name=" if is_race(folder) else "name="
        raise RunError(f"{folder} is not empty", hint=goes_on)
    folder.mkdir(parents=True, exist_ok=True)
    race = Run(folder)
    race.write_json(PROVENANCE, _provenance())
    everyone = {name: resolved_json(one) for name, one in racers.items()}
    race.write_json(PLAN, {"plan": asdict(plan), "recipe": resolved_json(resolved), "racers": everyone})


def is_race(folder: Path) -> bool:
    """Whether a race lies there."""
    return (folder / PLAN).is_file()


def read_race(folder: Path) -> tuple[RacePlan, State, dict[str, Path]]:
    """Gives what was asked, how the race stands, and where each racer's run lies."""
    race = Run(folder)
    plan = plan_from(race.read_json(PLAN)["plan"])
    state = state_from(race.read_json(DECISIONS)) if (folder / DECISIONS).is_file() else State()
    return plan, state, {racer.name: folder / "racers" / racer.name for racer in plan.racers}


def run_race(folder: Path, say: Say) -> None:
    """Runs what is left of the race in that folder, an absolute path."""
    race = Run(folder)
    content = race.read_json(PLAN)
    os.chdir(str(race.read_json(PROVENANCE)["folder"]))
    plan, state, places = read_race(folder)
    with locked(folder):
        begin, models = _shared(folder, from_json(content["recipe"]))
        for number, racer in enumerate(plan.racers):
            resolved = from_json(content["racers"][racer.name])
            _make_racer(places[racer.name], racer, resolved, begin, models, is_first=number == 0)
        executor = LocalExecutor(places, at_once=plan.at_once, num_gpus=plan.num_gpus)
        try:
            _rungs(race, plan, state, places, executor, say)
            ended = state.running(plan)
            _bring(
                race, plan, state, places, executor, {name: Job(name, plan.steps, fresh=True) for name in ended}, say
            )
            winner = winner_of(plan, state, places)
            say(f"winner: {winner}, {executor.checkpoint(winner)}")
            resume(places[winner])
            if plan.cook:
                _cook(places[winner], plan, say)
                job = Job(winner, plan.steps + plan.cook, fresh=True)
                _bring(race, plan, state, places, executor, {winner: job}, say)
        finally:
            for name in places:
                executor.kill(name)


def _provenance() -> dict[str, Any]:
    return collect(data_hashes={}, verifier_versions={}) | {"folder": str(Path.cwd())}


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
    stages = {report.name: place / f"{number}-{report.name}" for number, report in enumerate(reports, start=1)}
    return Path(reports[-1].checkpoint), {name: _checkpoint_of(stage) for name, stage in stages.items()}


def _checkpoint_of(stage: Path) -> str:
    path = Path(str(Run(stage).read_json(DONE)["checkpoint"]))
    return str(path if path.is_absolute() else stage / path)


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
    changes: dict[str, Any] = {
        "scorer": last.scorer.model_copy(update={"reward_model": models.get(named, named)}),
        "critic": last.critic.model_copy(update={"path": models.get(last.critic.path, last.critic.path)}),
    }
    if not is_first:
        changes["conditions"] = last.conditions.model_copy(update={"tasks": 0})
    alone = {
        "name": racer.name,
        "runs": str(place.parent),
        "seed": racer.seed,
        "stage": (last.model_copy(update=changes),),
        "model": resolved.recipe.model.model_copy(update={"path": str(begin), "new": None}),
    }
    Run.create(place, config=resolved_json(_with(resolved, alone)), provenance=_provenance())


def _with(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """Gives the recipe with these changes; where its values came from is known no more."""
    return Resolved(resolved.recipe.model_copy(update=dict(changes)), {}, resolved.source, resolved.left_out)


@cache
def stage_folder(place: Path) -> Path:
    """The folder of a racer's stage. Asked at every poll, and the same for as long as the run is there."""
    stage = from_json(Run(place).config()).recipe.stage[0]
    return place / f"1-{stage.name or stage.kind}"


def metrics_of(place: Path) -> Sequence[Mapping[str, float]]:
    """Gives the metrics of a racer's steps so far."""
    stage = stage_folder(place)
    return Run(stage).metrics() if is_run(stage) else []


def measured_at(place: Path, step: int, *, fresh: bool = False) -> Measurement | None:
    """Gives what was measured of a racer after so many steps; None where nothing was."""
    return measured(stage_folder(place) / place_name(step, fresh=fresh))


def rates_at(places: Mapping[str, Path], step: int, domains: Sequence[str], *, fresh: bool = False) -> TaskRates:
    """Gives the racers' rates on the tasks of these domains that all have one for, in one order, that of a hash."""
    found = {}
    for name, place in places.items():
        made = measured_at(place, step, fresh=fresh)
        assert made is not None, f"{name} was measured at step {step}"
        found[name] = {(d, task): rate for d in domains for task, rate in made.sampled.get(d, {}).items()}
    tasks = set.intersection(*(set(rates) for rates in found.values()))
    if not tasks:
        raise RunError(f"no task of {', '.join(domains)} was asked of all racers", hint="more tasks in [evaluation]")
    order = sorted(tasks, key=lambda task: hashlib.blake2b("/".join(task).encode()).digest())
    return {name: np.array([rates[task] for task in order]) for name, rates in found.items()}


def winner_of(plan: RacePlan, state: State, places: Mapping[str, Path]) -> str:
    """The one of those that ran to the end with the highest rate there; of equals the first in the race."""
    rates = rates_at({name: places[name] for name in state.running(plan)}, plan.steps, state.domains)
    return max(rates, key=lambda name: float(rates[name].mean()))


def _rungs(race: Run, plan: RacePlan, state: State, places: Mapping[str, Path], executor: Executor, say: Say) -> None:
    """Takes all that run from rung to rung, and decides at each."""
    for number, step in enumerate((*plan.rungs, plan.steps)):
        if number < len(state.decisions):
            continue
        _bring(race, plan, state, places, executor, {name: Job(name, step) for name in state.running(plan)}, say)
        running = {name: places[name] for name in state.running(plan)}
        if not running:
            raise RunError("no racer is left: " + "; ".join(f"{n}: {f.why}" for n, f in state.faults.items()))
        state.domains = state.domains or _trained(running, step)
        if number < len(plan.rungs):
            rates = rates_at(running, step, state.domains)
            found = decide(plan.policy, number, rates, num_racers=len(plan.racers), foresight=plan.foresight)
            state.decisions.append(found)
            say(f"rung {number + 1} of {len(plan.rungs)}, step {step}, {len(next(iter(rates.values())))} tasks:")
            for name, decision in found.items():
                say(f"  {name} {'goes on' if decision.goes_on else 'pauses'}: {decision.reason}")
        _store(race, state)


def _trained(places: Mapping[str, Path], step: int) -> tuple[str, ...]:
    """Gives the domains that are trained and measured; all that are measured where none is trained."""
    keys = {key for place in places.values() for line in metrics_of(place)[:step] for key in line}
    trained = {key.removeprefix(SOLVED) for key in keys if key.startswith(SOLVED)}
    known = {domain for place in places.values() if (made := measured_at(place, step)) for domain in made.sampled}
    return tuple(sorted(trained & known or known))


def _bring(
    race: Run,
    plan: RacePlan,
    state: State,
    places: Mapping[str, Path],
    executor: Executor,
    jobs: Mapping[str, Job],
    say: Say,
) -> None:
    """Has the jobs done; a racer with a fault is killed, a job whose process fails is started again.

    Raises RunError for one that fails again and again, such as on a full disk: then the race can be taken up later.
    """
    missing = {name: job for name, job in jobs.items() if not _is_done(places[name], job)}
    tries, sound = dict.fromkeys(missing, 1), dict.fromkeys(jobs, 0)
    for job in missing.values():
        executor.submit(job)
    began = spoken = time.monotonic()
    first = {name: len(metrics_of(places[name])) for name in missing}
    while missing:
        for ended in executor.report():
            _take(ended, missing, tries, state, places, executor)
        _find_faults(missing, sound, state, places, executor)
        for name in sorted(missing.keys() & state.faults.keys()):
            _out(name, state, say)
            del missing[name]
        if missing and time.monotonic() - spoken > LINE_SECONDS:
            spoken = time.monotonic()
            say(_progress(missing, places, first, spoken - began))
        time.sleep(POLL_SECONDS if missing else 0)
    # What was too quick to be seen on the way is seen here, so that a race does not depend on when it looked.
    known = set(state.faults)
    _find_faults(jobs, sound, state, places, executor)
    for name in sorted(state.faults.keys() - known):
        _out(name, state, say)
    if state.faults:
        _store(race, state)


def _is_done(place: Path, job: Job) -> bool:
    return measured_at(place, job.until, fresh=job.fresh) is not None


def _take(
    ended: Ended,
    missing: dict[str, Job],
    tries: dict[str, int],
    state: State,
    places: Mapping[str, Path],
    executor: Executor,
) -> None:
    """Takes note of a job that ended."""
    name = ended.job.racer
    if not ended.problem and _is_done(places[name], ended.job):
        del missing[name]
    elif ended.is_final:
        state.faults[name] = Fault(len(metrics_of(places[name])), ended.problem)
    elif tries[name] < TRIES:
        tries[name] += 1
        executor.submit(ended.job)
    else:
        raise RunError(
            f"{name} failed {TRIES} times: {ended.problem or 'it ended without a measurement'}",
            hint=f"its words stand in {log_of(places[name])}; rlvr resume goes on with the race",
        )


def _find_faults(
    jobs: Mapping[str, Job], sound: dict[str, int], state: State, places: Mapping[str, Path], executor: Executor
) -> None:
    """Kills whoever has a fault; `sound` says of how many steps of each it is known that they have none."""
    for name, job in jobs.items():
        if name in state.faults:
            continue
        lines = metrics_of(places[name])[: job.until]
        steps, why = first_fault(lines, known=sound[name])
        sound[name] = len(lines)
        if why:
            executor.kill(name)
            state.faults[name] = Fault(steps, why)


def _out(name: str, state: State, say: Say) -> None:
    say(f"  {name} is out: {state.faults[name].why}")


def _progress(missing: Mapping[str, Job], places: Mapping[str, Path], first: Mapping[str, int], seconds: float) -> str:
    at = {name: len(metrics_of(places[name])) for name in missing}
    made = sum(at[name] - first[name] for name in missing)
    left = sum(max(0, missing[name].until - at[name]) for name in missing)
    where = f"{len(missing)} on their way to step {max(job.until for job in missing.values())}"
    rate = made / seconds
    rest = f", {left / rate / 60:.0f} min to go" if rate > 0 else ""
    return f"  {where}, at {min(at.values())} to {max(at.values())}; {rate:.2f} steps/s{rest}"


def _cook(place: Path, plan: RacePlan, say: Say) -> None:
    """Takes the winner so many steps further, as a stage that continues the race's."""
    if len(from_json(Run(place).config()).recipe.stage) == 1:
        say(f"{place.name} goes on for {plan.cook} steps")
        resume(place, more_steps=plan.cook)
    else:
        resume(place)


def _store(race: Run, state: State) -> None:
    race.write_json(DECISIONS, asdict(state))
