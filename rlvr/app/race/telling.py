"""The words, the table and the page in which a race that ended is told."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.race.result import RaceResult, RacerResult, Told
from rlvr.app.race.spending import Spent
from rlvr.app.race.standing import metrics_of
from rlvr.runs.atomic import encode, replace_file
from rlvr.stages.race.budget import UNITS
from rlvr.stages.race.curves import FEWEST

PAGE = "race.html"


def sentences(found: RaceResult) -> list[str]:
    """Gives the result in words."""
    ended = found.num_ended
    let_pass = " that the gate let pass" if found.rejected else ""
    apart = "tasks that no rung saw, but the gate that rejected others" if found.rejected else "tasks that took no part"
    lines = [
        f"{found.winner} won: {found.on_race.percent('%')} on the tasks of the race, on which it was chosen as the "
        f"best of {len(found.racers)}{let_pass}, and {found.on_fresh.percent('%')} on {apart}: quote the second.",
        f"{100 * found.cost:.0f}% of the training steps of running all {len(found.racers)} to the end were spent; "
        f"{ended} ran to the end.",
        *(_said_of(found.spent[unit], unit) for unit in ("gpu-s", "cpu-s", "tokens") if unit in found.spent),
    ]
    lead = f"lead over the mean of the {ended} that ran to the end" if ended > 1 else "rate"
    lines.append(
        f"Selection: the winner's {lead} is {found.selection.points('')} points larger on the tasks that chose it than "
        "on the others."
    )
    if found.over_others is not None:
        lines.append(
            f"On {apart} it lies {found.over_others.points('')} points above the mean of the others that ran to the "
            "end, task by task."
        )
    lines += [f"{name} was rejected by the gate: {why}." for name, why in found.rejected.items()]
    lines += found.gate
    if found.after_more is not None:
        lines.append(_said_of_more(found, apart))
    if found.broken:
        lines.append(f"Its further steps broke, and the checkpoint before them is the result: {found.broken}.")
    if found.spread is not None:
        larger = "is" if found.spread.p <= 0.05 else "is not"
        lines.append(
            f"The spread of seeds at step {found.spread_at} {larger} larger than the noise of evaluation: their means "
            f"deviate by {100 * found.spread.means:.1f} points, the noise alone by {100 * found.spread.noise:.1f} "
            f"(p {found.spread.p:.2g})."
        )
    lines += [_said_of_rung(step, told, found) for step, told in found.foretold.items()]
    return [*lines, _said_of_policies(found.racers)]


def _said_of_more(found: RaceResult, apart: str) -> str:
    """Says what the winner's further steps brought, and whether they count."""
    assert found.after_more is not None, "there were further steps"
    assert found.more_gain is not None, "they were measured on the tasks of before"
    why = "did not pass its gate" if not found.passed else "lost by them" if found.is_worse else ""
    end = f", but {why}: the checkpoint before them is the result." if why else "."
    said = f"{found.after_more.percent('%')} on the {apart}, {found.more_gain.points()} task by task"
    return f"After {found.cooked} steps more it has {said}{end}"


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
