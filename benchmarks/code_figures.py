"""Whether the code verifier takes the published solutions of HumanEval and MBPP, and refuses mutants of them.

    python benchmarks/code_figures.py --data ../shared/data

Each published solution has to pass its own tests; those that do not are named with the reason. Mutants of HumanEval's
solutions (a changed operator, a number off by one, a wrong return value) are drawn by a seed; the share that fails is
reported by kind, and every task without a failing mutant by name. A mutant that survives may be equivalent to the
solution, or the task's own tests may be too weak to tell: both are no fault of the verifier. Exit code 1 where a
target is missed.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from code_mutants import KINDS, mutants
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.data.sources import EVERY_SPLIT, load
from rlvr.training.calibration import Calibrated, calibrate
from rlvr.types import Solution
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.sandbox.pool import shared

TARGETS = {"humaneval": 1.0, "mbpp": 0.99, "mbpp_sanitized": 0.99}
"""The share of published solutions that has to pass."""

MUTANT_LIMITS = {"cpu_seconds": 1.0, "wall_seconds": 20.0}
SOLUTION_LIMITS = {"wall_seconds": 120.0}
"""A busy machine gives a program of two CPU seconds less than a fifth of a core: the CPU limit decides here."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of the mutants: rows (kind, status, killed), and the tasks of which none was killed."""

    rows: tuple[tuple[str, str, bool], ...]
    spared: tuple[str, ...]


def solutions(name: str, folder: Path) -> list[Solution]:
    """Gives every task of a set with its published solution."""
    loaded = [load("solution", name, split, path=folder) for split in EVERY_SPLIT[name]]
    if bad := next((one.skipped for one in loaded if one.skipped.count), None):
        raise SystemExit(f"{name}: {bad.count} rows cannot be read, the first: {bad.first}")
    return [with_limits(item, SOLUTION_LIMITS) for one in loaded for item in one.items]


def with_limits(item: Solution, limits: Mapping[str, float]) -> Solution:
    """Gives the solution with other limits for its task."""
    return replace(item, task=replace(item.task, reference={**item.task.reference, "limits": limits}))


def kill(tasks: Sequence[Solution], *, seed: int, per_kind: int) -> Killed:
    """Judges mutants of every solution, each with one CPU second."""
    rows, kinds = [], []
    for item in tasks:
        reference = with_limits(item, MUTANT_LIMITS).task.reference
        for mutant in mutants(item.text, reference["entry"], seed=seed, per_kind=per_kind):
            rows.append({"id": item.id, "completion": mutant.program, "reference": reference})
            kinds.append(mutant.kind)
    verdicts = list(verify_many(rows, "code"))
    if unknown := [row["id"] for row, verdict in zip(rows, verdicts, strict=True) if verdict.outcome is None]:
        raise SystemExit(f"{len(unknown)} mutants could not be judged, the first of {unknown[0]}")
    dead = {str(row["id"]) for row, verdict in zip(rows, verdicts, strict=True) if verdict.outcome == 0.0}
    told = [(kind, verdict.status, verdict.outcome == 0.0) for kind, verdict in zip(kinds, verdicts, strict=True)]
    return Killed(tuple(told), tuple(item.id for item in tasks if item.id not in dead))


def print_solutions(console: Console, name: str, found: Sequence[Calibrated], seconds: float) -> bool:
    """Prints one set and gives whether its target is met."""
    failed = [one for one in found if one.reason]
    passed, share = len(found) - len(failed), 1 - len(failed) / len(found)
    paths = ", ".join(f"{count} {path or '–'}" for path, count in Counter(one.verdict.path for one in found).items())
    met = share >= TARGETS[name]
    console.print(
        f"{name}: {passed} of {len(found)} solutions pass ({100 * share:.2f} %, target {100 * TARGETS[name]:.0f} %: "
        f"{'met' if met else 'MISSED'}); {paths}; {seconds:.1f} s"
    )
    for one in failed:
        console.print(f"  {one.task.id}: {one.reason}", markup=False)
    return met


def print_mutants(console: Console, killed: Killed) -> bool:
    """Prints the kill rates and gives whether every task has a failing mutant."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("mutation", "mutants", "killed", "percent", "by status"):
        table.add_column(column, justify="left" if column in ("mutation", "by status") else "right")
    for kind in (*KINDS, "all"):
        rows = [row for row in killed.rows if kind in (row[0], "all")]
        dead = [row for row in rows if row[2]]
        statuses = ", ".join(f"{count} {status}" for status, count in Counter(row[1] for row in dead).most_common())
        table.add_row(kind, str(len(rows)), str(len(dead)), f"{100 * len(dead) / max(1, len(rows)):.1f}", statuses)
    console.print(table)
    console.print(f"tasks without a failing mutant: {', '.join(killed.spared) or 'none'}")
    return not killed.spared


def main() -> int:
    """Prints all figures; gives 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with humaneval.jsonl.gz and mbpp.jsonl")
    parser.add_argument("--sets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--mutants", type=int, default=3, help="mutants of each kind a task (default 3, 0 for none)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(shared().assessment.statement(), markup=False)
    met = []
    for name in options.sets:
        started = time.monotonic()
        tasks = solutions(name, options.data)
        met.append(print_solutions(console, name, list(calibrate(tasks)), time.monotonic() - started))
        if name == "humaneval" and options.mutants:
            met.append(print_mutants(console, kill(tasks, seed=options.seed, per_kind=options.mutants)))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
