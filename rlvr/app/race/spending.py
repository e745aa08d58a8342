"""What a race has spent, as its folder says: in training, in measuring and in cooking the winner."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rlvr.app.race.standing import measured_at, metrics_of, stage_folder
from rlvr.app.race.state import RacePlan, State
from rlvr.config.reading import from_json
from rlvr.runs.folder import ROLLOUTS, Run, is_run
from rlvr.runs.rollouts import num_tokens
from rlvr.stages.evaluate import RESULT
from rlvr.stages.race.budget import Prices
from rlvr.stages.returns import COST


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
    """Gives what was spent in a unit; of a racer in `limits` only so many steps count, and what was measured before."""
    training, steps, limits = 0.0, 0, limits or {}
    for name, place in places.items():
        lines = metrics_of(place)[: limits.get(name)]
        training += cost_of(lines, unit, place)
        steps += len(lines)
    return Spent(
        training=training,
        measuring=sum(measuring_of(place, unit, limits.get(name)) for name, place in places.items()),
        cooking=sum(_cooking(place, unit) for place in places.values()),
        all_to_the_end=training / steps * plan.steps * len(places) if steps else 0.0,
    )


def prices_of(plan: RacePlan, places: Mapping[str, Path], spent: Spent, *, limits: Mapping[str, int]) -> Prices:
    """Gives what a step and a measurement cost on average so far, once there is one of each; `limits` as above."""
    measured = sum(len(_measurements(place, limits.get(name))) for name, place in places.items())
    return Prices(spent.all_to_the_end / plan.steps / len(places), spent.measuring / measured if measured else 0.0)


def left_of(plan: RacePlan, state: State, places: Mapping[str, Path]) -> tuple[float, Prices]:
    """Gives what is left of the plan's budget, and what racers cost.

    What a racer did after its fault does not count: how much that is depends on when somebody looked.
    """
    assert plan.budget is not None, "asked of a race with a budget"
    limits = state.fault_steps()
    spent = spent_on(plan, places, plan.budget.unit, limits=limits)
    return plan.budget.amount - spent.total, prices_of(plan, places, spent, limits=limits)


def is_paid(plan: RacePlan, state: State, places: Mapping[str, Path], back: Collection[str]) -> bool:
    """Whether the budget brings these paused racers to where all that run go next, with those, and one to the end."""
    if plan.budget is None:
        return True
    step = (*plan.rungs, plan.steps)[len(state.decisions[: len(plan.rungs)])]
    left, prices = left_of(plan, state, places)
    ahead = plan.steps - step
    num_steps, num_measurements = ahead, 2 if ahead else 0
    for place in {name: places[name] for name in (*state.running(plan), *back)}.values():
        num_steps += max(0, step - len(metrics_of(place)))
        num_measurements += measured_at(place, step) is None
        num_measurements += not ahead and measured_at(place, step, fresh=True) is None
    return num_steps * prices.step + num_measurements * prices.measuring <= left + 1e-9


def _measurements(place: Path, limit: int | None = None) -> list[Path]:
    """Those of a racer; with a `limit` those at steps before it."""
    stage = stage_folder(place)
    found = [*stage.glob("rung-*"), *stage.glob("fresh-*")]
    done = [folder for folder in found if (folder / RESULT).is_file()]
    return [folder for folder in done if limit is None or int(folder.name.rpartition("-")[2]) < limit]


def measuring_of(place: Path, unit: str, limit: int | None) -> float:
    """Gives what measuring a racer cost; with a `limit` at steps before it."""
    return 0.0 if unit == "steps" else sum(_measurement(folder, unit) for folder in _measurements(place, limit))


@cache
def _measurement(folder: Path, unit: str) -> float:
    """Of one that is done, so it does not change."""
    if unit == "tokens":
        return float(num_tokens(folder / ROLLOUTS))
    return _seconds(Run(folder).metrics(), unit)


def _cooking(place: Path, unit: str) -> float:
    stages = [folder for folder in place.glob("2-*") if is_run(folder)]
    return sum(cost_of(Run(folder).metrics(), unit, place) for folder in stages)


def cost_of(lines: Sequence[Mapping[str, float]], unit: str, place: Path) -> float:
    """Gives what these steps of a racer cost."""
    if unit == "steps":
        return float(len(lines))
    if unit != "tokens":
        return _seconds(lines, unit)
    group_size = _group_size(place)
    written = (line["rollout/completion_tokens_mean"] * line["rollout/prompts_drawn"] * group_size for line in lines)
    return float(sum(map(round, written)))


def _seconds(lines: Sequence[Mapping[str, float]], unit: str) -> float:
    name = COST["GPU" if unit == "gpu-s" else "CPU"]
    return sum(line.get(name, 0.0) for line in lines)


@cache
def _group_size(place: Path) -> int:
    return int(getattr(from_json(Run(place).config()).recipe.stage[0], "group_size", 0))
