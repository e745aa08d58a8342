"""`rlvr analyze length`: how long right and wrong answers are, and which normalisation makes which of them count."""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.algorithms.algorithm import Algorithm
from rlvr.algorithms.presets import resolve
from rlvr.app.analyze.sides import choose_stage
from rlvr.app.drawing import drawing
from rlvr.config.reading import from_json
from rlvr.errors import RunError
from rlvr.runs.atomic import encode, replace_file, strict_json
from rlvr.runs.folder import ROLLOUTS, Run
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.iterate import rounds_of
from rlvr.training.length import SIDES, Completions, LengthReport, length_report

PAGE = "length.html"
COLUMNS = ("step", "draw_index", "finish", "outcome", "threshold", "reward", "trainable")
"""What is read of a rollout."""


def analyze_length(path: Path, *, stage: str = "") -> tuple[Run, LengthReport]:
    """Gives the folder of a stage that learned from rewards, the last one where `stage` names none, and its report.

    Raises RunError where the run has no such stage or it has taken no step, DataError where nothing has an outcome.
    """
    run = Run.open(path)
    chosen = choose_stage(run, from_json(run.config()).in_force, stage, word="length")
    config = chosen.config
    child = Run.open(run.path / chosen.name)
    row = resolve(config.algorithm.preset, **config.algorithm.cells)
    if any((own.advantage, own.aggregation) != (row.advantage, row.aggregation) for own in row.rows):
        raise RunError(
            f"{child.path} has domains with another advantage or aggregation than the rest",
            hint="rlvr analyze length reads stages with one of each",
        )
    report = length_report(completions_of(child, row), row, max_completion_tokens=config.max_completion_tokens)
    return child, report


def completions_of(run: Run, row: Algorithm) -> Completions:
    """Gives the training completions of a stage that have an outcome.

    Not learned from are those that the row drops for their length, and groups in whose place it drew others.
    The rounds of an iterate stage follow each other.
    """
    tables = [found for place in (run, *rounds_of(run)) if (found := _trained(place)) is not None]
    if not tables:
        raise RunError(f"{run.path} holds no training rollouts", hint="let the stage take a step first")
    table = pa.concat_tables(_one_after_the_other(tables))
    table = table.filter(pc.is_valid(table["outcome"]))
    trainable = table["trainable"].combine_chunks()
    owners = pc.list_parent_indices(trainable).to_numpy()
    marks = pc.list_flatten(trainable).to_numpy(zero_copy_only=False)
    column = {name: table[name].to_numpy() for name in ("step", "draw_index", "outcome", "threshold", "reward")}
    right, group = column["outcome"] >= column["threshold"], column["draw_index"]
    mixed = np.isin(group, np.intersect1d(group[right], group[~right]))
    learned = mixed if row.refill else np.ones(len(table), dtype=np.bool_)
    if row.drop_truncated:
        learned = learned & pc.not_equal(table["finish"], "length").to_numpy(zero_copy_only=False)
    return Completions(
        step=column["step"],
        group=group,
        tokens=np.bincount(owners, weights=marks, minlength=len(table)).astype(np.int64),
        right=right,
        reward=column["reward"],
        learned=learned,
        kept=mixed if row.filter == "informative" else np.ones(len(table), dtype=np.bool_),
    )


def _trained(run: Run) -> pa.Table | None:
    files = sorted((run.path / ROLLOUTS).glob("train-*.parquet"))
    return pa.concat_tables([read_rollouts(file, columns=COLUMNS) for file in files]) if files else None


def _one_after_the_other(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Gives the tables with steps and draws that go on from one to the next."""
    first, found = {"step": 0, "draw_index": 0}, []
    for table in tables:
        for name, start in first.items():
            moved = pc.add(table[name], start)
            table = table.set_column(table.schema.get_field_index(name), name, moved)
            first[name] = pc.max(moved).as_py() + 1
        found.append(table)
    return found


def sentences(report: LengthReport) -> list[str]:
    """Gives in words how lengths changed, and what each aggregation does to the longest wrong answers."""
    found = []
    for side in SIDES:
        known = [length for length in report.lengths[side] if math.isfinite(length)]
        if len(known) > 1:
            found.append(f"{side.capitalize()} answers went from {known[0]:.0f} to {known[-1]:.0f} tokens on average.")
    filled = [place for place, count in enumerate(report.counts["wrong"]) if count]
    if not filled or not math.isfinite(report.shares[report.own]["wrong"][filled[-1]]):
        return [*found, "No wrong answer stood beside a right one, so none was pushed down."]
    first, last = filled[0], filled[-1]
    own, (low, high) = report.shares[report.own]["wrong"][last], report.bins[last]
    found.append(
        f"This run uses {report.own}: of all that pushes wrong answers down, {100 * own:.0f} % falls on those of "
        f"{low} to {high} tokens, the longest of them."
    )
    for name, shares in report.shares.items():
        if name != report.own:
            other, weight = shares["wrong"][last], report.weights[name]["wrong"]
            ratio = f"a token of the longest weighs {weight[last] / weight[first]:.2f} of one of the shortest"
            found.append(f"With {name} it would be {100 * other:.0f} %{_effect(other - own)}; {ratio}.")
    return found


def _effect(change: float) -> str:
    if abs(change) < 0.02:
        return ", much the same"
    return ": long wrong answers would be held back " + ("more" if change > 0 else "less, and could grow")


def length_table(report: LengthReport) -> Table:
    """Gives the weight of a token by length, in units of the run's mean token, and how many completions there are."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("weight of a token")
    for low, high in report.bins:
        table.add_column(f"{low}–{high} tokens", justify="right")
    for side in SIDES:
        table.add_row(f"{side} answers", *(f"{count:,}" for count in report.counts[side]), style="dim")
        for name, weights in report.weights.items():
            mark = " (this run)" if name == report.own else ""
            table.add_row(f"  {name}{mark}", *(_number(weight) for weight in weights[side]))
    return table


def print_length(report: LengthReport, page: Path, *, as_json: bool) -> None:
    """Prints the report to stdout: table and sentences, or one JSON object."""
    if as_json:
        print(strict_json(asdict(report)))
        return
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(length_table(report))
    for line in sentences(report):
        console.print(line, highlight=False, markup=False)
    console.print(f"drawn: {page}", highlight=False, markup=False, soft_wrap=True)


def write_length_page(run: Run, report: LengthReport) -> Path:
    """Writes length.html into the stage's folder, self-contained, and gives its path."""
    with drawing(PAGE):
        from rlvr.runs.page.figures import Chart, Series
        from rlvr.runs.page.sheet import sheet

    def chart(title: str, x_label: str, y_label: str, x: Sequence[float], lines: Any, ticks: Sequence[float]) -> Chart:
        series = []
        for colour, side in enumerate(SIDES):
            points = [(at, value) for at, value in zip(x, lines[side], strict=True) if math.isfinite(value)]
            if points:
                series.append(Series(side, colour, *(tuple(part) for part in zip(*points, strict=True))))
        return Chart(title, x_label, y_label, "number", tuple(series), tuple(ticks))

    ends = [float(high) for _, high in report.bins]
    charts = [chart("Length by outcome", "step", "tokens", report.windows, report.lengths, ())]
    charts += [
        chart(f"{name}{' (this run)' if name == report.own else ''}", "tokens, up to", "weight", ends, weights, ends)
        for name, weights in report.weights.items()
    ]
    page = sheet(
        "What an answer's length counts for",
        about=f"stage {run.path.name}",
        sentences=sentences(report),
        legend=[f"{side} answers" for side in SIDES],
        charts=charts,
        note="The weight of a token is in units of the run's mean token, each step taken as one update. Where a line "
        "falls, tokens of long answers count less: right ones are encouraged less, and wrong ones are held back less.",
        key="length",
    )
    replace_file(run.path / PAGE, encode(page))
    return run.path / PAGE


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
