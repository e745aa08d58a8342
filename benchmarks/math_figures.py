"""How often the math verifier is wrong on every labelled and hostile row, beside the targets.

    python benchmarks/math_figures.py --data ../shared

Every wrongly judged row is named. The hostile rows are judged one after the other, each timed from outside, in an empty
folder that has to stay empty; what a row could have changed in this process is compared before and after. Exit code 1
where a target is missed.
"""

import argparse
import asyncio
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from math_sets import Row, Set, hostile, labelled
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.types import Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.pool import close_shared, configure_shared

MAX_ROW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a set: those judged against their label, and those that could not be told."""

    name: str
    rows: int
    false_accepts: tuple[str, ...]
    false_rejects: tuple[str, ...]
    not_told: tuple[str, ...]
    slowest_seconds: float
    harm: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        """How many rows have another verdict than their label."""
        return len(self.false_accepts) + len(self.false_rejects) + len(self.not_told)

    @property
    def accuracy(self) -> float:
        """The share of rows whose verdict is their label."""
        return 1 - self.errors / self.rows


def _no_errors(tally: Tally) -> bool:
    return tally.errors == 0


def _variants(tally: Tally) -> bool:
    return tally.accuracy >= 0.999 and not tally.false_accepts


def _hostile(tally: Tally) -> bool:
    unharmed = tally.slowest_seconds <= MAX_ROW_SECONDS and not tally.harm
    return tally.accuracy >= 0.98 and len(tally.false_accepts) <= 1 and unharmed


TARGETS: dict[str, tuple[str, Callable[[Tally], bool] | None]] = {
    "gsm8k_model_solutions_boxed": ("0 errors", _no_errors),
    "gsm8k_model_solutions": ("0 errors", _no_errors),
    "math500_gold_self": ("0 errors", _no_errors),
    "math500_solution_self": ("0 errors", _no_errors),
    "math500_mismatch": ("0 errors", _no_errors),
    "math_variants": ("99.9 %, 0 false accepts", _variants),
    "math_answers, firm": ("98 %, 1 false accept, 5 s, no harm", _hostile),
    "math_answers, policy-dependent": ("none", None),
}
"""What is asked of each set, in words and as a test."""


def tally(one: Set, verdicts: Sequence[Verdict], seconds: Sequence[float], harm: Sequence[str] = ()) -> Tally:
    """Counts the verdicts of a set's rows."""
    wrong: dict[str, list[str]] = {"accepted": [], "refused": [], "not told": []}
    for row, verdict in zip(one.rows, verdicts, strict=True):
        if verdict.outcome is None:
            wrong["not told"].append(_described(row, verdict))
        elif verdict.outcome != float(bool(row.label)):
            wrong["refused" if row.label else "accepted"].append(_described(row, verdict))
    lists = [tuple(names) for names in wrong.values()]
    return Tally(one.name, len(one.rows), *lists, max(seconds), tuple(harm))


def _described(row: Row, verdict: Verdict) -> str:
    return f"{row.id}: {verdict.extracted[:60]!r} for {row.reference[:60]!r} ({verdict.status}, {verdict.path or '–'})"


def judged_together(one: Set) -> Tally:
    """Judges a set as a batch; a row's seconds are those that its verdict says."""
    rows = [{"completion": row.completion, "answer": row.reference} for row in one.rows]
    verdicts = list(verify_many(rows, "math", options={"slot": one.slot}))
    return tally(one, verdicts, [verdict.seconds for verdict in verdicts])


def judged_alone(one: Set, folder: Path) -> Tally:
    """Judges each row by itself, timed from outside; `folder`, the working folder, has to stay empty."""
    verdicts, seconds, harm = [], [], []
    before = _state()
    for row in one.rows:
        start = time.monotonic()
        verdicts += verify_many([{"completion": row.completion, "answer": row.reference}], "math")
        seconds.append(time.monotonic() - start)
        harm += [f"{row.id} made {path.name}" for path in folder.iterdir()]
    after = _state()
    harm += [f"{what} was {before[what]}, is {after[what]}" for what in before if before[what] != after[what]]
    return tally(one, verdicts, seconds, harm)


def _state() -> dict[str, Any]:
    """Gives what hostile text might change in this process."""
    names = ("alarm", "interrupt", "child")
    signals = (signal.SIGALRM, signal.SIGINT, signal.SIGCHLD)
    return {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "recursion limit": sys.getrecursionlimit(),
        "threads": threading.active_count(),
        "limits": [resource.getrlimit(which) for which in (resource.RLIMIT_AS, resource.RLIMIT_CPU)],
        **{f"handler of {name}": signal.getsignal(number) for name, number in zip(names, signals, strict=True)},
        "event loop": asyncio.get_event_loop_policy().__class__.__name__,
    }


def figures(shared: Path) -> list[Tally]:
    """Judges all sets."""
    found = [judged_together(labelled(shared, name)) for name in list(TARGETS)[:6]]
    with tempfile.TemporaryDirectory() as name:
        here, folder = Path.cwd(), Path(name).resolve()
        os.chdir(folder)
        try:
            found += [judged_alone(one, folder) for one in hostile(shared, folder)]
        finally:
            os.chdir(here)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="the folder with data/ and corpora/")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default 1)")
    given = parser.parse_args()
    configure_shared(given.workers)
    started = time.monotonic()
    found = figures(given.data.resolve())
    table = Table(box=box.SIMPLE_HEAD)
    for heading in (
        "set",
        "rows",
        "errors",
        "false accepts",
        "false rejects",
        "not told",
        "slowest, s",
        "target",
        "met",
    ):
        table.add_column(heading, justify="left" if heading in ("set", "target") else "right")
    missed = 0
    for one in found:
        target, meets = TARGETS[one.name]
        counts = (one.rows, one.errors, len(one.false_accepts), len(one.false_rejects), len(one.not_told))
        met = "–" if meets is None else "yes" if meets(one) else "no"
        missed += met == "no"
        table.add_row(one.name, *map(str, counts), f"{one.slowest_seconds:.3f}", target, met)
    console = Console(width=150)
    console.print(table)
    for one in found:
        for what in ("false_accepts", "false_rejects", "not_told", "harm"):
            for line in getattr(one, what):
                console.print(f"{one.name}, {what.replace('_', ' ')}: {line}", markup=False, highlight=False)
    print(f"{time.monotonic() - started:.0f} s in all")
    close_shared()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
