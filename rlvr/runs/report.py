"""What each stage gained and what it cost: report.json, and the same as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from rich import box
from rich.table import Table

from rlvr.runs.folder import Run
from rlvr.statistics.intervals import Interval

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class DomainReport:
    """How a checkpoint does in one domain. Rates in [0, 1]; `tokens` is the mean length of a completion.

    `trained` says whether the stage, or one before it, trained on this domain. `pass_at_16` is None where fewer than
    16 completions were drawn, `greedy` where none was. `gain` is the rise of pass@1 over the stage before, by task.
    """

    trained: bool
    pass_at_1: Interval
    pass_at_16: Interval | None
    greedy: Interval | None
    gain: Interval | None
    tokens: float


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage, or the base before all stages.

    `kl` is in nats per token from the reference, `perplexity` of held-out text, `no_signal_rate` the share of groups
    that gave no signal: each None where the stage has none. Both durations cover the stage's training.
    """

    name: str
    kind: str
    checkpoint: str
    cpu_seconds: float
    seconds: float
    domains: Mapping[str, DomainReport]
    kl: float | None
    perplexity: float | None
    no_signal_rate: float | None


def write_report(run: Run, stages: Sequence[StageReport]) -> Path:
    """Writes report.json into the run, stages in the order given, the base first, and gives its path."""
    run.write_json(REPORT, {"stages": [asdict(stage) for stage in stages]})
    return run.path / REPORT


def read_report(run: Run) -> list[StageReport]:
    """Gives the stages in the run's report.json. Raises RunError when there is none."""
    return [
        StageReport(**{**stage, "domains": {name: read_domain(entry) for name, entry in stage["domains"].items()}})
        for stage in run.read_json(REPORT)["stages"]
    ]


def report_table(stages: Sequence[StageReport], *, width: int = 100) -> Table:
    """Gives a table with a row per stage and domain, rates in percent with their 95% intervals.

    Fits `width` columns down to 80; below 96 an interval stands under its rate. A domain that no stage so far trained
    on is marked with *.
    """
    between = " " if width >= 96 else "\n"
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption="percent [95% interval]; CPU-s and KL of the stage; * not trained on so far",
    )
    table.add_column("stage", overflow="fold")
    table.add_column("domain", overflow="fold")
    for heading in ("pass@1", "pass@16", "greedy", "tokens", "KL", "no\nsignal", "CPU-s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in stages:
        cost = (_fixed(stage.kl, 3), _percent(stage.no_signal_rate), _fixed(stage.cpu_seconds, 0))
        for index, (name, domain) in enumerate(stage.domains.items()):
            rates = (domain.pass_at_1, domain.pass_at_16, domain.greedy)
            table.add_row(
                stage.name if index == 0 else "",
                name if domain.trained else f"{name}*",
                *(_interval(rate, between) for rate in rates),
                _fixed(domain.tokens, 0),
                *(cost if index == 0 else ("", "", "")),
                end_section=index == len(stage.domains) - 1,
            )
        if not stage.domains:
            table.add_row(stage.name, "–", "–", "–", "–", "–", *cost, end_section=True)
    return table


def gain_lines(stages: Sequence[StageReport]) -> list[str]:
    """Gives a line per stage and domain: how far pass@1 rose over the stage before, in points."""
    return [
        f"{stage.name} over {before.name}, {name}: pass@1 {100 * found.gain.mean:+.1f} points "
        f"[{100 * found.gain.low:+.1f}, {100 * found.gain.high:+.1f}]"
        for before, stage in pairwise(stages)
        for name, found in stage.domains.items()
        if found.gain is not None
    ]


def read_domain(entry: Mapping[str, object]) -> DomainReport:
    """Gives the domain that its JSON object says."""
    intervals = {name: _read_interval(entry[name]) for name in ("pass_at_1", "pass_at_16", "greedy", "gain")}
    return DomainReport(**{**entry, **intervals})  # type: ignore[arg-type]


def _read_interval(entry: object) -> Interval | None:
    return Interval(**entry) if isinstance(entry, dict) else None


def _interval(rate: Interval | None, between: str) -> str:
    if rate is None:
        return "–"
    mean, low, high = (100 * value for value in (rate.mean, rate.low, rate.high))
    # An escaped bracket: rich reads a plain one as markup.
    return f"{'100' if mean >= 99.95 else f'{mean:.1f}'}{between}\\[{low:.0f},{high:.0f}]"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.0f}%"


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
