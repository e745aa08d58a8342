"""What one data-parallel rank computes, in a process of its own (gloo); the tests of ranks start two of them."""

import multiprocessing
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from rows import LIMIT, ROWS, Descent, learner_of, samples_of
from tiny import gradients, make_model, write_base
from torch import distributed

from rlvr.algorithms.presets import resolve
from rlvr.models.heads import create_value_model
from rlvr.stages.supervised import next_token_loss
from rlvr.training.batching import make_batches, weighted_row
from rlvr.training.critic import Critic
from rlvr.training.learner import Learner
from rlvr.training.samples import Measured
from rlvr.training.update import accumulate
from rlvr.training.value_head import ValueHead

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
    torch.save(found(folder.parent), folder / f"{rank}.pt")
    distributed.destroy_process_group()
    sys.exit(0)


def found(folder: Path) -> dict[Any, Any]:
    """Gives the losses, statistics and gradients of every row's updates, of both critics, and of one text.

    `folder` holds what `prepare` put there.
    """
    results: dict[Any, Any] = {}
    for dtype in (torch.float64, torch.float32):
        for layout, budget in LAYOUTS:
            for name in ROWS:
                results[name, layout, dtype] = of_row(name, layout, budget, dtype)
            results["next token", layout, dtype] = of_text(layout, dtype)
            results["value head", layout, dtype] = of_value_head(layout, budget, dtype)
            results["critic", layout, dtype] = of_critic(folder / "base", layout, budget, dtype)
    return results


def of_row(name: str, layout: str, budget: int, dtype: torch.dtype) -> tuple[float, dict[str, float], list[Any]]:
    """Gives loss, statistics and gradients of all updates of one step."""
    row = ROWS[name]
    samples = samples_of(silent_group=row.updates_per_step == 1 or row.kl_place == "loss")
    learner, optimizer = learner_of(make_model(dtype=dtype), row, layout=layout, budget=budget)
    report = learner.update(samples, learner.measure(samples))
    return report.loss, dict(report.stats), optimizer.gradients


def prepare(folder: Path) -> Path:
    """Writes the model from which the critic is made."""
    write_base(folder / "base")
    return folder


def of_value_head(layout: str, budget: int, dtype: torch.dtype) -> tuple[float, dict[str, float], list[Any]]:
    """Gives the same of PPO with a head on the policy's trunk; its gradients come after the policy's."""
    model = make_model(dtype=dtype)
    head = torch.nn.Linear(model.config.hidden_size, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, head.weight.numel())[None])
    policy, of_head = Descent(model), Descent(head)
    shared = {"microbatch_tokens": budget, "layout": layout, "dtype": "float32"}
    learner = Learner(
        model,
        policy,
        row=resolve("ppo", kl_place="none"),
        reference=None,
        critic=ValueHead(model, head, of_head, coefficient=0.5, value_clip=0.2, **shared),
        max_completion_tokens=LIMIT,
        temperature=1.0,
        **shared,
    )
    samples = samples_of()
    report = learner.update(samples, learner.measure(samples))
    return report.loss, dict(report.stats), policy.gradients + of_head.gradients


def of_critic(base: Path, layout: str, budget: int, dtype: torch.dtype) -> tuple[float, dict[str, float], list[Any]]:
    """Gives the same of two updates of a value model of its own."""
    model = create_value_model(base, head="drawn", seed=3, device=torch.device("cpu")).to(dtype)
    optimizer, samples = Descent(model), samples_of()
    critic = Critic(model, optimizer, value_clip=0.2, microbatch_tokens=budget, layout=layout, dtype="float32")
    measured = Measured({"values": critic.values(samples)})
    stats = critic.update(samples, measured, [list(range(5)), list(range(5, len(samples)))])
    return stats["train/value_loss"], stats, optimizer.gradients


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
