"""What poisonous answers cost the others: service times and the length of a batch with two workers.

    python benchmarks/bench_pool.py --data ../shared

1000 rows, 10 of them poisonous, in a shuffled order: 990 as models write them (from the labelled sets), and answers on
which computer algebra does not come to an end. Two batches: one where the poison is of a kind that the screen before
the pool lets pass, so that worker processes have to be killed, and one with the hostile corpus's hanging answers.
Service seconds are those that a verdict says: the work on the row, without its waiting. Both workers are up before the
clock starts. The bound for a batch is ceil(poison x tries / workers) x deadline + 1 s; the deadline is the verifier's
limit of CPU seconds. On a busy machine the clock outruns the work; so CPU-seconds stand beside it: those of the batch
in all processes (divided by the workers, what it takes where each has a core) and those of each row, in this process.
Exit code 1 where a target is missed by the clock.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_math import cpu_seconds
from math_sets import Row, expanded, labelled, read
from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.extract import extract
from rlvr.verifiers.latex import normalise
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.math import CPU_SECONDS, at_once
from rlvr.verifiers.pool import close_shared, configure_shared, shared

NUM_ROWS, NUM_POISON, NUM_TRIES = 1000, 10, 2
MAX_P50_SECONDS, MAX_P99_SECONDS = 0.0002, 0.1
SHARES = {
    "gsm8k_model_solutions_boxed": 500,
    "math500_solution_self": 300,
    "math500_mismatch": 90,
    "math_variants": 100,
}
"""Where the rows without poison come from."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one batch; `poison` holds the places of the poisonous ones."""

    name: str
    rows: Sequence[Row]
    poison: frozenset[int]

    @property
    def others(self) -> list[Row]:
        """The rows without poison."""
        return [row for place, row in enumerate(self.rows) if place not in self.poison]


def passing() -> list[Row]:
    """Gives poison that the screen lets pass; each is another expression, so that none is answered from memory."""
    forms = [rf"\frac{{(x+y+z)^{{{59 - n}}}}}{{(x-y)^{{{57 - n}}}}}" for n in range(NUM_POISON)]
    return [Row(f"passing {n}", r"\frac{\pi^2}{7}", rf"So $\boxed{{{form}}}$.", False) for n, form in enumerate(forms)]


def corpus(shared_folder: Path) -> list[Row]:
    """Gives the answers of the hostile corpus on which math_verify hangs without its time limit."""
    rows = read(shared_folder / "corpora" / "math_answers.jsonl")
    hanging = [row for row in rows if row["math_verify"].get("hangs_without_timeout")]
    return [Row(row["id"], row["gold"], expanded(row["completion"]), False) for row in hanging][:NUM_POISON]


def batches(shared_folder: Path, seed: int) -> list[Batch]:
    """Gives both batches."""
    draw = random.Random(seed)
    made = []
    for name, poison in (
        ("poison that passes the screen", passing()),
        ("hanging rows of the corpus", corpus(shared_folder)),
    ):
        plain = [row for name, size in SHARES.items() for row in draw.sample(labelled(shared_folder, name).rows, size)]
        mixed = [(row, False) for row in plain[: NUM_ROWS - len(poison)]] + [(row, True) for row in poison]
        draw.shuffle(mixed)
        places = frozenset(place for place, (_, poisonous) in enumerate(mixed) if poisonous)
        made.append(Batch(name, [row for row, _ in mixed], places))
    return made


def warm(num_workers: int) -> None:
    """Starts the workers and fills their caches."""
    payload = {"reference": "x+1", "answer": "1+x", "policy": {}}
    futures = [shared().submit("rlvr.verifiers.math_worker:compare", payload) for _ in range(20 * num_workers)]
    for future in futures:
        future.result(timeout=120)


def row_cpu_seconds(rows: Sequence[Row]) -> list[float]:
    """Gives for each row the CPU-seconds of its verdict, computer algebra in this process instead of a worker."""
    from rlvr.verifiers.math_worker import compare, prepare

    prepare()
    spent = []
    for row in rows:
        task, completion = as_task(row)
        start = time.process_time()
        if at_once(task, completion) is None:
            answer = normalise(extract(row.completion, "boxed").text)
            compare({"reference": row.reference, "answer": answer, "policy": {}})
        spent.append(time.process_time() - start)
    return spent


def as_task(row: Row) -> tuple[Task, Completion]:
    """Gives the task and the completion of a row."""
    nothing = (read_only([], kind) for kind in (np.int64, np.float32, np.bool_))
    return Task(row.id, (), row.reference, "math", "rows", "rows"), Completion(*nothing, row.completion, "stop", 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="the folder with data/ and corpora/")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="which rows and in which order (default 0)")
    given = parser.parse_args()
    configure_shared(given.workers)
    table = Table(box=box.SIMPLE_HEAD)
    times = ("p50, ms", "p99, ms", "p50, CPU-ms", "p99, CPU-ms", "batch, s", "CPU-s", "bound, s")
    for heading in ("batch", "rows", "poison", *times, "met"):
        table.add_column(heading, justify="left" if heading == "batch" else "right")
    missed = 0
    for batch in batches(given.data.resolve(), given.seed):
        warm(given.workers)
        start, before = time.monotonic(), cpu_seconds()
        rows = [{"completion": row.completion, "answer": row.reference} for row in batch.rows]
        verdicts = list(verify_many(rows, "math"))
        elapsed, spent = time.monotonic() - start, cpu_seconds() - before
        missed += not _report(table, batch, verdicts, (elapsed, spent), given.workers)
    Console(width=150).print(table)
    close_shared()
    return 1 if missed else 0


def _report(table: Table, batch: Batch, verdicts: Sequence[Verdict], took: tuple[float, float], workers: int) -> bool:
    elapsed, spent = took
    others = [verdict.seconds for place, verdict in enumerate(verdicts) if place not in batch.poison]
    poisoned = [verdicts[place] for place in sorted(batch.poison)]
    p50, p99 = np.quantile(others, [0.5, 0.99])
    bound = math.ceil(len(poisoned) * NUM_TRIES / workers) * CPU_SECONDS + 1
    met = p50 < MAX_P50_SECONDS and p99 < MAX_P99_SECONDS and elapsed <= bound
    cpu = np.quantile(row_cpu_seconds(batch.others), [0.5, 0.99])
    milliseconds = [f"{1000 * value:.3f}" for value in (p50, p99, *cpu)]
    counts = (str(len(verdicts)), str(len(poisoned)))
    table.add_row(
        batch.name, *counts, *milliseconds, f"{elapsed:.1f}", f"{spent:.1f}", f"{bound:.1f}", "yes" if met else "no"
    )
    print(f"{batch.name}: the poison's verdicts", sorted((v.status, v.path, v.outcome) for v in poisoned))
    return met


if __name__ == "__main__":
    sys.exit(main())
