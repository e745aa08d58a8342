"""The math verifier against math_verify: mistakes and speed on labelled sets, both in this run, row by row in turn.

    python benchmarks/bench_math.py --data ../shared            # every set
    python benchmarks/bench_math.py --data ../shared --limit 200

CPU-seconds count all work of a side: this process and its worker processes. math_verify is given the settings that
trainers use (boxed answers first, no answer without an anchor, its own time limits). Trainers parse the reference anew
for each row; further columns show it with parsed references kept, as ours are. Each set is read by all in alternating
slices, so that a busy machine slows all alike; the first rows (worker starts, caches) run before the clock.
Mistakes are wrongly accepted / wrongly refused rows.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from math_sets import LABELLED, Row, Set, labelled, long_solutions
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.verifiers.many import verify_many
from rlvr.verifiers.pool import close_shared, configure_shared, shared

SLICE = 100
WARM_UP = 20


def sets(shared_folder: Path) -> Iterator[Set]:
    """Gives the sets in the shared folder."""
    for name in LABELLED:
        yield labelled(shared_folder, name)
    yield from long_solutions(shared_folder)


def ours(rows: Sequence[Row], slot: str) -> list[bool]:
    """Judges rows with the verifier of the house."""
    given = [{"completion": row.completion, "answer": row.reference} for row in rows]
    return [verdict.outcome == 1.0 for verdict in verify_many(given, "math", options={"slot": slot})]


def _parsed(reference: str) -> Any:
    from math_verify import parse

    return parse(f"\\boxed{{{reference}}}", extraction_config=_latex())


_kept = lru_cache(maxsize=10_000)(_parsed)


@lru_cache(maxsize=1)
def _latex() -> Any:
    from math_verify import LatexExtractionConfig

    return (LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False),)


def theirs(rows: Sequence[Row], slot: str, read_reference: Callable[[str], Any]) -> list[bool]:
    """Judges rows with math_verify; where the answer stands in a marked line it gets its default extraction."""
    from math_verify import parse, verify

    config = {"extraction_config": _latex(), "extraction_mode": "first_match"} if slot == "boxed" else {}
    return [verify(read_reference(row.reference), parse(row.completion, **config)) for row in rows]


SIDES: dict[str, Callable[..., list[bool]]] = {
    "rlvr": ours,
    "math_verify": partial(theirs, read_reference=_parsed),
    "references kept": partial(theirs, read_reference=_kept),
}


def cpu_seconds() -> float:
    """CPU-seconds of this process and of the verifier's worker processes, alive or ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = 0.0
    for pid in shared().worker_pids():
        stat = Path(f"/proc/{pid}/stat")
        fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else ["0"] * 15
        alive += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + alive


def compare(one: Set) -> dict[str, tuple[float, list[bool]]]:
    """Gives for each side its CPU-seconds and its judgements, the sides taking turns slice by slice."""
    spent, judged = dict.fromkeys(SIDES, 0.0), {name: list[bool]() for name in SIDES}
    for side in SIDES.values():
        side(one.rows[:WARM_UP], one.slot)
    for start in range(0, len(one.rows), SLICE):
        part = one.rows[start : start + SLICE]
        for name, side in SIDES.items():
            before = cpu_seconds()
            judged[name] += side(part, one.slot)
            spent[name] += cpu_seconds() - before
    return {name: (spent[name], judged[name]) for name in SIDES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="the folder with data/ and corpora/")
    parser.add_argument("--limit", type=int, default=0, help="rows of each set (default: all)")
    parser.add_argument("--only", default="", help="sets whose name contains this")
    given = parser.parse_args()
    configure_shared(1)
    table = Table("set", "rows", box=box.SIMPLE_HEAD)
    for name in SIDES:
        table.add_column(f"{name}: mistakes", justify="right")
        table.add_column("per CPU-s", justify="right")
        if name != "rlvr":
            table.add_column("slower", justify="right")
    started = time.monotonic()
    for one in sets(given.data):
        if given.only not in one.name:
            continue
        one = Set(one.name, one.rows[: given.limit or None], one.slot)
        found = compare(one)
        cells = [one.name, str(len(one.rows))]
        for name, (spent, judged) in found.items():
            pairs = [(right, row.label) for right, row in zip(judged, one.rows, strict=True) if row.label is not None]
            accepted, refused = sum(r and not lab for r, lab in pairs), sum(lab and not r for r, lab in pairs)
            cells.append(f"{accepted} / {refused}" if pairs else f"{sum(judged)} right")
            cells.append(f"{len(judged) / spent:,.0f}")
            cells += [f"{spent / found['rlvr'][0]:.1f}"] if name != "rlvr" else []
        table.add_row(*cells)
    Console(width=150).print(table)
    print(f"{time.monotonic() - started:.0f} s in all")
    close_shared()


if __name__ == "__main__":
    main()
