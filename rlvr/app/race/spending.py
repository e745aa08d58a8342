"""What a race has spent, as its folder says: in training, in measuring and in cooking the winner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rlvr.app.race.standing import metrics_of, stage_folder
from rlvr.app.race.state import RacePlan
from rlvr.config.reading import from_json
from rlvr.runs.folder import ROLLOUTS, Run, is_run
from rlvr.runs.rollouts import num_tokens
from rlvr.stages.evaluate import RESULT
from rlvr.stages.race.budget import Prices


@dataclass(frozen=True, slots=True)
class Spent:
    """In one unit: what `training` cost, `measuring` at rungs and at the end, `cooking` the winner, and what training
    all racers to the end would have, at the price of the steps that were made."""

    training: float
    measuring: float
    cooking: float
    all_to_the_end: float

    @property
    def total(self) -> float:
        """All that was spent."""
        return self.training + self.measuring + self.cooking

    @property
    def saved(self) -> float:
        """What the race took less than training all to the end; below 0 where it took more."""
        return self.all_to_the_end - self.total


def spent_on(
    plan: RacePlan, places: Mapping[str, Path], unit: str, *, limits: Mapping[str, int] | None = None
) -> Spent:
    """Gives what was spent in a unit; of a racer in `limits` only so many steps count."""
    training, steps = 0.0, 0
    for name, place in places.items():
        lines = metrics_of(place)[: (limits or {}).get(name)]
        training += _cost(lines, unit, place)
        steps += len(lines)
    return Spent(
        training=training,
        measuring=sum(_measuring(place, unit) for place in places.values()),
        cooking=sum(_cooking(place, unit) for place in places.values()),
        all_to_the_end=training / steps * plan.steps * len(places) if steps else 0.0,
    )


def prices_of(plan: RacePlan, places: Mapping[str, Path], unit: str) -> Prices:
    """Gives what a step and a measurement cost on average so far, once there is one of each."""
    found = spent_on(plan, places, unit)
    measured = sum(len(_measurements(place)) for place in places.values())
    return Prices(found.all_to_the_end / plan.steps / len(places), found.measuring / measured if measured else 0.0)


def _measurements(place: Path) -> list[Path]:
    stage = stage_folder(place)
    found = [*stage.glob("rung-*"), *stage.glob("fresh-*")]
    return [folder for folder in found if (folder / RESULT).is_file()]


def _measuring(place: Path, unit: str) -> float:
    return 0.0 if unit == "steps" else sum(_measurement(folder, unit) for folder in _measurements(place))


@cache
def _measurement(folder: Path, unit: str) -> float:
    """Of one that is done, so it does not change."""
    if unit == "tokens":
        return float(num_tokens(folder / ROLLOUTS))
    return sum(line.get("time/cpu_seconds", 0.0) for line in Run(folder).metrics())


def _cooking(place: Path, unit: str) -> float:
    stages = [folder for folder in place.glob("2-*") if is_run(folder)]
    return sum(_cost(Run(folder).metrics(), unit, place) for folder in stages)


def _cost(lines: Sequence[Mapping[str, float]], unit: str, place: Path) -> float:
    if unit == "steps":
        return float(len(lines))
    if unit == "cpu-s":
        return sum(line.get("time/cpu_seconds", 0.0) for line in lines)
    group_size = _group_size(place)
    written = (line["rollout/completion_tokens_mean"] * line["rollout/prompts_drawn"] * group_size for line in lines)
    return float(sum(map(round, written)))


@cache
def _group_size(place: Path) -> int:
    return int(getattr(from_json(Run(place).config()).recipe.stage[0], "group_size", 0))
