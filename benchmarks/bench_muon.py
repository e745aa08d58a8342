"""Muon's update of the laptop model's matrices: this project's beside torch's, CPU-milliseconds in one run.

python benchmarks/bench_muon.py
"""

import statistics
import time

import torch

from rlvr.models.muon import Muon

SHAPES = [(64, 64)] * 12 + [(176, 64)] * 6 + [(64, 176)] * 3
REPEATS = 15


def update_ms(kind: type[torch.optim.Optimizer]) -> float:
    """Gives the median CPU-milliseconds of one update."""
    matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = kind(matrices, lr=1e-3)  # type: ignore[call-arg]
    found = []
    for _ in range(REPEATS):
        for matrix in matrices:
            matrix.grad = torch.randn_like(matrix)
        start = time.process_time()
        optimizer.step()
        found.append(1000 * (time.process_time() - start))
    return statistics.median(found[1:])


def main() -> None:
    torch.set_num_threads(1)
    ours, theirs = update_ms(Muon), update_ms(torch.optim.Muon)
    print(f"rlvr {ours:.1f} CPU-ms, torch {theirs:.1f} CPU-ms, {theirs / ours:.1f} times as long")


if __name__ == "__main__":
    main()
