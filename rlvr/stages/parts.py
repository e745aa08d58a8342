"""What a stage works with. Whether these are local objects or handles is decided where they are made."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.config.data import CHAT, PROBLEM, DataConfig, EvaluateConfig
from rlvr.config.gate import GateConfig
from rlvr.config.optimizer import OptimizerConfig
from rlvr.data.chat import encode_plain_prompt, encode_prompt, stop_token_ids
from rlvr.data.sources import Kind
from rlvr.data.split import problem_of
from rlvr.data.stream import Draw
from rlvr.engines.base import Engine, Sampling
from rlvr.errors import CheckpointError
from rlvr.models.checkpoint import load_trainer_state, save_checkpoint
from rlvr.models.optim import Optimizer
from rlvr.models.policy import context_length
from rlvr.runs.folder import CHECKPOINTS, Run
from rlvr.runs.publish import damages, latest_whole
from rlvr.training.intake import Intake, take_in
from rlvr.training.rollout import Scores, Shape, complete_groups
from rlvr.types import Check, Group, IntArray, Task

log = logging.getLogger(__name__)

PASSED = "passed"
"""The folder, in a stage's, with the last checkpoint that a gate let pass while the stage trained."""
KEPT = 2
"""So many checkpoints stay of those in one place."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published checkpoint: a directory in Hugging Face layout, the steps it took, the domains it trained on."""

    path: Path
    step: int
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """One stage's parts.

    `policy` is the network with the weights to go on from, loaded from `origin`; `make_reference` loads the frozen
    weights that the stage began with, None where nothing came before; `make_critic(path)` gives a network with a value
    for each token, from a value or reward model, or from the stage's first weights where the path is empty.
    `load(kind, sources)` gives the items of all sources to train on, without any whose prompt is held out;
    `load_held_out` those to measure, and `held_out()` every task that some evaluation of the recipe holds out.
    `scores` gives outcomes; `rewards` what RLVR learns from, which is the same unless a reward model is asked too.
    `weights` multiply the advantages of tasks by how their answers can be checked; one that is not named weighs 1.
    `make_engine(max_length)` gives an engine for sequences of up to that many tokens. A stage calls
    `announce(steps, first)` once it knows how many steps it has and with which it goes on.
    `begin` is the checkpoint that the stage began with, also where it is resumed; None: `origin`.
    `gate` says what held-out evaluations may lose while a stage trains, None where nothing is said; `earlier` holds
    the rates (domain, task, share solved) of the checkpoints before by name, the stage's parent last, against which
    that is; empty where nothing was measured.
    `until` is the step after which RLVR stops for now, its schedule being that of all steps; None: it runs to its end.
    """

    origin: Path
    policy: Any
    tokenizer: Any
    make_engine: Callable[[int], Engine]
    make_optimizer: Callable[[Any, OptimizerConfig, int], Optimizer]
    make_reference: Callable[[], Any]
    make_critic: Callable[[str], Any]
    load: Callable[[Kind, Sequence[DataConfig]], list[Any]]
    load_held_out: Callable[[Kind, Sequence[DataConfig]], list[Any]]
    scores: Scores
    rewards: Scores
    shaping: Sequence[Shape]
    weights: Mapping[Check, float]
    evaluation: EvaluateConfig | None
    announce: Callable[[int, int], None]
    seed: int
    dtype: str
    held_out: Callable[[], Sequence[Task]] = tuple
    until: int | None = None
    begin: Path | None = None
    gate: GateConfig | None = None
    earlier: Sequence[tuple[str, Mapping[str, Mapping[str, float]]]] = ()


def domains_of(items: Sequence[Any]) -> tuple[str, ...]:
    """Gives the domains of tasks, demonstrations, preferences or documents, each once, in order."""
    return tuple(sorted({item.domain for item in items}))


def last_checkpoint(run: Run) -> Path | None:
    """Gives the run's last whole checkpoint. Where all are damaged, they are set aside: the run begins anew."""
    try:
        found = latest_whole(run.checkpoints)
    except CheckpointError as error:
        log.warning("%s; %s begins anew", error.message, run.path.name)
        aside = run.path / f"damaged-{len(list(run.path.glob('damaged-*'))) + 1}"
        run.checkpoints.rename(aside)
        run.event("checkpoints_damaged", to=aside.name)
        return None
    return found[0] if found else None


def whole(run: Run, checkpoint: Path, done: str) -> bool:
    """Says whether a checkpoint of the run is whole; where it is not, `done`, the file that names it, is removed."""
    trouble = damages(checkpoint)
    if trouble:
        log.warning("%s is damaged (%s); going on from the last whole checkpoint", checkpoint, trouble[0])
        run.event("checkpoint_damaged", checkpoint=checkpoint.name, damages=trouble)
        (run.path / done).unlink()
    return not trouble


def restore(run: Run) -> tuple[int, Path | None, dict[str, Any]]:
    """Gives the first step to do, the last whole checkpoint and its trainer state; (0, None, {}) for a fresh run.

    Records of that step and later ones, left by a process that died after the checkpoint, are set aside.
    """
    found = latest_whole(run.checkpoints)
    if found is None:
        run.rewind(0)
        return 0, None, {}
    path, notes = found
    for note in notes:
        run.event("checkpoint_fallback", note=note)
    state = load_trainer_state(path)
    run.rewind(int(state["step"]))
    return int(state["step"]), path, state


def save(parts: Parts, run: Run, step: int, state: Mapping[str, Any], *, place: str = CHECKPOINTS) -> Path:
    """Publishes the policy and `state` after that many steps, once their records are on the disk; gives the folder.

    It lies in the run's folder `place`, where the newest KEPT stay.
    """
    run.sync()
    return save_checkpoint(
        run.path / place,
        step,
        model=parts.policy,
        tokenizer=parts.tokenizer,
        trainer_state={"step": step, **state},
        keep=KEPT,
    )


def encoder(tokenizer: Any, prompt: str) -> Callable[[Task], IntArray]:
    """Gives the function that encodes a task as it is asked: by the chat template, or in a plain text."""
    if prompt == CHAT:
        return lambda task: encode_prompt(tokenizer, task.messages)
    return lambda task: encode_plain_prompt(tokenizer, prompt.replace(PROBLEM, problem_of(task.messages)))


def usable_tasks(parts: Parts, tasks: Sequence[Task], max_completion_tokens: int, *, prompt: str = CHAT) -> Intake:
    """Gives the tasks that this policy can be asked in that way, with their encoded prompts."""
    return take_in(
        tasks,
        encode=encoder(parts.tokenizer, prompt),
        context_tokens=context_length(parts.policy),
        max_completion_tokens=max_completion_tokens,
        check_references=parts.scores.check_references,
    )


def sample_groups(
    parts: Parts,
    engine: Engine,
    draws: Sequence[Draw],
    prompts: Mapping[str, IntArray],
    *,
    group_size: int,
    temperature: float,
    max_completion_tokens: int,
    seed: int,
    purpose: str,
) -> list[Group]:
    """Gives the draws' groups of scored completions, without shaping; `prompts` holds each task's encoded prompt."""
    return complete_groups(
        engine,
        draws,
        group_size=group_size,
        sampling=Sampling(
            temperature=temperature,
            max_new_tokens=max_completion_tokens,
            stop_token_ids=stop_token_ids(parts.tokenizer),
            seed=seed,
            purpose=purpose,
        ),
        encode=lambda task: prompts[task.id],
        scores=parts.scores,
    )
