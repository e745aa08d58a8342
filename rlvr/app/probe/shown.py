"""How a probe is printed: a table, what it means, time and memory, and what to change."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.memory import bytes_text
from rlvr.app.probe.probe import StageProbe
from rlvr.app.progress import duration_text
from rlvr.runs.atomic import strict_json
from rlvr.runs.summary import bars
from rlvr.statistics.intervals import Interval

COLUMNS = 120
BUSY = 0.8
"""Below this share of a core, a machine with other work is named beside the time."""


def print_probe(found: Sequence[StageProbe], *, as_json: bool) -> None:
    """Prints all probes to stdout: for people, or one JSON object."""
    if as_json:
        print(strict_json({"stages": [{**asdict(one), "refused": one.refused} for one in found]}))
        return
    console = Console(width=None if sys.stdout.isatty() else COLUMNS)
    for number, one in enumerate(found):
        for line in [*([""] if number else []), *heading(one), ""]:
            console.print(line, highlight=False, markup=False)
        console.print(probe_table(one))
        for line in ["", *meaning(one), *costs(one), "", *verdict(one)]:
            console.print(line, highlight=False, markup=False)


def heading(one: StageProbe) -> list[str]:
    """Says what was sampled."""
    first = one.trial.conditions[0]
    lines = [
        f"{one.stage}: up to {max(found.num_tasks for found in one.trial.conditions)} tasks of each domain, "
        f"{first.num_samples} samples of each, by {one.start.checkpoint}"
    ]
    if one.start.not_run:
        lines.append(
            f"The stages before it are not run yet ({', '.join(one.start.not_run)}): these are figures of the model "
            "before them, and they may change a lot."
        )
    if one.start.note:
        lines.append(f"{one.start.note}.")
    return lines


def probe_table(one: StageProbe) -> Table:
    """Gives a row per domain, rates in percent with their 95% intervals."""
    conditions = one.trial.conditions
    samples, size = conditions[0].num_samples, conditions[0].group_size
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        caption=(
            "percent [95% interval]. Bars: tasks by the share of right samples: none, to 1/4, to 1/2, to 3/4, more, "
            "all. Copies: training tasks of which 80% of the n-grams of words stand in held-out ones."
        ),
        caption_justify="left",
    )
    table.add_column("domain", overflow="fold")
    table.add_column("tasks\n0 ‥ 1", no_wrap=True)
    headings = ("one sample\nis right", f"groups of {size}\nwith a signal", f"one of {samples}\nis right")
    for head in (*headings, f"cut off at\n{one.max_completion_tokens} tokens", "tokens:\nmean, 95%", "copies"):
        table.add_column(head, justify="right", no_wrap=True)
    for found in conditions:
        lengths, copies = found.lengths, found.contamination
        table.add_row(
            found.domain,
            bars(found.histogram),
            *map(_interval, (found.pass_at_1, found.mixed_rate, found.pass_at_k)),
            _interval(lengths.truncated_rate) if lengths else "–",
            f"{lengths.mean_tokens:.0f}, {lengths.p95_tokens:.0f}" if lengths else "–",
            f"{100 * copies.copy_rate:.1f}" if copies else "–",
        )
    return table


def meaning(one: StageProbe) -> list[str]:
    """Says what signal and ceiling mean here, and which tasks are held out."""
    samples = one.trial.conditions[0].num_samples
    lines = [
        _signal(one),
        f"ceiling: RL mostly makes one sample as good as {samples} together are now; what none of {samples} solves, "
        "it seldom learns.",
    ]
    if equal := {name: count for name, count in one.equal.items() if count}:
        said = ", ".join(f"{count:,} of {name}" for name, count in equal.items())
        lines.append(f"held out: {said} are evaluation tasks themselves, and are left out of training.")
    return lines


def _signal(one: StageProbe) -> str:
    if not one.trial.compares:
        return "signal: the algorithm compares no samples of one task with each other, so a group need not be mixed."
    told = "how many of a step do is not known, as too few samples have an outcome"
    if one.trial.signal_rate is not None:
        told = (
            f"about {one.trial.signal_rate * one.prompts_per_step:.0f} of the {one.prompts_per_step} of a step do now"
        )
    return f"signal: only groups with right and wrong samples teach; {told}."


def costs(one: StageProbe) -> list[str]:
    """Says how long the stage takes and how much memory, and how that was told."""
    pace = one.trial.pace
    speed = pace.sampled_tokens / pace.sampling_seconds
    told = (
        f"{pace.step_completions:,} completions and their verdicts (at the {speed:,.0f} tokens/s measured here on "
        f"{pace.sampled_completions:,})"
    )
    if pace.learning_seconds:
        told += f", and {pace.step_learning_seconds:.1f} s of learning (measured on {pace.learned_completions})"
    else:
        told += "; learning could not be timed, as no group gave a signal"
    whole, longest = (duration_text(one.steps * each) for each in (pace.step_seconds, pace.longest_step_seconds))
    if pace.sampled_completions < pace.step_completions:
        told += ". Few at once are slow, so it will rather be less; --tasks says how many are sampled"
    lines = [
        f"time: about {whole} for {one.steps:,} steps, {pace.step_seconds:.1f} s each: "
        f"{pace.step_sampling_seconds:.1f} s for {told}.",
        f"      Up to {longest} if answers grow to {one.max_completion_tokens} tokens; evaluations come on top.",
    ]
    if pace.cpu_share < BUSY:
        lines.append(
            f"      rlvr itself ran {pace.cpu_share:.0%} of the time measured; the rest it waited, for verifiers or "
            "for a core that had other work. Alone on the machine a step is shorter."
        )
    if not one.memory:
        return [*lines, "memory: unknown for this kind of model"]
    total = bytes_text(sum(one.memory.values()))
    held = f"this probe itself held {bytes_text(one.peak_bytes)} at most"
    return [*lines, f"memory: about {total} by the model's numbers; {held}; {bytes_text(one.free_bytes)} was free."]


def verdict(one: StageProbe) -> list[str]:
    """Says what fails and what to change; what helps several domains is said once."""
    if not one.findings:
        return ["All conditions hold: there is something to learn from."]
    lines = ["What does not hold:", *(f"  {finding.domain}: {finding.problem}" for finding in one.findings), ""]
    helped: dict[str, list[str]] = {}
    for finding in one.findings:
        for change in finding.advice:
            if finding.domain not in helped.setdefault(change, []):
                helped[change].append(finding.domain)
    lines += ["What would help:", *(f"  {change}  ({', '.join(names)})" for change, names in helped.items()), ""]
    if one.refused:
        return [*lines, f"The recipe requires these conditions ({one.key}.conditions.required): the stage would stop."]
    stops = one.can_require and not one.required and any(finding.stops for finding in one.findings)
    stop = f"; {one.key}.conditions.required=true would stop it" if stops else ""
    return [*lines, f"These are warnings: it would be trained all the same{stop}."]


def _interval(rate: Interval | None) -> str:
    if rate is None:
        return "–"
    # An escaped bracket: rich reads a plain one as markup.
    return f"{100 * rate.mean:.0f} \\[{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
