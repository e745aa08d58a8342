"""`rlvr calibrate`: each task's published solution is judged; the tasks that it does not solve are named."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rlvr.app.verifying import Programs, progress_bar
from rlvr.data import sources
from rlvr.data.rows import is_data_file
from rlvr.errors import DataError
from rlvr.runs.atomic import encode, strict_json, write_output
from rlvr.training.calibration import calibrate
from rlvr.verifiers import code
from rlvr.verifiers.pool import configure_shared


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A task that is better left out, and why: the row of a quarantine."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """What became of a source: tasks with a solution, those that theirs does not solve, rows left out and the first of
    them."""

    source: str
    tasks: int
    faults: tuple[Quarantined, ...]
    statuses: Mapping[str, int]
    left_out: int
    first_left_out: str


def calibrate_source(
    source: str,
    split: str,
    *,
    path: str,
    limit: int | None,
    options: Mapping[str, Any],
    workers: int,
    programs: Programs,
) -> Calibration:
    """Judges the solutions of a source.

    Raises DataError for a source without solutions, VerifierError where programs are to be run and the sandbox is weak.
    """
    if is_data_file(source):
        source, path = "file", path or source
    if source not in sources.SOLUTIONS and ":" not in source:
        raise DataError(
            f"{source!r} has no published solutions; known are {', '.join(sources.SOLUTIONS)} or a data file",
            hint='rows {"prompt", "reference", "verifier", "solution"} in FILE.jsonl, and: rlvr calibrate FILE.jsonl',
        )
    configure_shared(workers)
    programs.configure(workers)
    splits = (split,) if split else sources.EVERY_SPLIT.get(source, ("all",))
    parts = [sources.load("solution", source, one, path=path or None, limit=limit, **options) for one in splits]
    items = [item for part in parts for item in part.items][:limit]
    if any(item.task.verifier == "code" for item in items):
        code.sandboxes()  # too weak an isolation is refused before the first program
    faults, statuses = [], Counter[str]()
    with progress_bar() as progress:
        bar = progress.add_task("calibrate", total=len(items))
        for one in calibrate(items):
            statuses[one.verdict.status] += 1
            if one.reason:
                faults.append(Quarantined(one.task.id, one.reason))
            progress.advance(bar)
    skipped = [part.skipped for part in parts]
    first = next((one.first for one in skipped if one.first), "")
    left_out = sum(one.count for one in skipped)
    return Calibration(source, len(items), tuple(faults), dict(statuses), left_out, first)


def write_quarantine(rows: Sequence[Quarantined], path: Path) -> None:
    """Writes a JSON line per row, which `options.quarantine` of a recipe's data reads. The file appears whole."""
    write_output(path, b"".join(encode(strict_json(asdict(row))) + b"\n" for row in rows))


def print_calibration(found: Calibration, *, as_json: bool) -> None:
    """Prints all of it to stdout: every fault on a line of its own, or one JSON object."""
    if as_json:
        print(json.dumps(asdict(found)))
        return
    console = Console(width=None if sys.stdout.isatty() else 100, soft_wrap=True)
    passed = found.tasks - len(found.faults)
    share = f"{100 * passed / found.tasks:.2f} %"
    console.print(f"{found.source}: {passed:,} of {found.tasks:,} solutions pass ({share})", markup=False)
    for fault in found.faults:
        console.print(f"  {fault.id}: {fault.reason}", markup=False)
    if found.left_out:
        console.print(f"{found.left_out:,} rows left out, the first: {found.first_left_out}", markup=False)
