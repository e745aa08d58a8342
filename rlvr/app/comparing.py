"""`rlvr compare`: two checkpoints on the tasks that both were asked, domain by domain, and what chance explains."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.drawing import drawing
from rlvr.app.ended import gate_report
from rlvr.config.data import EvaluateConfig
from rlvr.config.keys import flat
from rlvr.config.reading import from_json
from rlvr.config.schema import Recipe
from rlvr.errors import RunError
from rlvr.runs.atomic import encode, strict_json, write_output
from rlvr.runs.folder import ROLLOUTS, Run, is_run, rollout_name
from rlvr.runs.report import EARLIER, GateReport, measured_in
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.evaluate import RESULT, Measurement, read_measurement, ways_of
from rlvr.statistics.intervals import Interval, paired_difference_interval, paired_differences
from rlvr.statistics.noninferiority import tasks_needed
from rlvr.statistics.paired import bootstrap_interval, holm, permutation_test, sign_test

LEVEL = 0.05
"""A p-value up to here is not put down to chance, all comparisons counted."""
SMALL = 0.02
"""A difference for which it is said how many tasks would show it."""
PLOT_WIDTH = 41
NOT_COMPARED = ("name", "runs", "replace", "evaluation")
"""Keys of a recipe whose differences are not listed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One side: what was measured, of which stage and how, where that lies, and the recipe of its run.

    `name` is RUN/STAGE; `gate` says what a gate did to what was trained last, "" where that went on whole.
    """

    name: str
    place: Path
    found: Measurement
    evaluation: EvaluateConfig
    recipe: Recipe
    gate: str


@dataclass(frozen=True, slots=True)
class DomainChange:
    """A domain on the `num_tasks` tasks that both were asked.

    `before` and `after` are pass@1 of the first and the second, `change` is their difference, paired by task, and
    `bootstrap` its interval from tasks drawn anew; `p` its p-value by permutation, counted over all domains. Of the
    greedy answers so many `better` and `worse`, `greedy_p` counted in the same way. `needed` tasks show a difference of
    SMALL with chance 0.8; None where no task differs.
    """

    num_tasks: int
    before: float
    after: float
    change: Interval
    bootstrap: Interval
    p: float
    better: int
    worse: int
    greedy_p: float
    needed: int | None

    @property
    def is_told(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.p <= LEVEL

    @property
    def hangs_on_the_method(self) -> bool:
        """Whether one of the two intervals holds no difference and the other does not."""
        return (self.change.low <= 0 <= self.change.high) != (self.bootstrap.low <= 0 <= self.bootstrap.high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the second has over the first. `gates` says where something else than a run's end is compared, `only` which
    domains just one was asked, `notes` what is not alike."""

    first: str
    second: str
    domains: Mapping[str, DomainChange]
    gates: Sequence[str]
    only: Sequence[str]
    notes: Sequence[str]
    settings: Sequence[str]
    perplexity: tuple[float | None, float | None]


def compare(first: Path, second: Path) -> tuple[Comparison, tuple[Measured, Measured]]:
    """Gives what the second has over the first; each a run, of which the last stage counts that was measured and that
    its gate let go on, or a stage's folder.

    Raises RunError where one was not measured, or where they were asked other tasks.
    """
    a, b = _open(first), _open(second)
    if a.name == b.name:
        a, b = replace(a, name=str(first)), replace(b, name=str(second))
    _refuse_other_tasks(a, b)
    common = [name for name in a.found.sampled if name in b.found.sampled]
    pairs = {name: _paired(a.found.sampled[name], b.found.sampled[name]) for name in common}
    pairs = {name: pair for name, pair in pairs.items() if pair[0]}
    if not pairs:
        raise RunError(
            f"{a.name} and {b.name} were asked no task in common",
            hint="give both recipes one [evaluation]",
        )
    greedy = {name: _paired(a.found.greedy.get(name, {}), b.found.greedy.get(name, {})) for name in pairs}
    moved = {name: (_risen(*pair), _risen(*pair[::-1])) for name, pair in greedy.items()}
    by_chance = holm({name: permutation_test(*pair) for name, pair in pairs.items()})
    greedy_by_chance = holm({name: sign_test(*counts) for name, counts in moved.items()})
    domains = {
        name: DomainChange(
            num_tasks=len(pair[0]),
            before=float(np.mean(pair[0])),
            after=float(np.mean(pair[1])),
            change=paired_difference_interval(*pair),
            bootstrap=bootstrap_interval(*pair),
            p=by_chance[name],
            better=moved[name][0],
            worse=moved[name][1],
            greedy_p=greedy_by_chance[name],
            needed=_needed(pair),
        )
        for name, pair in pairs.items()
    }
    found = Comparison(
        first=a.name,
        second=b.name,
        domains=domains,
        gates=[f"{side.name}: {side.gate}" for side in (a, b) if side.gate],
        only=[*_only(a, b), *_only(b, a)],
        notes=_notes(a, b, domains),
        settings=_settings(a.recipe, b.recipe),
        perplexity=(a.found.perplexity, b.found.perplexity),
    )
    return found, (a, b)


def _open(path: Path) -> Measured:
    """Gives what was measured last in a run, or in one of its stages."""
    folder = path.resolve()
    if not is_run(folder):
        raise RunError(f"{path} is no run and no stage of one", hint="rlvr compare runs/a runs/b, or runs/a/1-sft …")
    run, stages = Run.open(folder), [folder]
    if "recipe" not in run.config() or _place(folder) is None:
        stages = [stage.path for stage in run.stages] or stages
    measured = [(stage, place) for stage in stages if (place := _place(stage)) is not None]
    if not measured:
        raise RunError(f"{path} holds no measurement", hint="its recipe needs an [evaluation], and a stage that ended")
    gates = {stage: gate_report(stage) for stage, _ in measured}
    rejected = {stage for stage, gate in gates.items() if gate is not None and gate.rejects}
    while len(measured) > 1 and measured[-1][0] in rejected:
        measured.pop()
    stage, place = measured[-1]
    around = next((Run(at) for at in (folder, folder.parent) if is_run(at) and "recipe" in Run(at).config()), None)
    if around is None:
        raise RunError(f"{path} lies in no run with a recipe", hint="give a run folder, or the folder of its stage")
    recipe = from_json(around.config()).in_force
    own = next((s for n, s in enumerate(recipe.stage, start=1) if stage.name == s.folder(n)), None)
    evaluation = own if isinstance(own, EvaluateConfig) else recipe.evaluation
    if evaluation is None:
        raise RunError(f"{stage} was measured in a way that its recipe does not say", hint="another version made it")
    name = around.path.name if stage == around.path else f"{around.path.name}/{stage.name}"
    gate = _gate_words(gates[stage], [one.name for one in list(gates)[len(measured) :]])
    return Measured(name, place, read_measurement(Run(place)), evaluation, recipe, gate)


def _place(stage: Path) -> Path | None:
    places = (stage, stage / measured_in(gate_report(stage)))
    return next((at for at in places if (at / RESULT).is_file()), None)


def _gate_words(gate: GateReport | None, rejected: Sequence[str]) -> str:
    """Says what a gate did to the stage that is compared, or to those after it."""
    words = [f"{name} after it did not pass its gate" for name in rejected]
    if gate is not None and gate.rejects:
        words = ["did not pass its gate, and nothing of it went on"]
    if gate is not None and gate.handed_on == EARLIER:
        words.append(f"this is its checkpoint {Path(gate.goes_on).name}, as its end did not pass its gate")
    return "; ".join(words)


def _refuse_other_tasks(a: Measured, b: Measured) -> None:
    """Raises RunError where tasks have one name and are others: a source was read in two ways, a file has changed."""
    ours, theirs = _asked(a), _asked(b)
    for place in ours.keys() & theirs.keys():
        if not any(options in theirs[place] for options in ours[place]):
            raise RunError(
                f"{place[0]} is asked with {ours[place][0]} in {a.name} and with {theirs[place][0]} in {b.name}: these "
                "are other tasks",
                hint="give both recipes one [evaluation], and train again; a run is measured as its recipe says",
            )

    before, after = _contents(a), _contents(b)
    if other := [name for name in before.keys() & after.keys() if before[name] != after[name]]:
        raise RunError(
            f"{len(other)} tasks, such as {min(other)}, have one name in {a.name} and {b.name}, and other questions or "
            "answers",
            hint="measure both on one version of the data",
        )


def _contents(side: Measured) -> dict[str, tuple[str, str]]:
    """Gives each task's question and reference as they were asked; empty where the answers are not kept."""
    path = side.place / ROLLOUTS / rollout_name(ways_of(side.evaluation)[0].split, 0)
    if not path.is_file():
        return {}
    rows = read_rollouts(path, columns=("task_id", "messages", "reference"))
    return {row["task_id"]: (row["messages"], row["reference"]) for row in rows.to_pylist()}


def _asked(side: Measured) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Gives for each place that tasks come from the options with which it is read, once or several times."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for entry in side.evaluation.data:
        found.setdefault((entry.source, entry.split, entry.path), []).append(dict(entry.options))
    return found


def _paired(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[list[float], list[float]]:
    common = [task for task in a if task in b]
    return [a[task] for task in common], [b[task] for task in common]


def _risen(a: Sequence[float], b: Sequence[float]) -> int:
    return sum(after > before for before, after in zip(a, b, strict=True))


def _only(side: Measured, other: Measured) -> list[str]:
    return [f"{name} was asked of {side.name} only" for name in side.found.sampled if name not in other.found.sampled]


def _needed(pair: tuple[list[float], list[float]]) -> int | None:
    spread = float(np.std(paired_differences(*pair)))
    return tasks_needed(SMALL, spread=spread, error=0.025, power=0.8) if spread > 0 else None


def _notes(a: Measured, b: Measured, domains: Mapping[str, DomainChange]) -> list[str]:
    notes = []
    for key in ("temperature", "samples", "seed", "max_completion_tokens"):
        ours, theirs = getattr(a.evaluation, key), getattr(b.evaluation, key)
        if ours != theirs:
            notes.append(f"evaluation.{key} is {ours} in the first and {theirs} in the second")
    if a.evaluation.prompts[0] != b.evaluation.prompts[0]:
        notes.append(f"asked as {a.evaluation.prompts[0]!r} in the first, as {b.evaluation.prompts[0]!r} in the second")
    for name, domain in domains.items():
        asked = [len(side.found.sampled[name]) for side in (a, b)]
        if max(asked) > domain.num_tasks:
            notes.append(f"{name}: {domain.num_tasks} tasks in common, of {asked[0]} and {asked[1]}")
    return notes


def _settings(a: Recipe, b: Recipe) -> list[str]:
    """Says in which keys two recipes differ."""
    ours, theirs = (dict(flat(recipe.model_dump(mode="json", exclude=set(NOT_COMPARED)))) for recipe in (a, b))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [f"{key}: {_said(ours.get(key))} → {_said(theirs.get(key))}" for key in keys]


def _said(value: Any) -> str:
    return "–" if value is None else str(value)


def sentences(found: Comparison) -> list[str]:
    """Gives in words what differs, and what cannot be told."""
    lines = []
    for name, domain in found.domains.items():
        change = domain.change.points()
        if domain.hangs_on_the_method:
            change += f" (from tasks drawn anew {_ends(domain.bootstrap)}: it hangs on the method)"
        if domain.is_told:
            which = "better" if domain.change.mean > 0 else "worse"
            lines.append(f"{name}: the second is {which}, {change}, p {domain.p:.2g}.")
        else:
            lines.append(f"{name}: no difference can be told, {change}, p {domain.p:.2g}{_short(domain)}.")
    if len(found.domains) > 1:
        lines.append(f"p-values count that {len(found.domains)} domains were compared; intervals are of each alone.")
    before, after = found.perplexity
    if before and after:
        lines.append(f"Perplexity of held-out text: {before:.3f} → {after:.3f} ({100 * (after / before - 1):+.1f} %).")
    about = [*found.only, *found.gates, *(f"Not alike: {line}" for line in found.notes)]
    return [*lines, *(f"{line}." for line in about)]


def _short(domain: DomainChange) -> str:
    """Says how many more tasks would show a small difference."""
    if domain.needed is None or domain.needed <= domain.num_tasks:
        return ""
    return f"; {domain.num_tasks} tasks are few: {100 * SMALL:.0f} points show on about {domain.needed:,}"


def _ends(interval: Interval) -> str:
    return f"[{_points(interval.low)}, {_points(interval.high)}]"


def _points(rate: float) -> str:
    return f"{100 * rate:+.1f}"


def comparison_table(found: Comparison) -> Table:
    """Gives a row per domain: both rates, their difference drawn to scale, and greedy answers gained and lost."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("domain")
    for head in ("tasks", "first", "second", "difference"):
        table.add_column(head, justify="right")
    reach = max(max(abs(d.change.low), abs(d.change.high)) for d in found.domains.values())
    table.add_column(f"{-100 * reach:.0f}".ljust(PLOT_WIDTH - 3) + f"{100 * reach:+.0f}", no_wrap=True)
    table.add_column("p", justify="right")
    table.add_column("greedy", justify="right")
    for name, d in found.domains.items():
        table.add_row(
            name,
            str(d.num_tasks),
            f"{100 * d.before:.1f}%",
            f"{100 * d.after:.1f}%",
            _points(d.change.mean),
            drawn(d.change, reach),
            f"{d.p:.2g}",
            f"+{d.better} −{d.worse}",
        )
    return table


def drawn(change: Interval, reach: float) -> str:
    """Gives an interval as a line of characters from −reach to +reach: │ is no difference, ● the estimate."""
    middle = PLOT_WIDTH // 2

    def place(value: float) -> int:
        return middle + round(max(-1.0, min(1.0, value / reach)) * middle)

    cells = [" "] * PLOT_WIDTH
    for at in range(place(change.low), place(change.high) + 1):
        cells[at] = "─"
    cells[middle] = "┼" if cells[middle] == "─" else "│"
    cells[place(change.mean)] = "●"
    return "".join(cells)


def print_comparison(found: Comparison, *, as_json: bool) -> None:
    """Prints the comparison to stdout: table and sentences, or one JSON object."""
    if as_json:
        print(strict_json(asdict(found)))
        return
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(f"first:  {found.first}\nsecond: {found.second}", highlight=False, markup=False)
    console.print(comparison_table(found))
    for line in [*sentences(found), *(f"recipe: {line}" for line in found.settings)]:
        console.print(line, highlight=False, markup=False)


def write_comparison_page(found: Comparison, sides: tuple[Measured, Measured], path: Path) -> None:
    """Writes a self-contained page with pass@k of both, domain by domain."""
    with drawing("a page"):
        from rlvr.runs.page.figures import Chart, Series
        from rlvr.runs.page.sheet import sheet

    charts = []
    for name in found.domains:
        lines = []
        for colour, side in enumerate(sides):
            if name not in side.found.domains:  # Nothing could be said of its greedy answers.
                continue
            rates = side.found.domains[name].pass_at_k
            columns = zip(*((float(k), r.mean, r.low, r.high) for k, r in rates.items()), strict=True)
            lines.append(Series(side.name, colour, *(tuple(column) for column in columns)))
        ticks = tuple(dict.fromkeys(x for line in lines for x in line.x))
        charts.append(Chart(name, "k", "pass@k", "rate", tuple(lines), tuple(sorted(ticks))))
    page = sheet(
        f"{found.second} against {found.first}",
        about="comparison",
        sentences=sentences(found),
        legend=(found.first, found.second),
        charts=charts,
        note="pass@k is the chance that one of k samples is right, with its 95% interval, over all tasks that a side "
        "was asked. Where the lines meet at large k, the second finds more often what the first could find too.",
        key="compare",
    )
    write_output(path, encode(page))
