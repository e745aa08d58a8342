"""The winner of a race: the best of those that ran to the end and pass the recipe's gate; it goes on for a while."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr.app.gating import gate_of
from rlvr.app.pipeline import resume
from rlvr.app.race.running import Course, bring, steps_to_cook
from rlvr.app.race.standing import winner_of
from rlvr.config.gate import GateConfig
from rlvr.config.reading import Resolved, continued, from_json, resolved_json
from rlvr.errors import EngineError, TrainingError
from rlvr.runs.folder import CONFIG, Run
from rlvr.runs.lock import locked
from rlvr.runs.report import StageReport, read_report
from rlvr.stages.race.executor import Job


def crown(course: Course, racers: Mapping[str, Resolved]) -> None:
    """Finds the winner, which is measured in full and reported, and takes it further.

    The gate of the raced stage, which had none while it raced, judges it against the checkpoint that all began with;
    the next best takes the place of one that fails. Raises TrainingError where none passes.
    """
    while True:
        _refuse_nobody(course)
        winner = winner_of(course.plan, course.state, course.places)
        recipe = racers[winner].recipe
        gate, place = gate_of(recipe, recipe.stage[-1]), course.places[winner]
        course.say(
            f"best: {winner}, {course.executor.checkpoint(winner)}; half of the tasks in the report of its own run are "
            "those that chose it, so quote the race's figures"
        )
        report = _judged(place, gate, number=1)
        if report.went_on:
            break
        course.state.rejected[winner] = "; ".join(report.gate.failures if report.gate else ())
        course.store()
    steps = steps_to_cook(course, winner)
    if steps and _cook(course, winner, steps):
        if gate is not None:
            _judged(place, gate, number=2)
        bring(course, {winner: Job(winner, course.plan.steps + steps, fresh=True)})


def _refuse_nobody(course: Course) -> None:
    """Raises where no racer is left that may win."""
    state, left = course.state, course.left()
    if all(name in state.rejected for name in left):
        why = "; ".join(f"{name}: {state.rejected[name]}" for name in left)
        back = f"rlvr resume {course.race.path} --take-back {state.best_paused()} lets a paused one run; "
        raise TrainingError(
            f"no racer passes the gate: {why}", hint=f"{back if state.paused() else ''}train with other settings"
        )


def _judged(place: Path, gate: GateConfig | None, *, number: int) -> StageReport:
    """Has a racer's run measured and reported, its stage of that number judged by the gate; gives that one's report.

    A racer that fails is no reason to stop: another may pass. The winner's further steps need not gain again.
    """
    run = Run(place)
    if gate is not None:
        known = from_json(run.config())
        changes: dict[str, Any] = {"on_failure": "reject"} if gate.on_failure == "stop" else {}
        changes |= {"min_gain": -1.0} if number > 1 else {}
        _write(run, _with_gate(known, gate.model_copy(update=changes), number=number))
    resume(place)
    return read_report(run)[number]


def _cook(course: Course, winner: str, steps: int) -> bool:
    """Takes the winner so many steps further, as a stage that continues the race's and is judged after its end.

    Says whether they were made: where they break, the race ends with what the winner had before them.
    """
    place = course.places[winner]
    run = Run(place)
    known = from_json(run.config())
    if len(known.recipe.stage) == 1:
        course.say(f"{winner} goes on for {steps} steps")
        _write(run, _with_gate(continued(known, steps), None, number=2))
    try:
        resume(place)
    except (TrainingError, EngineError) as error:
        course.say(f"{winner}'s further steps broke: {error.message}")
        _write(run, _with_stages(from_json(run.config()), known.recipe.stage[:1]))
        course.state.cooking[winner], course.state.broken[winner] = 0, error.message
        course.store()
        return False
    return True


def _with_gate(known: Resolved, gate: GateConfig | None, *, number: int) -> Resolved:
    stages = list(known.recipe.stage)
    stages[number - 1] = stages[number - 1].model_copy(update={"gate": gate})
    return _with_stages(known, stages)


def _with_stages(known: Resolved, stages: Sequence[Any]) -> Resolved:
    recipe = known.recipe.model_copy(update={"stage": tuple(stages)})
    return Resolved(recipe, known.origins, known.source, known.left_out)


def _write(run: Run, resolved: Resolved) -> None:
    with locked(run.path):
        run.write_json(CONFIG, resolved_json(resolved))
