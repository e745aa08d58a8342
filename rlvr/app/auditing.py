"""`rlvr audit`: an attack on a verifier, and tables that say how often it was wrong."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlvr.app.verifying import Fields, progress_bar, read_rows
from rlvr.errors import DataError, UsageError
from rlvr.runs.atomic import encode, strict_json, write_output
from rlvr.statistics.intervals import Interval
from rlvr.verifiers.audit.audit import audit
from rlvr.verifiers.audit.result import Audit, Finding, Limits, error_rate, excerpt
from rlvr.verifiers.audit.targets import Corpus, read_corpus, seed_targets
from rlvr.verifiers.extract import SLOTS
from rlvr.verifiers.table import VERIFIERS

MAX_SHOWN = 10
"""So many cases of a kind are printed; the JSON holds more."""

MIN_SHOWN_SECONDS = 0.1
"""Faster cases are not printed among the slowest."""

WIDE = 80
"""From so many columns on the table has all of its own."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many references are attacked, without which classes, by which draw, and with how many workers."""

    references: int
    skip: Collection[str]
    seed: int
    workers: int
    deadline_seconds: float


def audit_verifier(
    verifier: str,
    corpora: Sequence[Path],
    *,
    fields: Fields,
    options: Mapping[str, Any],
    judge: Mapping[str, Any],
    slot: str | None,
    effort: Effort,
) -> Audit:
    """Audits a verifier with the rows of `corpora`, or with the built-in references where there are none.

    Raises DataError for a file that cannot be read or holds nothing to audit with, UsageError for an unknown verifier
    or slot.
    """
    if slot is not None and verifier in VERIFIERS:
        raise UsageError(
            f"--slot says where a function of your own looks; {verifier} has its own", hint="--option slot=…"
        )
    if slot is not None and slot not in SLOTS:
        raise UsageError(f"there is no slot {slot!r}; known: {', '.join(SLOTS)}", hint="--slot boxed")
    if corpora:
        corpus = _read(verifier, corpora, fields, options, slot or "boxed", effort.seed)
    else:
        corpus = Corpus(targets=seed_targets(verifier, options=options))
    with progress_bar() as progress:
        bar = progress.add_task("audit", total=None)

        def started(total: int) -> None:
            progress.update(bar, total=total)

        def told() -> None:
            progress.advance(bar)

        found = audit(
            verifier,
            cases=corpus.cases,
            targets=corpus.targets,
            skip=effort.skip,
            max_targets=effort.references,
            deadline_seconds=effort.deadline_seconds,
            workers=effort.workers,
            seed=effort.seed,
            judge=judge,
            started=started,
            told=told,
        )
    found.left_out = corpus.left_out
    return found


def _read(
    verifier: str, corpora: Sequence[Path], fields: Fields, options: Mapping[str, Any], slot: str, seed: int
) -> Corpus:
    for path in corpora:
        if not path.is_file():
            raise DataError(f"{path} is no file; JSON lines with references were expected", hint="rlvr audit --help")
    corpus = read_corpus(
        (row for path in corpora for row in read_rows(path)),
        verifier,
        completion_field=fields.completion,
        answer_field=fields.answer,
        label_field=fields.label or "label",
        options=options,
        slot=slot,
        seed=seed,
    )
    if not corpus.targets:
        reasons = ", ".join(f"{count:,} rows: {reason}" for reason, count in corpus.left_out.most_common(3))
        raise DataError(
            f"no row can be used ({reasons or 'there is none'})", hint="name the fields: --answer-field gold"
        )
    if fields.label and not corpus.cases:
        raise DataError(f"no row has a completion under {fields.completion!r} and true or false under {fields.label!r}")
    return corpus


def write_audit(found: Audit, limits: Limits, path: Path) -> None:
    """Writes the audit as JSON: a file is whole or as it was. Raises RunError where it cannot be written."""
    content = encode(strict_json(found.as_json(limits), indent=2)) + b"\n"
    write_output(path, content)


def print_audit(found: Audit, limits: Limits, *, as_json: bool) -> None:
    """Prints the audit to stdout: as tables, or as one JSON object."""
    if as_json:
        print(json.dumps(found.as_json(limits), allow_nan=False))
        return
    console = Console(width=None if sys.stdout.isatty() else 100)
    version = f" ({found.version})" if found.version else ""
    console.print(
        f"{found.verifier}{version}: {len(found.findings):,} cases, each judged twice, {found.seconds:,.1f} seconds, "
        f"seed {found.seed}",
        markup=False,
    )
    console.print(_classes(found, wide=console.width >= WIDE))
    console.print(_rate("\nfalse accepts", found.false_accept_rate), highlight=False)
    console.print(_rate("false rejects", found.false_reject_rate), highlight=False)
    for heading, findings, tell in _lists(found):
        if findings:
            shown = f", the first {MAX_SHOWN}" if len(findings) > MAX_SHOWN else ""
            console.print(f"\n{heading}: {len(findings):,}{shown}")
            for one in findings[:MAX_SHOWN]:
                console.print(f"  {tell(one)}", markup=False, highlight=False)
    if slow := [one for one in found.slowest if one.seconds >= MIN_SHOWN_SECONDS]:
        console.print("\nslowest")
        for one in slow:
            console.print(f"  {one.seconds:7.2f} s  {excerpt(one.case.name)}", markup=False, highlight=False)
    for reason, count in found.left_out.most_common():
        console.print(f"left out, {count:,} rows: {excerpt(reason)}", markup=False)
    console.print()
    complaints = found.complaints(limits)
    for complaint in complaints or ["passed"]:
        console.print(f"failed: {complaint}" if complaints else complaint, markup=False)


def _lists(found: Audit) -> list[tuple[str, list[Finding], Callable[[Finding], str]]]:
    return [
        ("wrong answers that were accepted", found.false_accepts, _brief),
        ("right answers that were refused", found.false_rejects, _brief),
        ("no verdict", found.not_told, _failure),
        ("another verdict the second time", found.unsteady, _both),
    ]


def _brief(one: Finding) -> str:
    shown = one.as_json()
    return f"{excerpt(shown['name'])}\n      reference {shown['reference']}, completion {shown['completion']}"


def _failure(one: Finding) -> str:
    shown = one.as_json()
    return f"{_brief(one)}\n      {shown['status']}{': ' if shown.get('reason') else ''}{shown.get('reason', '')}"


def _both(one: Finding) -> str:
    assert one.again is not None, "a case that was judged once is steady"
    first, second = one.judgment.verdict, one.again.verdict
    return f"{_brief(one)}\n      {first.outcome} ({first.status}), then {second.outcome} ({second.status})"


def _classes(found: Audit, *, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    headings = _HEADINGS if wide else _NARROW_HEADINGS
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("class", "is") else "right", overflow="fold")
    for (group, expected), findings in found.groups().items():
        table.add_row(*_cells(group, expected, findings, headings))
    table.add_section()
    for name, expected in (("all that is wrong", False), ("all that is right", True)):
        findings = [one for one in found.findings if one.case.expected is expected]
        table.add_row(*_cells(name, expected, findings, headings))
    return table


_HEADINGS = ("class", "is", "cases", "accepted", "refused", "not told", "error, %")
_NARROW_HEADINGS = ("class", "cases", "accepted", "refused", "error, %")


def _cells(name: str, expected: bool | None, findings: Sequence[Finding], headings: Sequence[str]) -> list[str]:
    told = Counter(one.told for one in findings)
    rate = error_rate(expected, findings)
    cells = {
        "class": escape(name),
        "is": {True: "right", False: "wrong", None: "–"}[expected],
        "cases": f"{len(findings):,}",
        "accepted": f"{told['right']:,}",
        "refused": f"{told['wrong']:,}",
        "not told": f"{told['not told']:,}",
        "error, %": "–" if rate is None else f"{100 * rate.mean:.2f}",
    }
    return [cells[heading] for heading in headings]


def _rate(name: str, rate: Interval | None) -> str:
    if rate is None:
        return f"{name}: no case"
    return f"{name}: {100 * rate.mean:.2f} %, 95 % interval {100 * rate.low:.2f} to {100 * rate.high:.2f}"
