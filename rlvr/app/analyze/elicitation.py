"""`rlvr analyze elicitation`: what a stage taught, and what it only made the model surer of."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.analyze.kept import Kept
from rlvr.app.analyze.sides import Asked, Side, Sides, ask, open_sides, sample
from rlvr.app.drawing import drawing
from rlvr.app.progress import Progress
from rlvr.config.data import EvaluateConfig
from rlvr.errors import VerifierError
from rlvr.runs.atomic import encode, replace_file, strict_json
from rlvr.runs.folder import Run
from rlvr.runs.lock import locked
from rlvr.stages.elicitation import (
    FEW_SAMPLES,
    Counts,
    DomainElicitation,
    Overall,
    SideCounts,
    Verdict,
    domain_elicitation,
    overall_of,
)
from rlvr.stages.evaluate import READOUT_SAMPLES, Way
from rlvr.statistics.intervals import Interval
from rlvr.types import Group

RESULT = "elicitation.json"
PAGE = "elicitation.html"
SAMPLES = "elicitation-samples.jsonl"
LOW_SHARE = 0.3
"""The low temperature, of the evaluation's, where the recipe names none."""
NEAR_ALL = 0.95
"""Above this share of tasks there is little left to be taught."""

WORDS: Mapping[Verdict, str] = {
    "taught": "taught: it solves tasks that the parent does not find in as many samples",
    "sharpened": "sharpened: one sample is right more often, and nothing shows that more can be found",
    "lost reach": "lost reach: the parent finds answers that it no longer finds",
    "lost sureness": "lost sureness: one sample is right less often, and nothing shows that more can be found",
    "no change": "no change can be told from chance",
    "higher": "higher: it solves more, and so few samples do not tell whether the parent could find that too",
    "lower": "lower: it solves less, and so few samples do not tell whether it could find that still",
}


@dataclass(frozen=True, slots=True)
class Elicitation:
    """What a stage did to what the model can do: `samples` of each task at `temperature`, `low_temperature` for the
    parent's low readout. `parent` and `child` are the folders of the stages that made them."""

    parent: str
    child: str
    samples: int
    temperature: float
    low_temperature: float
    domains: Mapping[str, DomainElicitation]
    overall: Overall


def analyze_elicitation(
    path: Path, *, stage: str = "", samples: int = 128, limit: int | None = None, domains: Sequence[str] = ()
) -> tuple[Run, Elicitation]:
    """Gives a stage's folder and what it elicited; both checkpoints are sampled, which is kept in the folder.

    Raises what `open_sides` and `ask` do, and VerifierError where no task has an outcome for all of its samples.
    """
    sides = open_sides(path, stage=stage, word="elicitation")
    found: dict[str, dict[str, SideCounts]] = {}
    with locked(sides.stage.path), Progress() as progress:
        kept = Kept(sides.stage.path / SAMPLES)
        for side in sides.both:
            found[side.name] = _counts(sides, side, kept, progress, samples=samples, limit=limit, domains=domains)
        sides.house.scorer.close()
        report = report_of(sides, found["parent"], found["child"], samples=samples)
        sides.stage.write_json(RESULT, asdict(report))
    return sides.stage, report


def report_of(
    sides: Sides, parent: Mapping[str, SideCounts], child: Mapping[str, SideCounts], *, samples: int
) -> Elicitation:
    """Gives the report from what both did in each domain. Raises VerifierError where nothing can be compared."""
    both = [name for name in parent if name in child]
    made = {name: domain_elicitation(parent[name], child[name], samples=samples) for name in both}
    domains = {name: entry for name, entry in made.items() if entry is not None}
    overall = overall_of(domains, sides.done["domains"])
    if overall is None:
        raise VerifierError(
            "no task has an outcome for every sample of both checkpoints", hint="rlvr doctor checks the verifiers"
        )
    evaluation = sides.evaluation
    low = low_temperature(evaluation)
    return Elicitation(sides.parent_stage, sides.chosen.name, samples, evaluation.temperature, low, domains, overall)


def low_temperature(evaluation: EvaluateConfig) -> float:
    """Gives the temperature of the low readout: the recipe's, or LOW_SHARE of that of the samples."""
    return evaluation.low_temperature or LOW_SHARE * evaluation.temperature


def _counts(
    sides: Sides,
    side: Side,
    kept: Kept,
    progress: Progress,
    *,
    samples: int,
    limit: int | None,
    domains: Sequence[str],
) -> dict[str, SideCounts]:
    """Gives by domain what a side did; what `kept` knows is not sampled again."""
    asked = ask(sides, side, domains=domains, limit=limit)
    evaluation = sides.evaluation
    first = evaluation.prompts[0]
    ways = {
        "samples": Way(first, evaluation.temperature, samples, ""),
        "greedy": Way(first, 0.0, 1, ""),
        "low": Way(first, low_temperature(evaluation), READOUT_SAMPLES, ""),
    }
    if side.name == "child":
        del ways["low"]
    tick = ticker(progress, f"{side.name} {_made_by(sides, side)}", asked, sum(w.num_samples for w in ways.values()))
    counts: dict[str, Counts] = {"low": {}}
    for name, way in ways.items():
        known = sample(
            asked, way, kept, max_tokens=evaluation.max_completion_tokens, what="counts", reduce=_solved, tick=tick
        )
        counts[name] = {id_: (int(scored), int(solved)) for id_, (scored, solved) in known.items()}
    by_domain: dict[str, list[str]] = {}
    for draw in asked.draws:
        by_domain.setdefault(draw.task.domain, []).append(draw.task.id)
    return {domain: SideCounts(**{way: _of(counts[way], ids) for way in counts}) for domain, ids in by_domain.items()}


def _of(counts: Counts, ids: Sequence[str]) -> Counts:
    return {id_: counts[id_] for id_ in ids if id_ in counts}


def ticker(progress: Progress, title: str, asked: Asked, per_task: int) -> Callable[[int], None]:
    """Gives a function that is told how many completions were made; those of the first calls may be known already."""
    listener = progress.stage(title, per_task * len(asked.draws), unit="completion")

    def tick(count: int) -> None:
        if count:
            listener(listener.done + count - 1, {})

    return tick


def _made_by(sides: Sides, side: Side) -> str:
    return sides.parent_stage if side.name == "parent" else sides.chosen.name


def _solved(groups: Sequence[Group]) -> dict[str, tuple[int, int]]:
    return {group.task.id: (group.num_scored, group.num_solved) for group in groups}


def sentences(report: Elicitation) -> list[str]:
    """Gives in words what the stage did: over all domains first, then domain by domain."""
    whole = report.overall
    lines = [
        f"Over {_over(whole)}, {report.child} {WORDS[whole.verdict]}. pass@1 changed by "
        f"{whole.first.points()}, pass@{whole.k} by {whole.last.points()}."
    ]
    lines += [f"{name}: {_domain_words(found, report)}" for name, found in report.domains.items()]
    if report.samples < FEW_SAMPLES:
        lines.append(
            f"{_count(report.samples, 'sample')} a task say little about what a model can find at all; --samples 128 "
            "is the default."
        )
    lines.append("Intervals are of 95 % and of each domain alone; tasks are what chance draws.")
    return lines


def _over(whole: Overall) -> str:
    number = len(whole.domains)
    which = "that it was trained on" if whole.trained else "that were asked"
    return f"the {number} domains {which}" if number > 1 else f"the one domain {which}"


def _domain_words(found: DomainElicitation, report: Elicitation) -> str:
    first, last = found.points[0], found.points[-1]
    words = [
        f"{WORDS[found.verdict]}. pass@1 {_rate(first.parent.mean)} → {_rate(first.child.mean)} "
        f"({first.difference.points()}), pass@{last.k} {_rate(last.parent.mean)} → {_rate(last.child.mean)} "
        f"({last.difference.points()})."
    ]
    if read := found.readout:
        words.append(
            f"Greedy answers: {_rate(read.parent_greedy.mean)} → {_rate(read.child_greedy.mean)} "
            f"({read.over_greedy.points()})."
        )
    words.append(_crossing(found))
    if found.verdict in ("sharpened", "no change") and last.parent.mean >= NEAR_ALL:
        words.append(f"The parent finds {_rate(last.parent.mean)} by itself, so harder tasks would say more.")
    if found.left_out:
        words.append(f"{_count(found.left_out, 'task')} left out: the verifier could not tell on some sample.")
    return " ".join(word for word in words if word)


def _crossing(found: DomainElicitation) -> str:
    crossover = found.crossover
    if crossover.not_worse_from is None or len(found.points) < 2:
        return ""
    if crossover.better_from is None:
        return f"From k = {crossover.not_worse_from} on the parent finds as much."
    how = "more than chance explains" if crossover.is_told else "within chance"
    return f"From k = {crossover.better_from} on the parent finds more, at k = {found.points[-1].k} {how}."


def _rate(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def elicitation_table(report: Elicitation) -> Table:
    """Gives a row per domain: both ends of the pass@k lines, what only one side solves, and the greedy answers."""
    k = report.overall.k
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("domain")
    table.add_column("tasks", justify="right")
    for head in ("pass@1", f"pass@{k}", "only parent", "only child", "greedy", f"parent at {report.low_temperature:g}"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, found in report.domains.items():
        first, last, read = found.points[0], found.points[-1], found.readout
        table.add_row(
            name,
            str(found.num_tasks),
            _from_to(first.parent, first.child),
            _from_to(last.parent, last.child),
            f"{100 * found.only_parent.mean:.1f}",
            f"{100 * found.only_child.mean:.1f}",
            _from_to(read.parent_greedy, read.child_greedy) if read else "–",
            f"{100 * read.parent_low.mean:.1f}" if read else "–",
            found.verdict,
        )
    return table


def _from_to(parent: Interval, child: Interval) -> str:
    return f"{100 * parent.mean:.1f} → {100 * child.mean:.1f}"


def print_elicitation(report: Elicitation, page: Path, *, as_json: bool) -> None:
    """Prints the report to stdout: table and sentences, or one JSON object."""
    if as_json:
        print(strict_json(asdict(report)))
        return
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(f"parent: {report.parent}\nchild:  {report.child}\nin %:", highlight=False, markup=False)
    console.print(elicitation_table(report))
    for line in sentences(report):
        console.print(line, highlight=False, markup=False)
    console.print(f"drawn: {page}", highlight=False, markup=False, soft_wrap=True)


def write_elicitation_page(stage: Run, report: Elicitation) -> Path:
    """Writes elicitation.html into the stage's folder, self-contained, and gives its path."""
    with drawing(PAGE):
        from rlvr.runs.page.figures import Chart, Series
        from rlvr.runs.page.sheet import sheet

    charts = []
    for name, found in report.domains.items():
        ks = tuple(float(point.k) for point in found.points)
        lines = []
        for colour, side in enumerate(("parent", "child")):
            rates = [point.parent if side == "parent" else point.child for point in found.points]
            columns = zip(*((rate.mean, rate.low, rate.high) for rate in rates), strict=True)
            lines.append(Series(side, colour, ks, *(tuple(column) for column in columns)))
        charts.append(Chart(f"{name}: {found.verdict}", "k", "pass@k", "rate", tuple(lines), ks))
    page = sheet(
        f"What {report.child} taught, and what it sharpened",
        about=f"{report.child} against {report.parent}",
        sentences=sentences(report),
        legend=(f"parent: {report.parent}", f"child: {report.child}"),
        charts=charts,
        note=f"pass@k is the chance that one of k samples at temperature {report.temperature:g} is right, with its "
        "95 % interval; the samples of both were drawn with the same keys. A gain at k = 1 that is gone at the "
        "largest k made the model surer of what it could find before.",
        key="elicitation",
    )
    replace_file(stage.path / PAGE, encode(page))
    return stage.path / PAGE
