"""Which charts the page has, and the sentence under each that says how to read it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.runs.glossary import SOLVED, trained_domains
from rlvr.runs.page.facts import Facts, Stage
from rlvr.runs.page.figures import Chart, Scale, Series
from rlvr.runs.report import REINFORCED
from rlvr.statistics.intervals import Interval

WINDOW_SHARE = 0.1
"""The moving mean covers this share of the steps."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Charts that are read in the same way: a heading, the sentence that says how, and the names of the lines."""

    heading: str
    caption: str
    lines: tuple[str, ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric of RLVR's steps as a chart: its name, how the page calls it, and how to read it."""

    metric: str
    heading: str
    y_label: str
    scale: Scale
    caption: str


LENGTH = Curve(
    "rollout/completion_tokens_mean",
    "Length of the answers",
    "tokens",
    "number",
    "Mean length of an answer, in tokens. A rising line means that the model writes more before it answers.",
)
KL = Curve(
    "train/kl",
    "Distance from the start (KL)",
    "nats per token",
    "number",
    "How far the model has moved from the one that RLVR started with. It begins at 0; a sudden jump of the bold line "
    "is a warning.",
)
NO_SIGNAL = Curve(
    "rollout/informative_rate",
    "Groups without a signal",
    "share of groups",
    "rate",
    "Share of tasks whose answers were all right or all wrong, so that nothing could be learned from them. Lower means "
    "that less work was wasted.",
)
ENTROPY = Curve(
    "train/entropy",
    "Indecision (entropy)",
    "nats per token",
    "number",
    "How undecided the model is about its next token. A fall to 0 means that it always writes the same and has stopped "
    "exploring.",
)
CLIPPED = Curve(
    "train/clip_high_rate",
    "Tokens held back (clipped)",
    "share of tokens",
    "share",
    "Share of tokens, at either bound, whose change was held back because it was too large for one update. Small "
    "values are normal.",
)
_CLIP_LOW = "train/clip_low_rate"


def curves(stage: Stage) -> list[Panel]:
    """Gives the curves over the steps of an RLVR stage; a metric that was not written has none."""
    lines = stage.metrics()
    window = max(3, round(WINDOW_SHARE * len(lines)))
    how = f"The line is the mean of {window} steps, the faint one the single steps."
    panels = []
    solved = [(name, _values(lines, SOLVED + name)) for name in trained_domains(lines)]
    charts = [_over_steps(name, "answers right", "rate", x, y, window) for name, (x, y) in solved if x]
    if charts:
        caption = f"Share of the answers to training tasks that are right, per domain. Higher is better. {how}"
        panels.append(Panel("Answers right during training", caption, (), tuple(charts)))
    for curve in (LENGTH, KL, NO_SIGNAL, ENTROPY, CLIPPED):
        x, y = _values(lines, curve.metric)
        if curve is NO_SIGNAL:
            y = [1 - value for value in y]
        if curve is CLIPPED:
            low = dict(zip(*_values(lines, _CLIP_LOW), strict=True))
            y = [value + low.get(step, 0.0) for step, value in zip(x, y, strict=True)]
        if x:
            chart = _over_steps(curve.heading, curve.y_label, curve.scale, x, y, window)
            caption = f"{curve.caption}{_kl_sample(stage)}" if curve is KL else curve.caption
            panels.append(Panel(curve.heading, caption, (), (chart,)))
    return [*panels, *_proxy_and_truth(lines, window, in_rounds=stage.kind == "iterate")]


def _proxy_and_truth(lines: Sequence[Mapping[str, float]], window: int, *, in_rounds: bool) -> list[Panel]:
    """Gives what a reward model says and what is true, both over the KL; nothing where no reward model was asked.

    In rounds the KL begins again and again, so that both are drawn over the steps.
    """
    names = ["rollout/score_mean", "rollout/outcome_mean", *([] if in_rounds else [KL.metric])]
    found = [line for line in lines if all(math.isfinite(line.get(name, math.nan)) for name in names)]
    if not found:
        return []
    score, right, *kl = (moving_mean([line[name] for line in found], window) for name in names)
    x = kl[0] if kl else [line["step"] + 1 for line in found]
    x_label, how = ("KL, nats per token", "how far the model has moved") if kl else ("step", "the steps of all rounds")
    best = max(range(len(right)), key=right.__getitem__)
    then, end = (f"at {x[at]:.2g} nats per token" if kl else f"at step {x[at]:.0f}" for at in (best, -1))
    caption = (
        f"Left what the reward model gives, which training raises; right what is true. Both by {how}, from the first "
        "step to the last. Where the left one still rises and the right one falls, the model has learned to please the "
        f"reward model. The share right was highest, {100 * right[best]:.0f}%, {then}, and is "
        f"{100 * right[-1]:.0f}% {end.removesuffix(' nats per token')}, the end."
    )
    charts = (
        Chart("Score", x_label, "mean score", "signed", (Series("Score", 0, tuple(x), tuple(score)),)),
        Chart("Right answers", x_label, "answers right", "rate", (Series("Right", 0, tuple(x), tuple(right)),)),
    )
    return [Panel("Proxy and truth", caption, (), charts)]


def _kl_sample(stage: Stage) -> str:
    """Gives the sentences that say from where the KL counts in rounds, and on how few groups it rests."""
    anew = " Each round begins again at 0." if stage.kind == "iterate" else ""
    groups, prompts = stage.settings.get("kl_groups", 0), stage.settings.get("prompts_per_step", 0)
    if not 0 < groups < prompts:
        return anew
    answers = groups * stage.settings["group_size"]
    return (
        f"{anew} Each point rests on {groups} of the {prompts} groups of its step, {answers} answers, so single points "
        "jump; read the bold line."
    )


def _values(lines: Sequence[Mapping[str, float]], metric: str) -> tuple[list[float], list[float]]:
    """Gives steps, counted from 1, and values of a metric where it was written and is a number."""
    found = [(line["step"] + 1, line[metric]) for line in lines if math.isfinite(line.get(metric, math.nan))]
    return [step for step, _ in found], [value for _, value in found]


def _over_steps(title: str, y_label: str, scale: Scale, x: Sequence[float], y: Sequence[float], window: int) -> Chart:
    series = Series(title, 0, tuple(x), tuple(moving_mean(y, window)), raw=tuple(y))
    return Chart(title, "step", y_label, scale, (series,))


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Gives for each value the mean of the `window` values around it, fewer at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low = np.maximum(places - window // 2, 0)
    high = np.minimum(places - window // 2 + window, len(values))
    return [float(value) for value in (sums[high] - sums[low]) / (high - low)]


def pass_at_k_panel(before: Stage, after: Stage) -> Panel | None:
    """Gives pass@k of both stages, a chart per domain; None where neither was measured."""
    caption = (
        "The chance that at least one of k answers is right. Read the left end as reliability and the right end as "
        "reach: where the lines meet at the right, training made the model surer of what it could find before; where "
        "the solid one stays above, it finds more. The bands are 95% intervals."
    )
    return _compared("Right within k answers (pass@k)", caption, before, after, "pass_at_k", "k", "chance")


def rung_panel(before: Stage, after: Stage) -> Panel | None:
    """Gives pass@1 by rung of both stages, a chart per domain that has rungs; None where none has."""
    caption = (
        "The chance that a single answer is right, by difficulty: rung 1 is the easiest. A solid line that reaches "
        "further to the right before it falls means that harder tasks were learned. The bands are 95% intervals."
    )
    return _compared("By difficulty", caption, before, after, "rungs", "rung", "pass@1")


def _compared(heading: str, caption: str, before: Stage, after: Stage, field: str, x: str, y: str) -> Panel | None:
    charts = []
    for name, domain in after.report.domains.items() if after.report else ():
        new: Mapping[int, Interval] = getattr(domain, field)
        parent = before.report.domains.get(name) if before.report else None
        old: Mapping[int, Interval] = getattr(parent, field) if parent else {}
        ticks = tuple(float(value) for value in sorted({*new, *old}))
        if ticks:
            series = [_rates(after.name, 0, new), *([_rates(before.name, 1, old)] if old else [])]
            charts.append(Chart(name, x, y, "rate", tuple(series), ticks))
    return Panel(heading, caption, (after.name, before.name), tuple(charts)) if charts else None


def _rates(label: str, colour: int, rates: Mapping[int, Interval]) -> Series:
    found = sorted(rates.items())
    return Series(
        label,
        colour,
        tuple(float(x) for x, _ in found),
        tuple(rate.mean for _, rate in found),
        tuple(rate.low for _, rate in found),
        tuple(rate.high for _, rate in found),
    )


def rlvr_stages(facts: Facts) -> list[Stage]:
    """Gives the RLVR stages that have taken a step."""
    return [stage for stage in facts.stages if stage.kind in REINFORCED and stage.metrics()]
