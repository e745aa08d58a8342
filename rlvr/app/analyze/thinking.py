"""`rlvr analyze thinking`: what more tokens at inference buy, beside what training bought."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.analyze.checkpoints import LengthPoint, length_curve
from rlvr.app.analyze.elicitation import ticker
from rlvr.app.analyze.kept import Kept, Spent
from rlvr.app.analyze.sides import Side, Sides, ask, open_sides, reward_model_of, training_cpu_seconds
from rlvr.app.analyze.spending import Budgets, budgets_for, spendings, with_reward_model
from rlvr.app.progress import Progress
from rlvr.errors import VerifierError
from rlvr.runs.atomic import strict_json
from rlvr.runs.folder import Run
from rlvr.runs.lock import locked
from rlvr.runs.publish import mark_of
from rlvr.stages.thinking import (
    Choice,
    Costs,
    Mode,
    Tasks,
    Thinking,
    ThinkingPoint,
    Tokens,
    domain_thinking,
    mean_thinking,
)

RESULT = "thinking.json"
SAMPLES = "thinking-samples.jsonl"

NAMES: Mapping[Mode, str] = {
    "one sample": "one sample",
    "majority": "majority of {}",
    "best by verifier": "best of {} by the verifier",
    "best by reward model": "best of {} by the reward model",
    "budget": "limit of {} tokens",
    "end forced": "thinking ended at {} tokens",
    "go on": "made to think on",
}


@dataclass(frozen=True, slots=True)
class ThinkingReport:
    """What more tokens buy. `parent` and `child` are the folders of the stages that made them, `limit` the recipe's
    limit of tokens; `overall` is the mean over `averaged`, the domains that were trained on where some were asked. The
    costs are CPU-seconds, which say nothing where the work is done `on_gpu`."""

    parent: str
    child: str
    samples: int
    temperature: float
    limit: int
    costs: Costs
    domains: Mapping[str, Thinking]
    averaged: tuple[str, ...]
    overall: Thinking
    lengths: Mapping[str, tuple[LengthPoint, ...]]
    on_gpu: bool


def analyze_thinking(
    path: Path, *, stage: str = "", samples: int = 32, limit: int | None = None, domains: Sequence[str] = ()
) -> tuple[Run, ThinkingReport]:
    """Gives a stage's folder and what more tokens buy; both checkpoints are sampled, which is kept in the folder.

    Raises what `open_sides` and `ask` do, and VerifierError where no task has an outcome for all of its samples.
    """
    sides = open_sides(path, stage=stage, word="thinking")
    with locked(sides.stage.path), Progress() as progress:
        kept = Kept(sides.stage.path / SAMPLES)
        parent, child = (
            _did(sides, side, kept, progress, samples=samples, limit=limit, domains=domains) for side in sides.both
        )
        sides.house.scorer.close()
        report = report_of(sides, parent, child, samples=samples)
        sides.stage.write_json(RESULT, asdict(report))
    return sides.stage, report


@dataclass(frozen=True, slots=True)
class Did:
    """What one side did in each domain, what a sampled token cost it, and with which limits of tokens."""

    domains: Mapping[str, Tasks]
    spent: Spent
    budgets: Budgets


def _did(
    sides: Sides,
    side: Side,
    kept: Kept,
    progress: Progress,
    *,
    samples: int,
    limit: int | None,
    domains: Sequence[str],
) -> Did:
    asked = with_reward_model(sides, ask(sides, side, domains=domains, limit=limit))
    budgets, path = budgets_for(asked), reward_model_of(sides)
    made_by = sides.parent_stage if side.name == "parent" else sides.chosen.name
    tick = ticker(progress, f"{side.name} {made_by}", asked, samples)
    mark = mark_of(str(path)) if path else ""
    found, spent = spendings(asked, budgets, kept, samples=samples, reward_model=mark, tick=tick)
    return Did(found, spent, budgets)


def report_of(sides: Sides, parent: Did, child: Did, *, samples: int) -> ThinkingReport:
    """Gives the report from what both did. Raises VerifierError where no task can be compared."""
    costs = Costs(training_cpu_seconds(sides), _token(parent.spent), _token(child.spent))
    limit = parent.budgets.ordinary
    made = {
        name: domain_thinking(tasks, child.domains[name], limit=limit, costs=costs)
        for name, tasks in parent.domains.items()
        if name in child.domains
    }
    domains = {name: found for name, found in made.items() if found is not None}
    if not domains:
        raise VerifierError(
            "no task has an outcome for every sample of both checkpoints", hint="rlvr doctor checks the verifiers"
        )
    averaged = tuple(name for name in domains if name in sides.done["domains"]) or tuple(domains)
    return ThinkingReport(
        parent=sides.parent_stage,
        child=sides.chosen.name,
        samples=samples,
        temperature=sides.evaluation.temperature,
        limit=limit,
        costs=costs,
        domains=domains,
        averaged=averaged,
        overall=mean_thinking([domains[name] for name in averaged], costs=costs),
        lengths=length_curve(sides),
        on_gpu=sides.house.device.type == "cuda",
    )


def _token(spent: Spent) -> float:
    return spent.cpu_seconds / max(1, spent.tokens)


def sentences(report: ThinkingReport) -> list[str]:
    """Gives in words what training bought, what thinking longer would have, and what neither says."""
    choice = report.overall.choice
    lines = [
        f"Over {_over(report)}, one sample of {report.child} is right in {_rate(choice.child)} for "
        f"{choice.child.tokens:.0f} tokens, one of {report.parent} in {_rate(choice.parent)} for "
        f"{choice.parent.tokens:.0f}.",
        _against_votes(report, choice),
        _paid(report, choice),
    ]
    lines += _forced_words(report)
    lines.append(
        "Best of k by the verifier is pass@k: an upper bound, for it needs the right answer's verifier at test time."
    )
    lines += [_length_words(name, points) for name, points in report.lengths.items() if len(points) > 1]
    if lost := sum(found.left_out for found in report.domains.values()):
        lines.append(f"Left out: {lost} tasks on which the verifier could not tell on some completion.")
    return lines


def _over(report: ThinkingReport) -> str:
    return f"the {len(report.averaged)} domains" if len(report.averaged) > 1 else report.averaged[0]


def _against_votes(report: ThinkingReport, choice: Choice) -> str:
    if choice.votes == 1:
        return "With one sample there is no vote; --samples 32 is the default."
    lead = choice.lead
    if lead.low > 0:
        end = "training bought more than that vote"
    elif lead.high < 0:
        end = "that vote buys more than training did"
    else:
        end = "which of the two is better cannot be told"
    return (
        f"A majority vote of {choice.votes} lifts {report.parent} to {_rate(choice.voted)} for "
        f"{choice.voted.tokens:.0f} tokens; one sample of {report.child} is {lead.points()} from it: {end}."
    )


def _paid(report: ThinkingReport, choice: Choice) -> str:
    """Says after how many questions training has paid for itself."""
    if choice.gain.low <= 0:
        return (
            f"No gain of one sample can be told from chance, {choice.gain.points()}: whether training pays is unknown."
        )
    if choice.equal.mean is None:
        return f"No vote of up to {choice.votes} brought {report.parent} to {_rate(choice.child)}; training did."
    costs = report.costs
    if choice.questions is None:
        may = choice.equal.high is None or choice.questions_low is not None
        end = "whether training pays cannot be told" if may else "training never pays"
        return (
            f"{report.parent} gets as far with {_tokens(choice.equal)} tokens a question, which cost no more than "
            f"those of {report.child}: {end}."
        )
    if report.on_gpu:
        return (
            f"{report.parent} gets as far with about {_tokens(choice.equal)} tokens a question. After how many "
            "questions training has paid is not told on a GPU, whose seconds a token depend on how many are sampled at "
            "once."
        )
    return (
        f"{report.parent} gets as far with about {_tokens(choice.equal)} tokens a question. Training took "
        f"{costs.training:,.0f} CPU-seconds and saves {1000 * (choice.cpu_seconds_saved or 0.0):,.1f} CPU-milliseconds "
        f"a question, sampled in batches as here: it has paid after about {_questions(choice)} questions."
    )


def _tokens(found: Tokens) -> str:
    """Gives a price with its range, of which the upper end may lie beyond what was tried."""
    if found.mean is None:
        return "never" if found.low is None else f"never [{found.low:,.0f}, never]"
    return f"{found.mean:,.0f} [{found.low or 0.0:,.0f}, {_or_never(found.high)}]"


def _questions(choice: Choice) -> str:
    """Gives after how many questions training has paid, with the range, where a gain can be told from chance."""
    if choice.gain.low <= 0 or choice.equal.low is None:
        return "–"
    low = "0" if choice.equal.high is None else _or_never(choice.questions_low)
    return f"{_or_never(choice.questions)} [{low}, {_or_never(choice.questions_high)}]"


def _or_never(number: float | None) -> str:
    return "never" if number is None else f"{number:,.0f}"


def _forced_words(report: ThinkingReport) -> list[str]:
    """Says what the child makes of thinking that is ended early, or made to go on."""
    own = {(point.mode, point.setting): point for point in report.overall.child}
    ended = [setting for mode, setting in own if mode == "end forced" and setting < report.limit]
    if not ended:
        return [
            "Not every domain has completions that think between <think> and </think>; forced thinking is left out."
        ]
    first = min(ended)
    forced, cut = own["end forced", first], own["not forced", first]
    again, whole = own["go on", 1], own["not forced", report.limit]
    return [
        f"With the thinking ended at {first} tokens and an answer asked for, {report.child} is right in "
        f"{_rate(forced)} for {forced.tokens:.0f} tokens; the same samples simply cut there, in {_rate(cut)} for "
        f"{cut.tokens:.0f}.",
        f'Made to think on ("Wait") where it would answer, it is right in {_rate(again)} for {again.tokens:.0f} '
        f"tokens; the same samples left alone, in {_rate(whole)} for {whole.tokens:.0f}.",
    ]


def _length_words(name: str, points: Sequence[LengthPoint]) -> str:
    """Says what the stage's own evaluations saw at both of its ends."""
    first, last = points[0], points[-1]
    return (
        f"{name}: from step {first.step} to {last.step} answers went from {first.tokens:.1f} tokens and "
        f"{100 * first.accuracy.mean:.1f} % to {last.tokens:.1f} tokens and {100 * last.accuracy.mean:.1f} %."
    )


def _rate(point: ThinkingPoint) -> str:
    return f"{100 * point.accuracy.mean:.1f} %"


def curve_table(report: ThinkingReport) -> Table:
    """Gives a row for each way of spending: tokens and accuracy of both sides, the mean over domains."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("way of spending")
    for side in ("parent", "child"):
        table.add_column(f"{side} tokens", justify="right")
        table.add_column("right", justify="right")
    sides = [{(p.mode, p.setting): p for p in points} for points in (report.overall.parent, report.overall.child)]
    for way in dict.fromkeys([*sides[0], *sides[1]]):
        cells = [_cells(side.get(way)) for side in sides]
        table.add_row(NAMES[way[0]].format(way[1]), *cells[0], *cells[1])
    return table


def _cells(point: ThinkingPoint | None) -> tuple[str, str]:
    if point is None:
        return "–", "–"
    return f"{point.tokens:,.0f}", point.accuracy.percent()


def choice_table(report: ThinkingReport) -> Table:
    """Gives a row per domain: train longer or think longer."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("train longer or think longer")
    votes = report.overall.choice.votes
    for head in (
        "parent",
        f"parent, vote of {votes}",
        "child",
        "child over vote",
        "tokens of a vote as good",
        "paid after",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for name, found in [*report.domains.items(), ("mean", report.overall)]:
        choice = found.choice
        table.add_row(
            name,
            *(f"{100 * p.accuracy.mean:.1f} for {p.tokens:,.0f}" for p in (choice.parent, choice.voted, choice.child)),
            choice.lead.points(""),
            _tokens(choice.equal),
            _questions(choice),
        )
    return table


def price_table(report: ThinkingReport) -> Table:
    """Gives a row per mode: the tokens that each side needs for the accuracy of one sample of the child."""
    target = report.overall.choice.child
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(f"tokens for {_rate(target)}")
    for side in ("parent", "child"):
        table.add_column(side, justify="right")
    for price in report.overall.prices:
        table.add_row(price.mode, _tokens(price.parent), _tokens(price.child))
    return table


def print_thinking(report: ThinkingReport, page: Path, *, as_json: bool) -> None:
    """Prints the report to stdout: tables and sentences, or one JSON object."""
    if as_json:
        print(strict_json(asdict(report)))
        return
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(f"parent: {report.parent}\nchild:  {report.child}\nright in %, the mean of {_over(report)}:")
    for table in (curve_table(report), price_table(report), choice_table(report)):
        console.print(table)
        console.print()
    for line in sentences(report):
        console.print(line, highlight=False, markup=False)
    console.print(f"drawn: {page}", highlight=False, markup=False, soft_wrap=True)
