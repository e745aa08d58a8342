"""Charts as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

INK, GRID = "#0a0b0c", "#0d0e0f"
LINES = ("#a1b101", "#a1b102")
COLOURS = {INK: "var(--soft)", GRID: "var(--line)", LINES[0]: "var(--series-1)", LINES[1]: "var(--series-2)"}
"""Colour that matplotlib draws with → variable of the page that takes its place."""

SIZE_INCHES = (4.4, 2.6)
MARGINS = {"left": 0.16, "right": 0.97, "bottom": 0.19, "top": 0.96}
"""The same for all, so that the axes of neighbours stand in line."""

STYLE = {
    "svg.fonttype": "none",  # Text stays text: searchable, and in the reader's own font.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


Scale = Literal["rate", "share", "number", "signed"]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: what it shows, its points, the interval around each and the single values behind them.

    `colour` counts into LINES; the second is dashed, so that colour is not the only difference. `low` and `high` are
    as long as `y` or empty, and so is `raw`.
    """

    label: str
    colour: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    raw: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """One pair of axes. `title` names it.

    `scale` says how to show the values: a "rate" in percent from 0 to 100, a "share" in percent as far up as needed, a
    "number" as it is, a "signed" one without 0 as its floor. `ticks` are the values of x that have a tick, all spaced
    alike; empty where x is a number like any other. With `doublings` equal steps along x are equal factors.
    """

    title: str
    x_label: str
    y_label: str
    scale: Scale
    series: tuple[Series, ...]
    ticks: tuple[float, ...] = ()
    doublings: bool = False


def draw(chart: Chart, *, key: str) -> Markup:
    """Gives the chart as an SVG element with a title for who cannot see it; equal charts give equal text.

    `key` is different for each chart of a page: the ids inside begin with it.
    """
    # matplotlib reads these settings nowhere but in its global table; they are put back afterwards.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": key}):
        figure = Figure(figsize=SIZE_INCHES)
        figure.subplots_adjust(**MARGINS)
        _plot(figure.add_subplot(), chart)
        target = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(target, format="svg", transparent=True, metadata=nothing)
    return _inline(target.getvalue(), key, description(chart))


def description(chart: Chart) -> str:
    """Gives in a sentence what the chart shows, with the ends of each line in numbers."""
    ends = [
        f"{line.label} goes from {_value(chart, line.y[0])} at {line.x[0]:g} to {_value(chart, line.y[-1])} at "
        f"{line.x[-1]:g}"
        for line in chart.series
        if line.y
    ]
    return f"{chart.title}: {chart.y_label} by {chart.x_label}. {'; '.join(ends)}."


def _value(chart: Chart, value: float) -> str:
    return f"{value:.3g}" if chart.scale in ("number", "signed") else f"{100 * value:.3g}%"


def _plot(axes: Axes, chart: Chart) -> None:
    place = {value: float(index) for index, value in enumerate(chart.ticks)}
    for line in chart.series:
        _line(axes, line, [place.get(x, x) for x in line.x])
    axes.set_xlabel(chart.x_label, color=INK)
    axes.set_ylabel(chart.y_label, color=INK)
    if chart.scale != "signed":
        axes.set_ylim(0, 1.02 if chart.scale == "rate" else _ceiling(chart))
    if chart.ticks:
        axes.set_xticks(list(place.values()), [f"{value:g}" for value in chart.ticks])
        axes.set_xlim(-0.3, len(chart.ticks) - 0.7)
    elif chart.doublings:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        whole = all(float(x).is_integer() for line in chart.series for x in line.x)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole, min_n_ticks=1))
        axes.margins(x=0.02)
    axes.yaxis.set_major_locator(
        FixedLocator([0, 0.25, 0.5, 0.75, 1]) if chart.scale == "rate" else MaxNLocator(nbins=5)
    )
    if chart.scale in ("rate", "share"):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))
    axes.tick_params(colors=INK, length=3, width=0.8, color=GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _line(axes: Axes, line: Series, x: Sequence[float]) -> None:
    colour = LINES[line.colour]
    many = len(x) > 24
    if line.low:
        axes.fill_between(x, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
    if line.raw:
        axes.plot(x, line.raw, color=colour, alpha=0.45, linewidth=0.9)
    axes.plot(
        x,
        line.y,
        color=colour,
        linewidth=2,
        linestyle=(0, (4, 2)) if line.colour else "-",
        marker="" if many else "os"[line.colour],
        markersize=4.5,
        clip_on=False,  # A marker at 0 or 100% is shown whole.
    )


def _ceiling(chart: Chart) -> float:
    values = [value for line in chart.series for value in (*line.y, *line.raw, *line.high) if math.isfinite(value)]
    return 1.1 * max(values, default=0.0) or (0.01 if chart.scale == "share" else 1.0)


def _inline(svg: str, key: str, words: str) -> Markup:
    """Gives the <svg> element alone: sized by the page, coloured by its variables, with ids of its own."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="[^"]*"', body)
    assert box, "matplotlib wrote an SVG without a viewBox"
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{key}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", body).replace("xlink:href", "href")
    body = re.sub(r"font: [^;\"]*?(\d+)px [^;\"]*", r"font-size: \1px", body)
    for colour, variable in COLOURS.items():
        body = body.replace(colour, variable)
    head = f'<svg {box[0]} role="img" aria-labelledby="{key}-title"><title id="{key}-title">{escape(words)}</title>'
    return Markup(head + re.sub(r"\s*\n\s*", "\n", body).strip())
