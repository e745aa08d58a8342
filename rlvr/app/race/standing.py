"""How a race stands, as its folder says: what was asked and decided, what each racer trained and was measured at.

RACE/  race.json (what was asked)  shared/ (the stages before)  racers/NAME/ (a run each)  decisions.json  result.json
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from rlvr.app.race.racer import measured, place_name
from rlvr.app.race.state import RacePlan, State, plan_from, state_from
from rlvr.config.reading import from_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import RunError
from rlvr.runs.folder import METRICS, Run
from rlvr.stages.evaluate import Measurement
from rlvr.stages.race.curves import in_race_order
from rlvr.stages.race.policy import TaskRates

PLAN, DECISIONS = "race.json", "decisions.json"


def is_race(folder: Path) -> bool:
    """Whether a race lies there."""
    return (folder / PLAN).is_file()


def read_race(folder: Path) -> tuple[RacePlan, State, dict[str, Path]]:
    """Gives what was asked, how the race stands, and where each racer's run lies."""
    race = Run(folder)
    plan = plan_from(race.read_json(PLAN)["plan"])
    state = state_from(race.read_json(DECISIONS)) if (folder / DECISIONS).is_file() else State()
    return plan, state, {racer.name: folder / "racers" / racer.name for racer in plan.racers}


@cache
def stage_folder(place: Path) -> Path:
    """The folder of a racer's stage. Asked at every poll, and the same for as long as the run is there."""
    stage = raced_stage(place)
    return place / stage.folder(1)


def raced_stage(place: Path) -> RlvrConfig:
    """The settings of a racer's stage."""
    stage = from_json(Run(place).config()).recipe.stage[0]
    assert isinstance(stage, RlvrConfig), "a racer's first stage is of kind rlvr"
    return stage


def metrics_of(place: Path) -> Sequence[Mapping[str, float]]:
    """Gives the metrics of a racer's steps so far. Asked several times at every poll, so the file is read again only
    where it has changed."""
    stage = stage_folder(place)
    try:
        found = (stage / METRICS).stat()
    except FileNotFoundError:
        return ()
    return _lines_of(stage, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=128)
def _lines_of(stage: Path, size: int, changed_ns: int) -> Sequence[Mapping[str, float]]:
    return tuple(Run(stage).metrics())


def measured_at(place: Path, step: int, *, fresh: bool = False) -> Measurement | None:
    """Gives what was measured of a racer after so many steps; None where nothing was."""
    return measured(stage_folder(place) / place_name(step, fresh=fresh))


def rates_at(places: Mapping[str, Path], step: int, domains: Sequence[str], *, fresh: bool = False) -> TaskRates:
    """Gives the racers' rates on the tasks of these domains that all have one for, in one order, that of a hash."""
    found = {}
    for name, place in places.items():
        made = measured_at(place, step, fresh=fresh)
        assert made is not None, f"{name} was measured at step {step}"
        found[name] = {f"{d}/{task}": rate for d in domains for task, rate in made.sampled.get(d, {}).items()}
    tasks = set.intersection(*(set(rates) for rates in found.values()))
    if not tasks:
        raise RunError(f"no task of {', '.join(domains)} was asked of all racers", hint="more tasks in [evaluation]")
    order = in_race_order(tasks)
    return {name: np.array([rates[task] for task in order]) for name, rates in found.items()}


def winner_of(plan: RacePlan, state: State, places: Mapping[str, Path]) -> str:
    """The one of those that ran to the end with the highest rate there; of equals the first in the race. Those that
    the gate rejected cannot win."""
    rates = rates_at({name: places[name] for name in state.running(plan)}, plan.steps, state.domains)
    return max((name for name in rates if name not in state.rejected), key=lambda name: float(rates[name].mean()))
