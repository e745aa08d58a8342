"""Recorded curves are read: from JSON, from a race that ended, or from runs with evaluations on the way.

JSON is an object per racer, one a line or one a file, of which either form is whole:

    {"racer": "seed-1", "tasks": ["arithmetic/a1", …], "rates": {"40": [0.5, …], "80": […], "400": […]}}
    {"racer": "seed-1", "scores": {"40": 0.31, "80": 0.38, "400": 0.52}}

Steps are those done; `rates` has one number per task, the share of its samples that are right; `scores` one mean.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr.app.race.standing import is_race, rates_at, read_race
from rlvr.errors import DataError
from rlvr.runs.folder import Run, is_run
from rlvr.stages.race.curves import Curve
from rlvr.stages.watch import rates_by_step


def read_curves(path: Path) -> list[Curve]:
    """Gives the curves in a file, in the files of a folder, of a race's racers that ran to the end, or of the runs in a
    folder. Raises DataError where there is none, or one that cannot be read."""
    if is_race(path):
        return _of_race(path)
    files = [path] if path.is_file() else [*sorted(path.glob("*.jsonl")), *sorted(path.glob("*.json"))]
    curves = [curve for file in files for curve in _of_file(file)]
    if not files and path.is_dir():
        runs = [folder for folder in sorted(path.iterdir()) if is_run(folder)]
        curves = [curve for folder in runs if (curve := curve_of_run(folder)).rates]
    if not curves:
        raise DataError(
            f"{path} holds no curves", hint="a .jsonl file, a race that ended, or runs of a recipe with evaluate_every"
        )
    return curves


def curve_of_run(folder: Path) -> Curve:
    """Gives the curve of a run's last stage from its evaluations on the way."""
    stages = Run.open(folder).stages
    seen = rates_by_step(stages[-1]) if stages else []
    outcomes = {
        step: {f"{domain}/{task}": rate for domain, rates in found.items() for task, rate in rates.items()}
        for step, found in seen
    }
    asked = [set(found) for found in outcomes.values()]
    tasks = tuple(sorted(set.intersection(*asked))) if asked else ()
    rates = {step: tuple(found[task] for task in tasks) for step, found in sorted(outcomes.items())}
    return Curve(folder.name, tasks, rates)


def as_json(curve: Curve) -> dict[str, Any]:
    """Gives what `read_curves` reads again, rates being rounded to four digits."""
    rates = {str(step): [round(rate, 4) for rate in found] for step, found in curve.rates.items()}
    return {"racer": curve.racer, "tasks": list(curve.tasks), "rates": rates}


def _of_race(folder: Path) -> list[Curve]:
    """Only of those that ran to the end, which were kept for being high."""
    plan, state, places = read_race(folder)
    curves = []
    for name in state.running(plan):
        steps = [step for step, found in zip(plan.rungs, state.decisions, strict=False) if name in found]
        found = {step: rates_at({name: places[name]}, step, state.domains)[name] for step in (*steps, plan.steps)}
        if len({len(rates) for rates in found.values()}) == 1:
            tasks = tuple(str(place) for place in range(len(found[plan.steps])))
            curves.append(Curve(name, tasks, {step: tuple(map(float, rates)) for step, rates in found.items()}))
    return curves


def _of_file(path: Path) -> list[Curve]:
    """One object in all, or one a line."""
    try:
        text = path.read_text(encoding="utf-8")
        lines = [text] if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
        return [_curve(json.loads(line)) for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="--curves FILE or FOLDER") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} holds what is no curve: {type(error).__name__} {error}",
            hint='{"racer": "seed-1", "scores": {"40": 0.31, "400": 0.52}}',
        ) from error


def _curve(stored: Mapping[str, Any]) -> Curve:
    if "scores" in stored:
        stored = {"tasks": (), **stored, "rates": {step: [score] for step, score in stored["scores"].items()}}
    tasks = tuple(map(str, stored["tasks"]))
    found = {int(step): tuple(map(float, rates)) for step, rates in stored["rates"].items()}
    if not found or any(len(rates) != max(1, len(tasks)) for rates in found.values()):
        raise ValueError(f"{stored['racer']} needs a rate for each of its tasks at every step")
    if not all(0 <= rate <= 1 for rates in found.values() for rate in rates):
        raise ValueError(f"{stored['racer']} has a rate outside 0 to 1")
    return Curve(str(stored["racer"]), tasks, dict(sorted(found.items())))
