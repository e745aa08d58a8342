"""What one data-parallel rank computes, in a process of its own (gloo); the tests of ranks start two of them."""

import multiprocessing
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from rows import ROWS, learner_of, samples_of
from tiny import gradients, make_model
from torch import distributed

from rlvr.stages.supervised import next_token_loss
from rlvr.training.batching import make_batches, weighted_row
from rlvr.training.update import accumulate

DEADLINE_SECONDS = 120
LAYOUTS = (("padded", 64), ("packed", 30))


def start(folder: Path, ranks: int) -> list[dict[Any, Any]]:
    """Gives what `found` gives in each of so many ranks. A rank that fails or waits too long fails the test."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_run, args=(folder, rank, ranks)) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE_SECONDS)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * ranks
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(ranks)]


def _run(folder: Path, rank: int, ranks: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=DEADLINE_SECONDS),
    )
    torch.save(found(), folder / f"{rank}.pt")
    distributed.destroy_process_group()
    sys.exit(0)


def found() -> dict[Any, Any]:
    """Gives the losses, statistics and gradients of every row's updates, and of one next-token update."""
    results: dict[Any, Any] = {}
    for dtype in (torch.float64, torch.float32):
        for layout, budget in LAYOUTS:
            for name in ROWS:
                results[name, layout, dtype] = of_row(name, layout, budget, dtype)
            results["next token", layout, dtype] = of_text(layout, dtype)
    return results


def of_row(name: str, layout: str, budget: int, dtype: torch.dtype) -> tuple[float, dict[str, float], list[Any]]:
    """Gives loss, statistics and gradients of all updates of one step."""
    row = ROWS[name]
    samples = samples_of(silent_group=row.updates_per_step == 1 or row.kl_place == "loss")
    learner, optimizer = learner_of(make_model(dtype=dtype), row, layout=layout, budget=budget)
    report = learner.update(samples, learner.measure(samples))
    return report.loss, dict(report.stats), optimizer.gradients


def of_text(layout: str, dtype: torch.dtype) -> tuple[float, dict[str, float], list[Any]]:
    """Gives the same of one text, a single microbatch, so that all ranks but the first have nothing to do."""
    model = make_model(dtype=dtype)
    batches = make_batches(
        [weighted_row(torch.arange(5, 25).numpy(), [1.0] * 20)],
        microbatch_tokens=99,
        layout=layout,
        device=torch.device("cpu"),
        tokens_in_update=19.0,
        sequences_in_update=1,
    )
    loss, sums = accumulate(batches, next_token_loss(model), networks=[model], dtype="float32")
    return loss, sums, [gradients(model)]
