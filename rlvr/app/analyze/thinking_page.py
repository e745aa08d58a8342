"""thinking.html: accuracy against tokens for both sides, as charts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvr.app.analyze.checkpoints import LengthPoint
from rlvr.app.analyze.thinking import ThinkingReport, sentences
from rlvr.app.drawing import drawing
from rlvr.runs.atomic import encode, replace_file
from rlvr.runs.folder import Run
from rlvr.stages.thinking import MODES, Mode, Thinking, curve

PAGE = "thinking.html"
LEAST_SPREAD = 1.2
"""What a chart's dearest point costs at least, over its cheapest."""
DOUBLINGS = 8
"""From this spread on tokens double from tick to tick."""
TITLES: dict[Mode, str] = {
    "majority": "majority vote",
    "best by verifier": "best of N by the verifier",
    "best by reward model": "best of N by the reward model",
    "budget": "limit of tokens",
    "end forced": "thinking ended early",
    "go on": "made to think on",
}


def write_thinking_page(stage: Run, report: ThinkingReport) -> Path:
    """Writes thinking.html into the stage's folder, self-contained, and gives its path."""
    with drawing(PAGE):
        from rlvr.runs.page.sheet import sheet

    several = len(report.averaged) > 1
    charts = (
        [chart for mode in MODES[1:] for chart in _drawn("mean of domains", report.overall, mode)] if several else []
    )
    for name, found in report.domains.items():
        modes = ("majority", "budget") if several else MODES[1:]
        charts += [chart for mode in modes for chart in _drawn(name, found, mode)]
    charts += [_lengths(name, points) for name, points in report.lengths.items() if len(points) > 1]
    page = sheet(
        "Train longer or think longer",
        about=f"{report.child} against {report.parent}",
        sentences=sentences(report),
        legend=(f"parent: {report.parent}", f"child: {report.child}"),
        charts=charts,
        note="Each point is the share of tasks that are right, with its 95 % interval, for the mean tokens that a task "
        "takes. A vote begins with one sample and doubles the samples from point to "
        "point. The last charts show how long and how right the stage's answers were at each of its own evaluations.",
        key="thinking",
    )
    replace_file(stage.path / PAGE, encode(page))
    return stage.path / PAGE


def _drawn(name: str, found: Thinking, mode: Mode) -> list[Any]:
    """Gives the chart of a mode; none where a side has not two points of it, or all cost much the same."""
    from rlvr.runs.page.figures import Chart, Series

    lines: list[Series] = []
    for colour, (side, points) in enumerate((("parent", found.parent), ("child", found.child))):
        own = curve(points, mode) if any(point.mode == mode for point in points) else []
        if len(own) < 2:
            return []
        rates = [(point.tokens, point.accuracy.mean, point.accuracy.low, point.accuracy.high) for point in own]
        lines.append(Series(side, colour, *(tuple(column) for column in zip(*rates, strict=True))))
    spread = max(line.x[-1] / max(line.x[0], 1e-9) for line in lines)
    if spread < LEAST_SPREAD:
        return []
    doublings = spread >= DOUBLINGS
    return [Chart(f"{name}: {TITLES[mode]}", "tokens a task", "right", "rate", tuple(lines), doublings=doublings)]


def _lengths(name: str, points: Sequence[LengthPoint]) -> Any:
    from rlvr.runs.page.figures import Chart, Series

    rates = [(point.tokens, point.accuracy.mean, point.accuracy.low, point.accuracy.high) for point in points]
    line = Series("child", 1, *(tuple(c) for c in zip(*rates, strict=True)))
    return Chart(f"{name}: step {points[0].step} to {points[-1].step}", "tokens a completion", "right", "rate", (line,))
