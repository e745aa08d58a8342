"""What a race found: who won, by how much, on tasks of the race and on fresh ones, what it cost and what it saved."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.ended import handed_on, has_ended
from rlvr.app.gating import gate_lines
from rlvr.app.race.spending import Spent, cost_of, measuring_of, spent_on
from rlvr.app.race.standing import metrics_of, rates_at, read_race, winner_of
from rlvr.app.race.state import RacePlan, State
from rlvr.runs.atomic import encode, replace_file
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

RESULT, PAGE = "result.json", "race.html"


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
    tasks that took no part, `after_more` the same after the `cooked` steps more, which `went_on` where they passed the
    gate. `selection` is by how much the
    winner's lead over the mean of all that ended is smaller on the fresh tasks, `over_others` its lead there over the
    mean of the others that ended, task by task; None where one ended. `rejected` says why the gate rejected
    others, `gate` what it said of the winner, nothing without one. `spread` is that
    of all seeds at the step `spread_at`, before anyone was paused. `foretold` says by rung what it told.
    """

    racers: Mapping[str, RacerResult]
    cost: float
    spent: Mapping[str, Spent]
    winner: str
    checkpoint: str
    on_race: Interval
    on_fresh: Interval
    selection: Interval | None
    over_others: Interval | None
    rejected: Mapping[str, str]
    gate: tuple[str, ...]
    cooked: int
    after_more: Interval | None
    went_on: bool
    spread: Spread | None
    spread_at: int
    foretold: Mapping[int, Told]


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
    more = None
    cooked = state.cooking.get(winner, 0)
    if cooked:
        more = rates_at({winner: places[winner]}, plan.steps + cooked, state.domains, fresh=True)[winner]
    found = RaceResult(
        racers=racers,
        cost=sum(racer.steps for racer in racers.values()) / (len(places) * plan.steps),
        spent={
            unit: spent_on(plan, places, unit, limits=state.fault_steps())
            for unit in UNITS
            if unit != "gpu-s" or plan.num_gpus
        },
        winner=winner,
        checkpoint=str(_checkpoint(places[winner]).relative_to(folder)),
        on_race=rate_interval(race[winner]),
        on_fresh=rate_interval(fresh[winner]),
        selection=_selection(race, fresh, winner) if len(ended) > 1 else None,
        over_others=_over_others(fresh, winner) if len(ended) > 1 else None,
        rejected=state.rejected,
        gate=_gate_said(reports),
        cooked=cooked,
        after_more=None if more is None else rate_interval(more),
        went_on=reports[-1].went_on,
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
    """Gives how much larger the winner's lead is on the race's tasks: two independent means of differences of tasks."""
    ours, theirs = (rates[winner] - np.mean(list(rates.values()), axis=0) for rates in (race, fresh))
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


def _checkpoint(place: Path) -> Path:
    """Gives the winner's last checkpoint that its gate let pass."""
    stages = sorted((path for path in place.glob("[12]-*") if has_ended(path)), reverse=True)
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


def sentences(found: RaceResult) -> list[str]:
    """Gives the result in words."""
    ended = sum(racer.paused_at is None and not racer.fault for racer in found.racers.values())
    let_pass = " that the gate let pass" if found.rejected else ""
    apart = "tasks that no rung saw, but the gate that rejected others" if found.rejected else "tasks that took no part"
    lines = [
        f"{found.winner} won: {_percent(found.on_race)} on the tasks of the race, on which it was chosen as the best "
        f"of {len(found.racers)}{let_pass}, and {_percent(found.on_fresh)} on {apart}: quote the second.",
        f"{100 * found.cost:.0f}% of the training steps of running all {len(found.racers)} to the end were spent; "
        f"{ended} ran to the end.",
        *(_said_of(found.spent[unit], unit) for unit in ("gpu-s", "cpu-s", "tokens") if unit in found.spent),
    ]
    if found.selection is not None:
        lines.append(
            f"Selection: the winner's lead over the mean of the {ended} that ran to the end is "
            f"{_points(found.selection)} points larger on the tasks that chose it than on the others."
        )
    if found.over_others is not None:
        lines.append(
            f"On {apart} it lies {_points(found.over_others)} points above the mean of the others that ran to the end, "
            "task by task."
        )
    lines += [f"{name} was rejected by the gate: {why}." for name, why in found.rejected.items()]
    lines += found.gate
    if found.after_more is not None:
        lines.append(
            f"After {found.cooked} steps more it has {_percent(found.after_more)} on the {apart}"
            + ("." if found.went_on else ", but did not pass its gate: the checkpoint before them is the result.")
        )
    if found.spread is not None:
        larger = "is" if found.spread.p <= 0.05 else "is not"
        lines.append(
            f"The spread of seeds at step {found.spread_at} {larger} larger than the noise of evaluation: their means "
            f"deviate by {100 * found.spread.means:.1f} points, the noise alone by {100 * found.spread.noise:.1f} "
            f"(p {found.spread.p:.2g})."
        )
    lines += [_said_of_rung(step, told, found) for step, told in found.foretold.items()]
    return [*lines, _said_of_policies(found.racers)]


def _said_of_policies(racers: Mapping[str, RacerResult]) -> str:
    """Says whether the race can tell which policy suits the recipe, and what does."""
    how = "rlvr race --simulate --curves"
    if any(racer.paused_at is not None or racer.fault or racer.is_taken_back for racer in racers.values()):
        why = "of those that were paused or out the rest is not known"
    elif len(racers) < FEWEST:
        why = f"{len(racers)} racers are too few"
    else:
        return f"Which policy suits the recipe says {how} with this race's folder, as all racers ran to the end."
    return f"Which policy suits the recipe this race does not tell, as {why}; {how} says it of recorded curves."


def _said_of_rung(rung: int, told: Told, found: RaceResult) -> str:
    """Says how far a rung told a later step."""
    is_end = not any(step > told.step for racer in found.racers.values() for step in racer.scores)
    what = f"Correlation of step {rung} with {'the end' if is_end else f'step {told.step}'}"
    known = told.correlation
    if known is None:
        why = "the means do not vary" if told.num_racers >= FEWEST else f"only {told.num_racers} came so far"
        return (
            f"{what}: not known, as {why}; rlvr race --simulate --curves gives it for {FEWEST} recorded curves or more."
        )
    few = told.num_racers < len(found.racers)
    chosen = ", which were kept for being high and so tell less" if few else ""
    return (
        f"{what}: {known.mean:.2f} [{known.low:.2f}, {known.high:.2f}] over the {told.num_racers} that came so far"
        f"{chosen}."
    )


def _said_of(spent: Spent, unit: str) -> str:
    """Says what was spent and saved in a unit, measuring included."""
    parts = f"{spent.training:,.0f} training, {spent.measuring:,.0f} measuring"
    parts += f", {spent.cooking:,.0f} the winner's further steps" if spent.cooking else ""
    less = f"{abs(spent.saved):,.0f} {'less' if spent.saved >= 0 else 'more'}"
    return f"Spent: {spent.total:,.0f} {UNITS[unit]} ({parts}), {less} than training all to the end."


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def _percent(rate: Interval) -> str:
    return f"{100 * rate.mean:.1f}% [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def result_table(found: RaceResult) -> Table:
    """Gives a row per racer: its score at each rung and at the end, and what became of it."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    steps = sorted({step for racer in found.racers.values() for step in racer.scores})
    table.add_column("racer")
    for head in (*(f"step {step}" for step in steps), "steps", "CPU-s"):
        table.add_column(head, justify="right")
    table.add_column("")
    for name, racer in found.racers.items():
        scores = [f"{100 * racer.scores[step].mean:.1f}%" if step in racer.scores else "–" for step in steps]
        table.add_row(name, *scores, str(racer.steps), f"{racer.cpu_seconds:.0f}", _fate(name, racer, found))
    return table


def _fate(name: str, racer: RacerResult, found: RaceResult) -> str:
    if racer.fault:
        return f"out: {racer.fault}"
    if racer.paused_at is not None:
        return f"paused at {racer.paused_at}"
    back = "taken back" if racer.is_taken_back else ""
    place = "winner" if name == found.winner else "rejected by the gate" if name in found.rejected else ""
    return ", ".join(word for word in (place, back) if word)


def print_result(found: RaceResult, page: Path) -> None:
    """Prints table and sentences to stderr."""
    console = Console(stderr=True)
    console.width = console.width if console.is_terminal else 110
    console.print(result_table(found))
    for line in sentences(found):
        console.print(line, highlight=False, markup=False)
    console.print(f"drawn: {page}", highlight=False, markup=False, soft_wrap=True)


def write_page(folder: Path, found: RaceResult) -> Path:
    """Writes race.html: scores at the rungs and answers right in training, of all racers, paused ones dashed."""
    from rlvr.runs.page.figures import Chart, Series
    from rlvr.runs.page.sheet import sheet

    scores, curves = [], []
    for name, racer in found.racers.items():
        colour = int(racer.paused_at is not None or bool(racer.fault))
        if racer.scores:
            at, means = zip(*((float(step), score.mean) for step, score in sorted(racer.scores.items())), strict=True)
            scores.append(Series(name, colour, at, means))
        outcomes = [line["rollout/outcome_mean"] for line in metrics_of(folder / "racers" / name)[: racer.steps]]
        size = max(1, len(outcomes) // 20)
        windows = [float(np.mean(outcomes[i : i + size])) for i in range(0, len(outcomes), size)]
        if windows:
            curves.append(Series(name, colour, tuple(float(i * size + 1) for i in range(len(windows))), tuple(windows)))
    charts = [
        Chart("Held-out tasks of the race", "step", "right", "share", tuple(scores)),
        Chart("Answers right in training", "step", "right", "share", tuple(curves)),
    ]
    page = sheet(
        f"{found.winner} won",
        about=f"race {folder.name}",
        sentences=sentences(found),
        legend=("ran to the end", "paused or out"),
        charts=charts,
        note="A paused racer's line ends where it was paused. The curves of training are means over a twentieth of the "
        "steps; racers draw other tasks there, so the left chart is the one that decides.",
        key="race",
    )
    replace_file(folder / PAGE, encode(page))
    return folder / PAGE
