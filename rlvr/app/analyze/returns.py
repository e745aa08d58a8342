"""`rlvr analyze return`: what each stretch of a stage's training gained for its compute, and where that ended."""

import sys
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.analyze.sides import choose_stage, parent_measurement
from rlvr.app.drawing import drawing
from rlvr.app.returned import returned
from rlvr.config.reading import from_json
from rlvr.errors import RunError
from rlvr.runs.atomic import encode, replace_file, strict_json
from rlvr.runs.folder import PROVENANCE, Run
from rlvr.stages.returns import Returns, Unit, return_sentences
from rlvr.statistics.intervals import Interval

PAGE = "return.html"


def analyze_return(path: Path, *, stage: str = "") -> tuple[Run, Returns]:
    """Gives the folder of a stage that learned from rewards, the last one where `stage` names none, and its returns.

    Raises RunError where it was not evaluated while it trained.
    """
    run = Run.open(path.absolute())
    recipe = from_json(run.config()).in_force
    chosen = choose_stage(run, recipe, stage, word="return")
    child = Run.open(run.path / chosen.name)
    unit: Unit = "GPU" if run.read_json(PROVENANCE).get("gpu") and recipe.model.device != "cpu" else "CPU"
    begun, steps = parent_measurement(run, recipe, chosen), chosen.config.steps
    try:
        return child, returned(child, round_steps=steps, begun=begun, unit=unit)
    except ValueError as error:
        raise RunError(
            f"nothing is known of the way of {child.path}: {error}",
            hint=f"rlvr.evaluate_every={max(1, steps // 5)} in the recipe, and an [evaluation]",
        ) from error


def return_table(found: Returns) -> Table:
    """Gives a row per evaluation: gain so far, gain of the stretch, and what 100 seconds of it gave, in points."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in (
        "after step",
        f"{found.unit}-s",
        "gain so far",
        "gain of the stretch",
        f"in 100 {found.unit}-s of it",
    ):
        table.add_column(heading, justify="right")
    for point in found.points:
        gains = (point.gain, point.stretch, point.per_hundred)
        table.add_row(str(point.step), f"{point.seconds:,.0f}", *(_points(gain) for gain in gains))
    return table


def _points(value: Interval) -> str:
    # An escaped bracket: rich reads a plain one as markup.
    return value.points("").replace("[", r"\[")


def print_return(found: Returns, page: Path, *, as_json: bool) -> None:
    """Prints the figures to stdout: table and sentences, or one JSON object."""
    if as_json:
        print(strict_json(asdict(found)))
        return
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(return_table(found))
    for line in return_sentences(found):
        console.print(line, highlight=False, markup=False)
    console.print(f"drawn: {page}", highlight=False, markup=False, soft_wrap=True)


def write_return_page(stage: Run, found: Returns) -> Path:
    """Writes return.html into the stage's folder, self-contained, and gives its path."""
    with drawing(PAGE):
        from rlvr.runs.page.figures import Chart, Series
        from rlvr.runs.page.sheet import sheet

    def line(label: str, values: list[Interval]) -> Series:
        at = tuple(point.seconds for point in found.points)
        columns = zip(*((100 * v.mean, 100 * v.low, 100 * v.high) for v in values), strict=True)
        return Series(label, 0, at, *(tuple(column) for column in columns))

    spent = f"{found.unit}-seconds"
    gain = line("gain", [point.gain for point in found.points])
    rate = line(f"points in 100 {spent}", [point.per_hundred for point in found.points])
    page = sheet(
        "What training gave for its cost",
        about=f"stage {stage.path.name}",
        sentences=return_sentences(found),
        legend=["mean over the trained domains, with its 95% interval"],
        charts=[
            Chart("Gain so far, points", spent, "points", "signed", (gain,), ()),
            Chart(f"Gain of each stretch for 100 {spent}, points", spent, "points", "signed", (rate,), ()),
        ],
        note="Each evaluation is compared task by task with the one before, on the same held-out tasks and with the "
        f"same sampling keys. The {spent} are those of training, evaluations included.",
        key="return",
    )
    replace_file(stage.path / PAGE, encode(page))
    return stage.path / PAGE
