"""Tells what each row of algorithms takes to learn a word on the tiny model of the tests: a table for docs/lab.

    PYTHONPATH=tests OMP_NUM_THREADS=1 python benchmarks/rows_learn.py                 # what is rewarded, 20 steps
    PYTHONPATH=tests OMP_NUM_THREADS=1 python benchmarks/rows_learn.py --shuffled 8    # the control, 10 steps, 8 seeds

CPU-seconds are those of this process from the stage's begin to the end of the first step in which more than nine in
ten of the 64 completions hold the word.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning import ROWS, learn
from tiny import write_base

from rlvr.algorithms.presets import resolve

SOLVED = 0.9
RATE = "rollout/outcome_mean"
FIRST_SEED = 7


def learned(name: str, base: Path, folder: Path) -> str:
    """Gives the row's line of the table of what is rewarded."""
    found = learn(base, folder, {"preset": name, **ROWS[name]}, steps=20, seed=FIRST_SEED)
    rates = [line[RATE] for line in found.run.metrics()]
    step = next((step for step, rate in enumerate(rates) if rate > SOLVED), None)
    took = "–" if step is None else f"{found.cpu_seconds[step]:.1f}"
    reached = "–" if step is None else str(step + 1)
    return (
        f"| {name} | {updates(name)} | {100 * found.before:.1f} | {100 * rates[10]:.1f} | {100 * found.after:.1f} | "
        f"{reached} | {took} | {found.cpu_seconds[-1]:.1f} | {100 * found.clip_rate:.1f} |"
    )


def shuffled(name: str, base: Path, folder: Path, *, seeds: int) -> str:
    """Gives the row's line of the table of the control: what shuffled rewards move, by seed, in points."""
    row: dict[str, Any] = {"preset": name, **ROWS[name]}
    rises = []
    for seed in range(FIRST_SEED, FIRST_SEED + 2 * seeds, 2):
        found = learn(base, folder / str(seed), row, rewards="shuffled", steps=10, seed=seed)
        rises.append(100 * (found.after - found.before))
    each = " ".join(f"{rise:+.1f}" for rise in rises)
    return f"| {name} | {np.mean(rises):+.1f} | {np.std(rises, ddof=1) if seeds > 1 else 0.0:.1f} | {each} |"


def updates(name: str) -> int:
    """Gives how many optimizer updates the row makes of a rollout."""
    row = resolve(name, **ROWS[name])
    return row.updates_per_step * row.epochs_per_step


def lines(seeds: int, base: Path, folder: Path) -> Iterator[str]:
    """Gives the table, a line as soon as its row has been run."""
    if seeds:
        yield "| row | mean rise, points | std over seeds | each seed |\n|---|---|---|---|"
    else:
        names = ("row", "updates per rollout", "% right before", "in the 11th rollout", "after 20 steps")
        names += ("first step over 90 %", "CPU-s to its end", "CPU-s of 20 steps", "% of tokens clipped, at most")
        yield f"| {' | '.join(names)} |\n{'|---' * len(names)}|"
    for name in ROWS:
        place = folder / name
        yield shuffled(name, base, place, seeds=seeds) if seeds else learned(name, base, place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shuffled", type=int, default=0, help="seeds of the control with shuffled rewards; 0: none")
    seeds = parser.parse_args().shuffled
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        base = write_base(Path(folder) / "base", scale=0.25)
        for line in lines(seeds, base, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
