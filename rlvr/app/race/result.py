"""What a race found: who won, by how much, on tasks of the race and on fresh ones, what it cost and what it saved."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.race.race import (
    DECISIONS,
    PLAN,
    SOLVED,
    Plan,
    State,
    common_rates,
    measured_at,
    metrics_of,
)
from rlvr.app.race.racer import measured
from rlvr.runs.atomic import encode, replace_file
from rlvr.runs.folder import Run
from rlvr.statistics.intervals import Interval, rate_interval
from rlvr.statistics.spread import Spread, correlation, spread_of

RESULT, PAGE = "result.json", "race.html"


@dataclass(frozen=True, slots=True)
class RacerResult:
    """One racer: its score at each step where it was measured, how many steps it made, at which it was paused (None:
    it ran to the end) or for which fault it was killed, and its CPU-seconds of training."""

    seed: int
    words: Sequence[str]
    scores: Mapping[int, Interval]
    steps: int
    paused_at: int | None
    fault: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class RaceResult:
    """A race that ended. `cost` is the share of the steps of running all to the end that was spent.

    `winner` was chosen on the race's tasks, where it has `on_race`; `on_fresh` is its rate on tasks that took no part,
    `after_more` the same after the `cooked` steps more. `spread` is that of the racers at the end, at the first rung
    where only one ended; `foretold` by rung the correlation with the end over those that reached it, None for too few.
    """

    racers: Mapping[str, RacerResult]
    cost: float
    winner: str
    on_race: Interval
    on_fresh: Interval
    cooked: int
    after_more: Interval | None
    spread: Spread | None
    foretold: Mapping[int, Interval | None]


def result_of(folder: Path) -> RaceResult:
    """Reads the result of a race that ended from its folder, and writes result.json."""
    race = Run(folder)
    plan = TypeAdapter(Plan).validate_python(race.read_json(PLAN)["plan"])
    state = State()
    if (folder / DECISIONS).is_file():
        state = TypeAdapter(State).validate_python(race.read_json(DECISIONS))
    places = {racer.name: folder / "racers" / racer.name for racer in plan.racers}
    steps = (*plan.rungs, plan.steps)
    rates = {step: common_rates(_there(places, step), step) for step in steps}
    ended = rates[plan.steps]
    winner = max(ended, key=lambda name: float(ended[name].mean()))
    found = RaceResult(
        racers={racer.name: _racer(racer.name, plan, state, places[racer.name], rates) for racer in plan.racers},
        cost=sum(len(metrics_of(place)) for place in places.values()) / (len(places) * plan.steps),
        winner=winner,
        on_race=rate_interval(ended[winner]),
        on_fresh=_fresh(places[winner], "fresh"),
        cooked=plan.cook,
        after_more=_fresh(places[winner], "fresh-after-more") if plan.cook else None,
        spread=_spread(rates),
        foretold={step: _foretold(rates[step], ended) for step in plan.rungs},
    )
    race.write_json(RESULT, asdict(found))
    return found


def _there(places: Mapping[str, Path], step: int) -> dict[str, Path]:
    return {name: place for name, place in places.items() if measured_at(place, step) is not None}


def _racer(
    name: str, plan: Plan, state: State, place: Path, rates: Mapping[int, Mapping[str, np.ndarray]]
) -> RacerResult:
    (known,) = [racer for racer in plan.racers if racer.name == name]
    paused = [
        step
        for step, found in zip(plan.rungs, state.decisions, strict=False)
        if name in found and not found[name].goes_on
    ]
    lines = metrics_of(place)
    return RacerResult(
        seed=known.seed,
        words=known.words,
        scores={step: rate_interval(found[name]) for step, found in rates.items() if name in found},
        steps=len(lines),
        paused_at=paused[0] if paused else None,
        fault=state.faults.get(name, ""),
        cpu_seconds=sum(line.get("time/cpu_seconds", 0.0) for line in lines),
    )


def _fresh(place: Path, name: str) -> Interval:
    found = measured(place / name)
    assert found is not None, "the winner is measured before a race ends"
    trained = {key.removeprefix(SOLVED) for line in metrics_of(place) for key in line if key.startswith(SOLVED)}
    domains = trained & set(found.sampled) or set(found.sampled)
    return rate_interval([rate for domain in sorted(domains) for rate in found.sampled[domain].values()])


def _spread(rates: Mapping[int, Mapping[str, np.ndarray]]) -> Spread | None:
    several = [found for found in rates.values() if len(found) > 1]
    return spread_of(np.stack(list(several[-1].values()))) if several else None


def _foretold(early: Mapping[str, np.ndarray], late: Mapping[str, np.ndarray]) -> Interval | None:
    both = [name for name in late if name in early]
    return correlation([early[name].mean() for name in both], [late[name].mean() for name in both])


def sentences(found: RaceResult) -> list[str]:
    """Gives the result in words."""
    race, fresh = found.on_race, found.on_fresh
    ended = [name for name, racer in found.racers.items() if racer.paused_at is None and not racer.fault]
    lines = [
        f"{found.winner} won: {_percent(race)} on the tasks of the race, {_percent(fresh)} on fresh ones. The first is "
        f"the best of {len(found.racers)} and flattered by that; the second is what to quote.",
        f"{100 * found.cost:.0f}% of the steps of running all {len(found.racers)} to the end were spent; "
        f"{len(ended)} ran to the end.",
    ]
    if found.after_more is not None:
        lines.append(f"After {found.cooked} steps more it has {_percent(found.after_more)} on the fresh tasks.")
    if found.spread is not None:
        larger = "is" if found.spread.p <= 0.05 else "is not"
        lines.append(
            f"The spread of the racers {larger} larger than the noise of evaluation: their means deviate by "
            f"{100 * found.spread.means:.1f} points, the noise alone by {100 * found.spread.noise:.1f} "
            f"(p {found.spread.p:.2g})."
        )
    for step, told in found.foretold.items():
        said = "too few ran to the end to say" if told is None else f"{told.mean:.2f} [{told.low:.2f}, {told.high:.2f}]"
        lines.append(f"Correlation of step {step} with the end: {said}.")
    return lines


def _percent(rate: Interval) -> str:
    return f"{100 * rate.mean:.1f}% [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def result_table(found: RaceResult) -> Table:
    """Gives a row per racer: its score at each rung and at the end, and what became of it."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    steps = sorted({step for racer in found.racers.values() for step in racer.scores})
    table.add_column("racer")
    for step in steps:
        table.add_column(f"step {step}", justify="right")
    table.add_column("steps", justify="right")
    table.add_column("CPU-s", justify="right")
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
    return "winner" if name == found.winner else ""


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
        at = tuple(float(step) for step in racer.scores)
        if at:
            scores.append(Series(name, colour, at, tuple(score.mean for score in racer.scores.values())))
        outcomes = [line["rollout/outcome_mean"] for line in metrics_of(folder / "racers" / name)]
        size = max(1, len(outcomes) // 20)
        means = [float(np.mean(outcomes[i : i + size])) for i in range(0, len(outcomes), size)]
        if means:
            curves.append(Series(name, colour, tuple(float(i * size + 1) for i in range(len(means))), tuple(means)))
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
