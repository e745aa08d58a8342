"""What a report says in words: its first line, a line per gain, and tables."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from rlvr.config.data import CHAT
from rlvr.runs.report import MIN_WORKING_TASKS, REINFORCED, Condition, StageReport
from rlvr.statistics.intervals import Interval, mean_of

BEYOND_POINTS = 0.10
"""How far RLVR must lie above every ancestor's strongest readout in a domain."""
BEYOND_DOMAINS = 2
"""In how many domains it must."""
BEYOND = "beyond"
ABOVE = f"above, by less than {100 * BEYOND_POINTS:.0f} points"
ELICITED = "elicitation only"
BELOW = "below"
LABELS = (BEYOND, ABOVE, ELICITED, BELOW)
"""What is said of a domain, the best first, wherever RLVR is held against the stages before."""
BARS = "▁▂▃▄▅▆▇█"
WIDE = 96
"""From how many columns on a table has an interval beside its rate, not under it."""
WIDE_WITH_BEST = 112
"""The same for a table that has a column more."""


def headline(stages: Sequence[StageReport]) -> str:
    """Gives the report's first line: whether the last RLVR stage learned what no stage before could be made to show.

    Two domains with the label "beyond" are asked for, or one where there is but one; short of that the line begins
    with "Elicitation only". Every domain is named under its label. Empty where no RLVR stage was measured in a domain
    that it trained on.
    """
    last = next((stage for stage in reversed(stages) if stage.beyond and stage.went_on), None)
    if last is None:
        return ""
    found = last.beyond
    points = {
        kind: ", ".join(f"{name} {100 * b.gain.mean:+.1f}" for name, b in found.items() if label(b.gain) == kind)
        for kind in LABELS
    }
    but = f", without {' and '.join(last.continues)}, which it continues" if last.continues else ""
    unit = f"(points of greedy accuracy over the strongest readout of any stage before{but})"
    rest = [f"{kind}: {points[kind]}" for kind in LABELS if points[kind]]
    if not points[BEYOND] and not points[ABOVE]:
        return f"Elicitation only: {'; '.join(rest).removeprefix(f'{ELICITED}: ')} {unit}"
    reached = sum(is_beyond(beyond.gain) for beyond in found.values())
    asked_for = min(BEYOND_DOMAINS, len(found))
    share = f"{reached or 'none'} of {len(found)} {'domain' if len(found) == 1 else 'domains'}"
    if reached < asked_for:
        return f"Elicitation only on the whole (beyond in {share}, {asked_for} asked for): {'; '.join(rest)} {unit}"
    return f"Beyond elicitation in {share}: {'; '.join([points[BEYOND], *rest[1:]])} {unit}"


def is_beyond(gain: Interval) -> bool:
    """Says whether a gain over the strongest readout before is more than elicitation: large, and not by chance."""
    return gain.mean >= BEYOND_POINTS and gain.low > 0


def label(gain: Interval) -> str:
    """Gives the one of LABELS that a gain over the strongest readout before has."""
    if is_beyond(gain):
        return BEYOND
    if gain.high < 0:
        return BELOW
    return ABOVE if gain.low > 0 and gain.mean < BEYOND_POINTS else ELICITED


def gain_lines(stages: Sequence[StageReport]) -> list[str]:
    """Gives a line per stage and domain: how far pass@1 rose over the stage before, in points, and what it writes.

    After those of an RLVR stage follows, per trained domain, what its greedy answers have over the strongest readout,
    its label, and pass@16 of the stage before and its own, what the mean gain cost, and what evaluations on the way
    tell of that; then, where it was measured, how perplexity changed.
    """
    lines = []
    for before, stage in with_ancestor(stages):
        lines += [
            f"{stage.name} over {before.name}, {name}: pass@1 {found.gain.points()}{_length(name, before, stage)}"
            for name, found in stage.domains.items()
            if found.gain is not None
        ]
        lines += [
            f"{stage.name} over the strongest readout ({found.stage}, "
            f"{_asked(found.prompt, found.temperature, first_prompt(stage))}, {100 * found.accuracy.mean:.1f}%), "
            f"{name}: greedy {found.gain.points()}: {label(found.gain)}{_reach(name, before, stage)}"
            for name, found in stage.beyond.items()
        ]
        if worth := _worth(stage):
            lines.append(f"{stage.name} over {before.name}, mean of the trained domains: pass@1 {worth}")
        lines += [f"{stage.name}: {said}" for said in stage.returned]
        if change := perplexity_change(before, stage):
            since = f", {perplexity_change(stages[0], stage)} from {stages[0].name}" if before is not stages[0] else ""
            lines.append(f"{stage.name}, perplexity of held-out text: {change} from {before.name}{since}")
    return lines


def with_ancestor(stages: Sequence[StageReport]) -> Iterator[tuple[StageReport, StageReport]]:
    """Gives each stage after the base with the one that it builds on: the last before it that went on."""
    before = stages[0] if stages else None
    for stage in stages[1:]:
        assert before is not None, "there is a first one"
        yield before, stage
        before = stage if stage.went_on else before


def perplexity_change(before: StageReport, after: StageReport) -> str:
    """Gives by how much the perplexity of held-out text changed, in percent; empty where it was not measured."""
    if before.perplexity is None or after.perplexity is None:
        return ""
    change = round(100 * (after.perplexity / before.perplexity - 1), 1)
    return f"{change + 0.0:+.1f}%"  # Never -0.0.


def _length(name: str, before: StageReport, after: StageReport) -> str:
    """Gives the mean length of an answer before and after, which is what pairs of style are about."""
    old, new = (stage.domains.get(name) for stage in (before, after))
    return "" if old is None or new is None else f"; {old.tokens:.0f} → {new.tokens:.0f} tokens"


def _reach(name: str, before: StageReport, after: StageReport) -> str:
    """Gives pass@16 before and after: where greedy answers gain and it does not, training made sampling surer."""
    old, new = (stage.domains[name].pass_at_16 if name in stage.domains else None for stage in (before, after))
    return "" if old is None or new is None else f"; pass@16 {100 * old.mean:.1f}% → {100 * new.mean:.1f}%"


def _worth(stage: StageReport) -> str:
    """Gives what an RLVR stage gained in the mean of the domains that it trained on, and for what compute."""
    named = [stage.domains[name].gain for name in stage.beyond if name in stage.domains]
    gains = [gain for gain in named if gain is not None]
    if stage.kind not in REINFORCED or not gains or not stage.cpu_seconds:
        return ""
    gain = mean_of(gains)
    seconds, unit = (stage.gpu_seconds, "GPU") if stage.gpu_seconds else (stage.cpu_seconds, "CPU")
    if gain.low <= 0 <= gain.high:
        return f"{gain.points()} in {seconds:.0f} {unit}-seconds: no gain that can be told from chance"
    return f"{gain.points()} in {seconds:.0f} {unit}-seconds, {100 * gain.mean / (seconds / 100):+.2f} in a hundred"


def readout_lines(stage: StageReport) -> list[str]:
    """Gives a line per domain and readout of a stage: how it was asked, and the share right."""
    return [
        f"{name}, {_asked(found.prompt, found.temperature, domain.prompt)}: {100 * found.accuracy.mean:.1f}% "
        f"[{100 * found.accuracy.low:.0f}, {100 * found.accuracy.high:.0f}]"
        for name, domain in stage.domains.items()
        for found in domain.readouts
    ]


def first_prompt(stage: StageReport) -> str:
    """Gives how a stage's samples were asked; the chat where nothing was."""
    return next((domain.prompt for domain in stage.domains.values() if domain.readouts), CHAT)


def quoted(prompt: str) -> str:
    """Gives a prompt as it stands in a recipe, on one line."""
    return f'"{prompt}"'.replace("\n", "\\n")


def _asked(prompt: str, temperature: float, first: str) -> str:
    """Says how a readout was asked; the first prompt, under which all else is measured, is not named."""
    how = "greedy" if temperature == 0 else f"temperature {temperature:g}"
    return how if prompt == first else f"{how}, prompt {quoted(prompt)}"


def report_table(stages: Sequence[StageReport], *, width: int = 100) -> Table:
    """Gives a table with a row per stage and domain, rates in percent with their 95% intervals.

    Fits `width` columns down to 80; below 96 an interval stands under its rate. A domain that no stage so far trained
    on is marked with *. Where checkpoints were read out in several ways, a column says how well the best one did.
    """
    several = any(len(domain.readouts) > 1 for stage in stages for domain in stage.domains.values())
    between = " " if width >= (WIDE_WITH_BEST if several else WIDE) else "\n"
    best = "; best: of all prompts and temperatures" if several else ""
    asked = {first_prompt(stage) for stage in stages if stage.domains} - {CHAT}
    best += f"; asked as {' and '.join(map(quoted, sorted(asked)))}" if asked else ""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption=f"percent [95% interval]; CPU-s and KL of the stage; * not trained on so far{best}",
    )
    table.add_column("stage", overflow="fold")
    table.add_column("domain", overflow="fold")
    headings = ["pass@1", "pass@16", "greedy", *(["best"] if several else [])]
    for heading in (*headings, "tokens", "KL", "no\nsignal", "CPU-s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in stages:
        cost = (_fixed(stage.kl, 3), _percent(stage.no_signal_rate), _fixed(stage.cpu_seconds, 0))
        for index, (name, domain) in enumerate(stage.domains.items()):
            rates = [_interval(rate, between) for rate in (domain.pass_at_1, domain.pass_at_16, domain.greedy)]
            table.add_row(
                _marked(stage) if index == 0 else "",
                name if domain.trained else f"{name}*",
                *rates,
                *([_rate(domain.best.mean)] if several else []),
                _fixed(domain.tokens, 0),
                *(cost if index == 0 else ("", "", "")),
                end_section=index == len(stage.domains) - 1,
            )
        if not stage.domains:
            table.add_row(stage.name, "–", *["–"] * len(headings), "–", *cost, end_section=True)
    return table


def _marked(stage: StageReport) -> str:
    return stage.name if stage.went_on else f"{stage.name} (rejected)"


def condition_table(conditions: Sequence[Condition]) -> Table:
    """Gives a table with a row per domain: what RLVR finds there before it starts, in percent with 95% intervals.

    What working is worth is a difference in points, over the tasks that have samples with it and without. Under a
    domain's name stand its tasks by the share right of their samples, as bars.
    """
    caption = (
        "percent [95% interval]; gain in points, within the tasks that have samples of both kinds (judged from "
        f"{MIN_WORKING_TASKS} on, else open); bars: tasks by how many of their samples are right, from none to all"
    )
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, caption=caption)
    table.add_column("before RLVR", overflow="fold")
    samples, size = (conditions[0].num_samples, conditions[0].group_size) if conditions else (0, 0)
    working = ("working,\ncut off", "right with,\nwithout it", "gain,\npaired")
    for heading in (*working, "pass@1", f"pass@{samples}", f"mixed\nof {size}", "holds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for found in conditions:
        worth = found.working
        cut = _rate(found.lengths.truncated_rate.mean) if found.lengths else "–"
        table.add_row(
            f"{found.domain}\n{bars(found.histogram)}",
            f"{_rate(found.working_rate)}\n{cut}",
            *(
                ("–", "–")
                if worth is None
                else (f"{_rate(worth.shown)}\n{_rate(worth.hidden)}", _interval(worth.gain, "\n"))
            ),
            *(_interval(rate, "\n") for rate in (found.pass_at_1, found.pass_at_k, found.mixed_rate)),
            found.holds,
        )
    return table


def bars(counts: Sequence[int]) -> str:
    """Gives a bar for each count, one character high, the largest full; a point where there is none."""
    return "".join(BARS[-(-8 * count // max(counts)) - 1] if count else "·" for count in counts)


def _interval(rate: Interval | None, between: str) -> str:
    if rate is None:
        return "–"
    # An escaped bracket: rich reads a plain one as markup.
    return f"{_rate(rate.mean)}{between}\\[{100 * rate.low:.0f},{100 * rate.high:.0f}]"


def _rate(value: float) -> str:
    return "100" if value >= 0.9995 else f"{100 * value:.1f}"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.0f}%"


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
