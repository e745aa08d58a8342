"""Results of suites as a table, as Markdown and as JSON; each figure with what it covers and its contamination."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.suites.examinee import Examinee
from rlvr.data.overlap import COPY_RATE
from rlvr.runs.atomic import encode, replace_file, strict_json
from rlvr.stages.suites.measure import Examined, SuiteResult
from rlvr.stages.suites.scores import Figure

RESULTS_JSON, RESULTS_MARKDOWN = "results.json", "results.md"
PART = " (part)"
"""Behind a suite's name where not all of its tasks are in its figures."""


def plain_result(result: SuiteResult) -> dict[str, Any]:
    """Gives one result as plain data."""
    suite, asking = result.loaded.suite, result.asking
    return {
        "suite": suite.name,
        "citation": suite.citation,
        "source": f"{suite.source}:{suite.split}",
        "path": str(result.loaded.path),
        "instruction": suite.instruction,
        **asdict(asking),
        "figures": [
            {"name": f.name, **asdict(f.value), "num_tasks": f.num_tasks, "note": f.note} for f in result.figures
        ],
        "is_whole": result.is_whole,
        "num_tasks": result.num_tasks,
        "num_tasks_published": suite.num_tasks or None,
        "left_out": list(result.left_out),
        "num_answers": result.num_answers,
        "unanswered": result.unanswered,
        "unscored": result.unscored,
        "truncated_rate": result.truncated_rate,
        "tokens": result.tokens,
        "statuses": dict(result.statuses),
        "verifiers": list(result.versions),
        "contamination": None if result.contamination is None else asdict(result.contamination),
    }


def write_results(found: Sequence[Examined], examinee: Examinee, folder: Path) -> None:
    """Writes results.json and results.md, and for each suite the verdicts on all answers as JSON lines."""
    results = [one.result for one in found]
    replace_file(folder / RESULTS_JSON, encode(strict_json(_content(results, examinee), indent=1)) + b"\n")
    replace_file(folder / RESULTS_MARKDOWN, encode(markdown(results, examinee)))
    rows = [strict_json(row) for row in _verdict_rows(found[-1])]
    replace_file(folder / f"{results[-1].loaded.suite.name}-verdicts.jsonl", encode("".join(f"{r}\n" for r in rows)))


def _content(results: Sequence[SuiteResult], examinee: Examinee) -> dict[str, Any]:
    suites = [plain_result(result) for result in results]
    return {"model": examinee.name, "fields": dict(examinee.fields), "suites": suites}


def _verdict_rows(examined: Examined) -> list[dict[str, Any]]:
    rows = []
    for one in examined.judged:
        for answer, verdict in zip(one.answers, one.verdicts, strict=True):
            row = {"task": one.task.id, "sample": answer.sample_index, "finish": answer.finish}
            told = {"outcome": verdict.outcome, "status": verdict.status, "extracted": verdict.extracted}
            loose = {"loose": one.loose[answer.sample_index].outcome} if one.loose else {}
            rows.append({**row, **told, **loose, "parts": dict(verdict.parts)})
    return rows


def print_results(found: Sequence[Examined], examinee: Examinee, *, as_json: bool) -> None:
    """Prints the results to stdout: a table and sentences, or one JSON object."""
    results = [one.result for one in found]
    if as_json:
        print(strict_json(_content(results, examinee), indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    for line in (f"model: {examinee.name}", *_fields_line(examinee)):
        console.print(line, highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption="percent [95% interval over tasks]")
    for heading, justify in (("suite", "left"), ("figure", "left"), ("percent", "right"), ("tasks", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for result in results:
        for number, figure in enumerate(result.figures):
            named = _name(result) if number == 0 else ""
            last = number == len(result.figures) - 1
            value = figure.value.percent().replace("[", r"\[")
            table.add_row(named, _figure_name(figure), value, _tasks(result, figure), end_section=last)
    console.print(table)
    for result in results:
        for line in sentences(result):
            console.print(f"{result.loaded.suite.name}: {line}", highlight=False, markup=False)


def _fields_line(examinee: Examinee) -> list[str]:
    """Says what is sent with each request beside what the results state; nothing where nothing is."""
    if not examinee.fields:
        return []
    said = (
        f"no {name}" if value is None else f"{name}={strict_json(value)}" for name, value in examinee.fields.items()
    )
    return [f"Each request is sent with {', '.join(said)}."]


def markdown(results: Sequence[SuiteResult], examinee: Examinee) -> str:
    """Gives the results as a Markdown page."""
    lines = [f"# Evaluation of {examinee.name}", ""]
    lines += [" ".join(["Percent, with 95% intervals over tasks.", *_fields_line(examinee)]), ""]
    lines += ["| suite | figure | percent | tasks |", "|---|---|---|---|"]
    for result in results:
        for figure in result.figures:
            cells = _name(result), _figure_name(figure), figure.value.percent(), _tasks(result, figure)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    for result in results:
        lines += ["", f"## {result.loaded.suite.name}", ""]
        lines += [f"- {line}" for line in sentences(result)]
    return "\n".join([*lines, ""])


def sentences(result: SuiteResult) -> list[str]:
    """Gives in words what was asked and how, what the figures leave out, and what of the suite was trained on."""
    asking, suite = result.asking, result.loaded.suite
    how = "greedy" if asking.temperature == 0 else f"temperature {asking.temperature:g}"
    many = "1 answer" if asking.num_samples == 1 else f"{asking.num_samples} answers"
    lines = [
        f"{many} a task, {how}, at most {asking.max_tokens} tokens; no examples, the model's own chat template.",
    ]
    if suite.num_tasks and result.num_tasks != suite.num_tasks:
        lines.append(
            f"Only {result.num_tasks} of the {suite.num_tasks} published tasks: this is no score of the suite."
        )
    elif result.loaded.is_limited:
        lines.append(f"Only the first {result.num_tasks} tasks of the file: this is no score of all of it.")
    lines += [f"Left out: {line}." for line in result.left_out]
    if not result.figures:
        lines.append("No answer has an outcome, so there is no figure.")
    lost = {"never came": result.unanswered, "could not be judged": result.unscored}
    lines += [
        f"{count} of {result.num_answers} answers {what}; they are in no figure."
        for what, count in lost.items()
        if count
    ]
    length = "their length is not told" if result.tokens is None else f"{result.tokens:.0f} tokens on average"
    lines.append(f"{100 * result.truncated_rate:.1f} % of the answers ran into the limit; {length}.")
    return [*lines, contamination_line(result), f"Source: {suite.citation}."]


def contamination_line(result: SuiteResult) -> str:
    """Says how many tasks overlap training data, and the first figure without these."""
    found = result.contamination
    if found is None:
        return "Contamination was not looked for; --contamination-of RECIPE names what the model was trained on."
    line = (
        f"Contamination: {found.overlapping} of {found.told} tasks stand in the {found.num_texts:,} training texts "
        f"of {found.recipe}, equal or with {COPY_RATE:.0%} of their runs of 13 words (8 where a task is shorter); what "
        "the model had read before is not known."
    )
    if short := result.num_tasks - found.told:
        line += f" {short} tasks are too short to tell."
    if not found.overlapping:
        return line
    line += f" The first: {', '.join(found.first)}."
    if found.clean is None:
        return f"{line} No other task is left."
    return f"{line} Without these: {found.clean.name} {found.clean.value.percent()} over {found.clean.num_tasks} tasks."


def _name(result: SuiteResult) -> str:
    return result.loaded.suite.name if result.is_whole else f"{result.loaded.suite.name}{PART}"


def _figure_name(figure: Figure) -> str:
    return f"{figure.name} ({figure.note})" if figure.note else figure.name


def _tasks(result: SuiteResult, figure: Figure) -> str:
    if result.loaded.is_limited and not result.loaded.suite.num_tasks:
        return f"{figure.num_tasks} of the first {result.num_tasks}"
    return f"{figure.num_tasks} of {max(result.loaded.suite.num_tasks, result.num_tasks)}"
