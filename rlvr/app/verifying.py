"""`rlvr verify`: a file of completions in, a verdict per row out, and a summary."""

import gzip
import json
import os
import sys
import time
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rlvr.data.constraints import reference_from_label, reference_of
from rlvr.errors import DataError, UsageError
from rlvr.runs.atomic import TEMPORARY, encode, replaceable, strict_json, writing
from rlvr.statistics.intervals import Interval, proportion_interval
from rlvr.types import Verdict
from rlvr.verifiers import code
from rlvr.verifiers.audit.result import excerpt
from rlvr.verifiers.many import reference_fault, verify_many
from rlvr.verifiers.pool import configure_shared
from rlvr.verifiers.scorer import make_scorer

MAX_NAMED = 10
"""So many wrongly judged rows are named in the summary."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a row's completion, reference ("": "reference" or "answer") and label ("": none) stand."""

    completion: str = "completion"
    answer: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where programs run ("": this machine), whether they may where nothing holds them, and what they may import."""

    sandbox: str = ""
    allow_unsafe_execution: bool = False
    packages: Sequence[str] = ()

    def configure(self, workers: int) -> None:
        """Sets it for this process; so many run at once."""
        code.configure(
            workers=workers,
            url=self.sandbox,
            allow_unsafe_execution=self.allow_unsafe_execution,
            packages=(*code.PACKAGES, *self.packages),
        )


@dataclass(slots=True)
class Summary:
    """What became of all rows. An outcome counts as right from `threshold` on.

    `confusion` counts rows with a label by (labelled right, judged), judged being "right", "wrong" or "not told";
    `unlabelled` those without true or false where a label was asked for.
    `totals` say what a judge did and cost.
    `unusable` says for the statuses "bad_row" and "bad_reference" which row was the first and what is wrong with it.
    """

    verifier: str
    threshold: float
    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[bool, str]] = field(default_factory=Counter)
    false_accepts: list[str] = field(default_factory=list)
    false_rejects: list[str] = field(default_factory=list)
    unlabelled: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, verdict: Verdict, label: bool | None) -> None:
        """Counts one verdict."""
        told = "not told" if verdict.outcome is None else "right" if verdict.outcome >= self.threshold else "wrong"
        self.rows += 1
        self.outcomes[told] += 1
        self.statuses[verdict.status] += 1
        self.paths[verdict.path or "–"] += 1
        if label is None:
            return
        self.confusion[label, told] += 1
        if told == ("wrong" if label else "right"):
            named = self.false_rejects if label else self.false_accepts
            named.extend([name] if len(named) < MAX_NAMED else [])

    def error_rate(self, label: bool) -> Interval | None:
        """Gives the share of rows with that label that were judged the other way; None where there are none."""
        wrongly = self.confusion[label, "wrong" if label else "right"]
        told = wrongly + self.confusion[label, "right" if label else "wrong"]
        return proportion_interval(wrongly, told) if told else None

    def as_json(self) -> dict[str, Any]:
        """Gives all of it as JSON."""
        rates = {"false_accept_rate": self.error_rate(False), "false_reject_rate": self.error_rate(True)}
        return {
            "verifier": self.verifier,
            "rows": self.rows,
            "outcomes": dict(self.outcomes),
            "statuses": dict(self.statuses),
            "paths": dict(self.paths),
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds, 1) if self.seconds else None,
            "confusion": [
                {"label": label, "judged": told, "rows": count} for (label, told), count in self.confusion.items()
            ],
            "unlabelled": self.unlabelled,
            **{name: None if rate is None else asdict(rate) for name, rate in rates.items()},
            "false_accepts": self.false_accepts,
            "false_rejects": self.false_rejects,
            **({"judge": self.totals} if self.totals else {}),
            "unusable": self.unusable,
        }


def verify_file(
    verifier: str,
    path: Path,
    *,
    fields: Fields,
    options: Mapping[str, Any],
    output: Path | None = None,
    workers: int = 0,
    threshold: float = 1.0,
    judge: Mapping[str, Any] | None = None,
    programs: Programs | None = None,
) -> Summary:
    """Judges every line of a JSON Lines file (plain or .gz) and gives the summary; `output` gets a row per line.

    Raises DataError for a file that cannot be read, UsageError for an unknown verifier, VerifierError where programs
    are to be run and the isolation is too weak.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; JSON lines with completions were expected", hint="rlvr verify --help")
    configure_shared(workers)
    if verifier == "code":
        (programs or Programs()).configure(workers)
        code.sandboxes()  # too weak an isolation is refused before the first row
    summary, scorer = Summary(verifier, threshold), make_scorer(judge or {})
    waiting, started = deque[tuple[Any, Any]](), time.monotonic()
    verdicts = verify_many(
        _named(_rows_for(verifier, path, fields.answer, options), waiting),
        verifier,
        options=options,
        completion_field=fields.completion,
        answer_field=fields.answer,
        scorer=scorer,
    )
    with _Output(output) as out, progress_bar() as progress:
        bar = progress.add_task("verify", total=_num_lines(path))
        for verdict in verdicts:
            name, row = waiting.popleft()
            label = _label(row, fields.label)
            summary.add(str(name), verdict, label)
            summary.unlabelled += bool(fields.label) and label is None
            if verdict.outcome is None and verdict.status not in summary.unusable:
                summary.unusable |= _fault(name, row, verdict, verifier, options, fields.answer)
            out.write({"id": name, **_judged(verdict)})
            progress.advance(bar)
    summary.seconds = time.monotonic() - started
    summary.totals = scorer.totals()
    return summary


def _rows_for(verifier: str, path: Path, answer_field: str, options: Mapping[str, Any]) -> Iterator[Any]:
    rows = read_rows(path)
    return (_published(row, answer_field, options) for row in rows) if verifier == "instructions" else rows


def _fault(
    name: Any, row: Any, verdict: Verdict, verifier: str, options: Mapping[str, Any], answer_field: str
) -> dict[str, str]:
    """Gives by its status why a row could not be judged, where that is known."""
    fault = verdict.extracted or reference_fault(row, verifier, options=options, answer_field=answer_field)
    return {verdict.status: f"{name}: {fault}"} if fault else {}


def _named(rows: Iterable[Any], waiting: deque[tuple[Any, Any]]) -> Iterator[Any]:
    """Gives the rows, and notes each with its id, or its place in the file, until its verdict is there."""
    for number, row in enumerate(rows, start=1):
        named = isinstance(row, Mapping) and isinstance(row.get("id"), str | int)
        waiting.append((row["id"] if named else f"row {number}", row))
        yield row


def _published(row: Any, answer_field: str, options: Mapping[str, Any]) -> Any:
    """Gives a row in the layout of IFEval, IFBench or Tulu with our reference, others as they are."""
    if not isinstance(row, Mapping):
        return row
    key = answer_field or ("reference" if "reference" in row else "answer")
    try:
        if key in row and not isinstance(row[key], Mapping):
            reference = reference_from_label(row[key])
        elif key not in row and "instruction_id_list" in row:
            reference = reference_of(row["instruction_id_list"], row.get("kwargs"))
        else:
            return row
    except DataError:  # the verifier says what is wrong with it
        return row
    return {**row, key: {**reference, **options}}


def read_rows(path: Path) -> Iterator[Any]:
    """Gives what each line holds, empty ones passed over; a line that is no JSON comes as a string that says so."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield _read_line(line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unzipped: {error}", hint=f"gzip -t {path}") from error


def _read_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"


def _num_lines(path: Path) -> int | None:
    if path.suffix == ".gz" or not sys.stderr.isatty():
        return None
    with path.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def _label(row: Any, name: str) -> bool | None:
    """Gives the label of a row, None where it is not true or false (1 and 0 are those as well)."""
    value = row.get(name) if name and isinstance(row, Mapping) else None
    return bool(value) if value in (True, False) else None


def _judged(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "path": verdict.path,
        "seconds": verdict.seconds,
        "parts": dict(verdict.parts),
        "version": verdict.version,
    }


class _Output:
    """A file that appears whole when all rows are written, and not at all otherwise; None: nothing is written.

    What is no plain file, as /dev/stdout, is written at once.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._whole: Path | None = None
        self._file: Any = None

    def __enter__(self) -> "_Output":
        if self._path is not None:
            if self._path.is_dir():
                raise UsageError(f"{self._path} is a folder; a file to write was expected", hint="--output OUT.jsonl")
            with writing(self._path):
                self._whole = replaceable(self._path)
                self._file = (self._path if self._whole is None else _temporary(self._whole)).open("wb")
        return self

    def write(self, row: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(encode(strict_json(row)) + b"\n")

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            if kind is None and self._whole is not None:
                os.replace(_temporary(self._whole), self._whole)
        finally:
            if self._whole is not None:
                _temporary(self._whole).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY}{path.name}")


def progress_bar() -> Progress:
    """Gives a bar on stderr that is gone afterwards; none is drawn where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def read_options(words: Sequence[str], flag: str) -> dict[str, Any]:
    """Gives what the key=value words of a flag say; a value that reads as JSON is that, any other a string."""
    options: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{flag} {word}: key=value was expected", hint=f"{flag} NAME=VALUE")
        try:
            options[key] = json.loads(value)
        except (ValueError, RecursionError):
            options[key] = value
    return options


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Prints the summary to stdout: as tables, or as one JSON object."""
    if as_json:
        print(json.dumps(summary.as_json()))
        return
    console = Console(width=None if sys.stdout.isatty() else 100)
    rate = f"{summary.rows / summary.seconds:,.0f} rows a second" if summary.seconds else "at once"
    console.print(f"{summary.verifier}: {summary.rows:,} rows, {rate}", markup=False)
    console.print(_counts("outcome", summary.outcomes, summary.rows))
    console.print(_counts("status", summary.statuses, summary.rows))
    if spent := [f"{name.removeprefix('judge/')} {amount:,g}" for name, amount in summary.totals.items() if amount]:
        console.print(f"judge: {', '.join(spent)}", markup=False)
    for status, fault in summary.unusable.items():
        console.print(f"{status}, the first: {excerpt(fault)}", markup=False)
    if summary.unlabelled:
        console.print(f"rows without a label of true or false: {summary.unlabelled:,}")
    if summary.confusion:
        console.print(_confusion(summary))
        for what, names in (("wrongly accepted", summary.false_accepts), ("wrongly refused", summary.false_rejects)):
            if names:
                console.print(f"{what}, the first {len(names)}: {excerpt(', '.join(names), limit=1000)}", markup=False)


def _counts(heading: str, counts: Counter[str], total: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(heading)
    table.add_column("rows", justify="right")
    table.add_column("percent", justify="right")
    for name, count in counts.most_common():
        table.add_row(name, f"{count:,}", f"{100 * count / total:.2f}")
    return table


def _confusion(summary: Summary) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("label", "judged right", "judged wrong", "not told", "error, percent"):
        table.add_column(heading, justify="left" if heading == "label" else "right")
    for label in (True, False):
        error = summary.error_rate(label)
        shown = "–" if error is None else f"{100 * error.mean:.2f} \\[{100 * error.low:.2f}, {100 * error.high:.2f}]"
        counts = [f"{summary.confusion[label, told]:,}" for told in ("right", "wrong", "not told")]
        table.add_row("right" if label else "wrong", *counts, shown)
    return table
