"""What a race found: who won, by how much, on tasks of the race and on fresh ones, what it cost and what it saved."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rlvr.app.ended import handed_on, has_ended
from rlvr.app.gating import gate_lines
from rlvr.app.race.spending import Spent, cost_of, measuring_of, spent_on
from rlvr.app.race.standing import measured_at, metrics_of, rates_at, read_race, winner_of
from rlvr.app.race.state import RacePlan, State
from rlvr.runs.folder import Run
from rlvr.runs.report import StageReport, read_report
from rlvr.stages.race.budget import UNITS
from rlvr.stages.race.curves import FEWEST
from rlvr.stages.race.policy import TaskRates
from rlvr.statistics.intervals import (
    Interval,
    paired_difference_interval,
    rate_interval,
    unpaired_difference_interval,
)
from rlvr.statistics.spread import Spread, correlation, spread_of

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class RacerResult:
    """One racer: its score at each step where it was measured, how many steps it made, at which it was paused (None:
    it was not, or `is_taken_back`) or for which fault it was killed, and the CPU-seconds of its training and of
    measuring it."""

    seed: int
    overrides: Sequence[str]
    scores: Mapping[int, Interval]
    steps: int
    paused_at: int | None
    is_taken_back: bool
    fault: str
    cpu_seconds: float
    measuring_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """How far the scores at a rung tell those at `step`, the latest at which at least 4 racers of the rung were still
    measured, or the end where there is none: the correlation over these `num_racers`; None where it is not known."""

    step: int
    num_racers: int
    correlation: Interval | None


@dataclass(frozen=True, slots=True)
class RaceResult:
    """A race that ended. `cost` is the share of the training steps of running all to the end that was spent before the
    winner went on; `spent`, by unit, is all of it.

    `winner`, with its `checkpoint`, was chosen on the race's tasks, where it has `on_race`; `on_fresh` is its rate on
    tasks that took no part, `after_more` the same after the `cooked` steps more, and `more_gain` what they brought
    there, task by task. `passed` says whether the gate let them go on, `broken` what ended them before, "" where
    nothing did. `selection` is by how much the winner's lead over the mean of all that ended is smaller on the fresh
    tasks, its rate where nobody else ended; `over_others` its lead there over the mean of the others that ended, task
    by task, None where none did. `rejected` says why the gate rejected others, `gate` what it said of the winner,
    nothing without one. `spread` is that of all seeds at the step `spread_at`, before anyone was paused. `foretold`
    says by rung what it told.
    """

    racers: Mapping[str, RacerResult]
    cost: float
    spent: Mapping[str, Spent]
    winner: str
    checkpoint: str
    on_race: Interval
    on_fresh: Interval
    selection: Interval
    over_others: Interval | None
    rejected: Mapping[str, str]
    gate: tuple[str, ...]
    cooked: int
    after_more: Interval | None
    more_gain: Interval | None
    passed: bool
    broken: str
    spread: Spread | None
    spread_at: int
    foretold: Mapping[int, Told]

    @property
    def num_ended(self) -> int:
        """How many ran to the end."""
        return sum(racer.paused_at is None and not racer.fault for racer in self.racers.values())

    @property
    def is_worse(self) -> bool:
        """Whether the winner surely lost by its further steps."""
        return self.more_gain is not None and self.more_gain.high < 0


def result_of(folder: Path) -> RaceResult:
    """Reads the result of a race that ended from its folder, and writes result.json."""
    plan, state, places = read_race(folder)
    at_rungs = {
        step: rates_at({name: places[name] for name in found}, step, state.domains)
        for step, found in zip(plan.rungs, state.decisions, strict=True)
    }
    ended = {name: places[name] for name in state.running(plan)}
    race, fresh = (rates_at(ended, plan.steps, state.domains, fresh=is_fresh) for is_fresh in (False, True))
    winner = winner_of(plan, state, places)
    reports = read_report(Run(places[winner]))
    scores = {**at_rungs, plan.steps: race}
    racers = {name: _racer(name, plan, state, places[name], scores) for name in places}
    cooked = state.cooking.get(winner, 0)
    before, after = _further(places[winner], plan.steps, cooked, state.domains)
    gained = paired_difference_interval(before, after) if cooked else None
    is_worse = gained is not None and gained.high < 0
    passed = reports[-1].went_on
    found = RaceResult(
        racers=racers,
        cost=sum(racer.steps for racer in racers.values()) / (len(places) * plan.steps),
        spent={
            unit: spent_on(plan, places, unit, limits=state.fault_steps())
            for unit in UNITS
            if unit != "gpu-s" or plan.num_gpus
        },
        winner=winner,
        checkpoint=str(_checkpoint(places[winner], is_worse=is_worse).relative_to(folder)),
        on_race=rate_interval(race[winner]),
        on_fresh=rate_interval(fresh[winner]),
        selection=_selection(race, fresh, winner),
        over_others=_over_others(fresh, winner) if len(ended) > 1 else None,
        rejected=state.rejected,
        gate=_gate_said(reports),
        cooked=cooked,
        after_more=rate_interval(after) if cooked else None,
        more_gain=gained,
        passed=passed,
        broken=state.broken.get(winner, ""),
        spread=_spread(plan, at_rungs[plan.rungs[0]]),
        spread_at=plan.rungs[0],
        foretold={step: _foretold(step, {**at_rungs, plan.steps: race}, fresh) for step in plan.rungs},
    )
    Run(folder).write_json(RESULT, asdict(found))
    return found


def _racer(name: str, plan: RacePlan, state: State, place: Path, scores: Mapping[int, TaskRates]) -> RacerResult:
    (known,) = [racer for racer in plan.racers if racer.name == name]
    paused = state.paused().get(name)
    fault = state.faults.get(name)
    lines = metrics_of(place)[: fault.steps if fault else None]
    return RacerResult(
        seed=known.seed,
        overrides=known.overrides,
        scores={step: rate_interval(found[name]) for step, found in scores.items() if name in found},
        steps=len(lines),
        paused_at=plan.rungs[paused[0]] if paused else None,
        is_taken_back=name in state.taken_back,
        fault=fault.why if fault else "",
        cpu_seconds=cost_of(lines, "cpu-s", place),
        measuring_cpu_seconds=measuring_of(place, "cpu-s", fault.steps if fault else None),
    )


def _selection(race: TaskRates, fresh: TaskRates, winner: str) -> Interval:
    """Gives how much larger the winner's lead is on the race's tasks: two independent means of differences of tasks.
    Of one that alone ended it is the rate, with which the difficulty of the tasks comes in."""
    ours, theirs = (
        rates[winner] - (np.mean(list(rates.values()), axis=0) if len(rates) > 1 else 0.0) for rates in (race, fresh)
    )
    if min(len(ours), len(theirs)) < 2:
        return Interval(float(ours.mean() - theirs.mean()), -2.0, 2.0)
    return unpaired_difference_interval(ours, theirs)


def _over_others(fresh: TaskRates, winner: str) -> Interval:
    others = np.mean([rates for name, rates in fresh.items() if name != winner], axis=0)
    return paired_difference_interval(others, fresh[winner])


def _gate_said(reports: Sequence[StageReport]) -> tuple[str, ...]:
    """Gives what the gate said of the winner's stages."""
    stages = [(stage.name, stage.gate) for stage in reports if stage.gate is not None]
    return tuple(line for name, gate in stages for line in gate_lines(name, gate))


def _further(place: Path, steps: int, cooked: int, domains: Sequence[str]) -> tuple[list[float], list[float]]:
    """Gives the rates before and after the winner's further steps, of the fresh tasks that have one at both."""
    found = [measured_at(place, step, fresh=True) for step in (steps, steps + cooked)]
    before, after = (one.sampled if one is not None else {} for one in found)
    both = [(d, task) for d in domains for task in sorted(before.get(d, {}).keys() & after.get(d, {}).keys())]
    return [before[d][task] for d, task in both], [after[d][task] for d, task in both]


def _checkpoint(place: Path, *, is_worse: bool) -> Path:
    """Gives the winner's last checkpoint that its gate let pass, before its further steps where it surely lost by
    them."""
    ended = [stage.path for stage in Run(place).stages if has_ended(stage.path)]
    stages = reversed(ended[:-1] if is_worse else ended)
    found = next((path for path in map(handed_on, stages) if path is not None), None)
    assert found is not None, "the winner has passed"
    return found


def _spread(plan: RacePlan, rates: TaskRates) -> Spread | None:
    """Of the seeds of the first alternative alone, all of which were measured at the first rung."""
    alike = [racer.name for racer in plan.racers if racer.overrides == plan.racers[0].overrides and racer.name in rates]
    return spread_of(np.stack([rates[name] for name in alike])) if len(alike) > 1 else None


def _foretold(rung: int, scores: Mapping[int, TaskRates], fresh: TaskRates) -> Told:
    """Judges the end, as recorded curves are judged, on the `fresh` tasks: what is easier for a racer on the tasks of
    the race is so at both steps."""
    common = {step: [name for name in scores[step] if name in scores[rung]] for step in scores if step > rung}
    step = max((step for step, both in common.items() if len(both) >= FEWEST), default=max(scores))
    sides = scores[rung], fresh if step == max(scores) else scores[step]
    early, late = ([rates[name].mean() for name in common[step]] for rates in sides)
    return Told(step, len(common[step]), correlation(early, late))
