"""Whether intervals hold the truth as often as they say, in simulated evaluations; writes docs/lab.

`python benchmarks/interval_coverage.py [PART…]`: all estimators, or those whose name holds a part, then only printed.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from coverage_cells import ESTIMATORS, Cell
from coverage_gate import gate_table
from coverage_report_cells import REPORTED

from rlvr.statistics.intervals import Interval

ALL = {**ESTIMATORS, **REPORTED}
PAGE = Path(__file__).parent.parent / "docs" / "lab" / "2026-11-30-interval-coverage.md"
FIRST, AGAIN = 400, 4000
"""Evaluations of each cell, and with other numbers of the WORST: the lowest of many is low by luck."""
WORST = 5


@dataclass(frozen=True, slots=True)
class Held:
    """One cell: how often the truth was held, how wide the interval was, and 3.92 deviations of the estimate."""

    cell: Cell
    rate: float
    width: float
    ideal: float


def held(cell: Cell, *, count: int, key: Sequence[int]) -> Held:
    """Gives what `count` evaluations of a cell give; equal keys give equal numbers."""
    rng = np.random.default_rng(key)
    found: list[Interval] = []
    while len(found) < count:
        found += cell.draw(rng, min(200, count - len(found)))
    inside = np.mean([one.low <= cell.truth <= one.high for one in found])
    widths = [2 * (one.mean - one.low) if cell.is_one_sided else one.high - one.low for one in found]
    width = np.mean(widths)
    return Held(cell, float(inside), float(width), 2 * 1.96 * float(np.std([one.mean for one in found])))


def measure(name: str) -> tuple[list[Held], list[Held]]:
    """Gives all cells of an estimator, and its worst ones anew, lowest first."""
    key = crc32(name.encode())
    cells = list(ALL[name]())
    found = [held(cell, count=FIRST, key=(key, number)) for number, cell in enumerate(cells)]
    order = sorted(range(len(cells)), key=lambda number: found[number].rate)[:WORST]
    again = [held(cells[number], count=AGAIN, key=(key, number, 1)) for number in order]
    return found, sorted(again, key=lambda one: one.rate)


def row(name: str, found: Sequence[Held], again: Sequence[Held]) -> str:
    """Gives an estimator's line of the table."""
    lowest = again[0]
    longer = np.median([one.width / one.ideal for one in found if one.ideal > 0])
    widths = [
        f"{100 * float(np.mean([one.width for one in found if one.cell.tasks == tasks])):.1f}"
        for tasks in sorted({one.cell.tasks for one in found})
    ]
    return (
        f"| `{name}` | {len(found)} | {100 * float(np.mean([one.rate for one in found])):.1f} % | "
        f"{100 * lowest.rate:.1f} % ({lowest.cell.said}) | {' / '.join(widths)} | {longer:.2f} |"
    )


HEAD = """# Intervals hold the truth as often as they say

`python benchmarks/interval_coverage.py`, {seconds:.0f} CPU-seconds. Simulated evaluations of known truth: true rates
of 0.02 to 0.98, 64 to 1,024 tasks, 1 to 16 samples of each. Tasks differ: their own rates come from a Beta distribution
with a + b ("own") of 0.5 (nearly all hopeless or sure) or 4 (most between), or are all alike. Every cell of a grid is
simulated {first} times at nominal 95 %; the {worst} lowest of each estimator {again:,} times more with other numbers,
since the lowest of many is low by luck (standard error 0.35 points at 95 %).

| estimator | cells | truth held | lowest cell, anew | mean width in points, by tasks | width against ideal |
|---|---|---|---|---|---|
"""
FOOT = """
- Mean width is over the cells with 64 / 256 / 1,024 tasks; for `bootstrap_interval`, `matched_win_rate`, `best_of_k`,
  `mean_gain` and the selection 64 / 256, for `correlation` 8 / 24 / 100 racers in hundredths, for `ratio_interval`
  documents and hundredths of a nat, for the price hundredths of a doubling, for `anytime_lower_bounds` 1,024 tasks and
  twice the way from the highest bound of all looks to the estimate.
- Width against ideal: the median over cells of the width by 3.92 deviations of the estimate, which an interval would
  have that knew them. Above 1 is the price of not knowing.
- `rate_interval` takes two tasks more, one right and one wrong, for how far tasks differ. Without them it held the
  truth in 84.8 % where nearly all tasks are sure and few were drawn that are not (rate 0.98, 64 tasks, 16 samples,
  own 0.5).
- `bootstrap_interval` draws the pseudo-pairs of `paired_difference_interval` with the tasks, at the t quantile. Without
  them it held the truth in 91.5 % of these cells on average and in 47.7 % in the worst (rate 0.98, 64 tasks, 1 sample,
  own 0.5), where often no task differs. Its 1,000 draws here are 10,000 by default.
- `anytime_lower_bounds` is one-sided and holds at every look at once, so it is conservative.
- pass@k, maj@k, best of k and shares are counted where they themselves lie between 0.02 and 0.98.
- `share_interval`: 55, 30 and 15 % of the tasks hold one, two and three instructions, kept with rate^0.75, rate and
  rate^1.5.
- `ratio_interval`: 64, 256 and 1,024 documents of 100 tokens on average, whose logarithm deviates by 0.3, 0.6 or 1
  ("uneven"): an even change of 0.02 nats a token, or a skewed KL of 0.05 (Gamma, shape 2). With plain residuals and
  N - 1 degrees of freedom it held the truth in 92.2 % of the worst cell (KL, 64 documents, uneven 1).
- `matched_win_rate`: true rates of 0.1 to 0.9; 30 + 30, 10 + 40 or 40 + 10 % of the pairs match in length with the one
  or the other text longer; one pair of ten is a tie.
- `best_of_k`: the best of 4 by a score that likes right answers with odds of 4 to 1, from 8 samples.
- The selection of a race: the truth is by how much the winner of 4, chosen on these tasks, leads by more on them than
  it does in truth. The interval counts the chance of both halves of the tasks, so it is conservative.
- The price of a vote: true rates of 0.4 to 0.7, and a child that lies half way between one sample of its parent and
  its vote of 8; the range of `rlvr analyze thinking`, in doublings of the tokens of one sample. It is made of intervals
  that each hold at one point of the curve, and is cut where the curve begins and ends.

## The gate's promise

`decide` on as many tasks as `tasks_for_gate` asks for, 10,000 simulated evaluations of each: answers right or wrong, of
which a share turns, half each way, and the loss more turns to wrong. Rejected, in percent, is given for both rules of a
gate: what is shown to be lost / what is not shown to be kept.

"""


def main(parts: Sequence[str]) -> None:
    """Measures, prints and, where all are measured, writes the page."""
    names = [name for name in ALL if not parts or any(part in name for part in parts)]
    began, rows = time.process_time(), []
    for number, name in enumerate(names, start=1):
        rows.append(row(name, *measure(name)))
        seconds = time.process_time() - began
        print(f"{number}/{len(names)} after {seconds:.0f} CPU-s  {rows[-1]}", flush=True)
    if not parts:
        gate = gate_table()
        print(gate)
        head = HEAD.format(seconds=time.process_time() - began, first=FIRST, again=AGAIN, worst=WORST)
        PAGE.write_text(head + "\n".join(rows) + "\n" + FOOT + gate, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
