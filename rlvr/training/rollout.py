"""Rollout: tasks are drawn, an engine completes them, verifiers score them while generation goes on.

P prompts, G completions per prompt.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from rlvr.data.stream import Draw, TaskStream
from rlvr.engines.base import Engine, Request, Sampling
from rlvr.errors import TrainingError, VerifierError
from rlvr.types import Completion, Group, IntArray, Task, Verdict

SCORING_DEADLINE_SECONDS = 900.0
MAX_UNSCORED_RATE = 0.1
"""Share of completions without an outcome that evaluation and the sampling of pairs bear."""

Shape = Callable[[Task, Completion, Verdict, float], float]
Encode = Callable[[Task], IntArray]


class Scores(Protocol):
    """Whatever gives a verdict for each completion of a task, in order."""

    async def score(self, task: Task, completions: Sequence[Completion]) -> list[Verdict]:
        """Scores the completions; never raises for a bad one."""
        ...

    async def settle(self) -> None:
        """Ends what belongs to the running event loop. Raises VerifierError where verdicts must not be trusted."""
        ...

    def totals(self) -> dict[str, float]:
        """Gives running totals as metrics."""
        ...

    def check_references(self, tasks: Sequence[Task]) -> list[str | None]:
        """Says for each task what is wrong with its reference, None where nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """What one step generated: all `groups` in draw order, and the `kept` ones that are trained on."""

    groups: tuple[Group, ...]
    kept: tuple[Group, ...]


def reward_of(
    task: Task, completion: Completion, verdict: Verdict, shaping: Sequence[Shape]
) -> tuple[float, dict[str, float]]:
    """Gives the shaped reward: the verdict's score, else its outcome, through each shaping; NaN without an outcome.

    And by how much each shaping changed it, as "reward/NAME"; a name that comes again has its place behind it.
    """
    if verdict.outcome is None:
        return math.nan, {}
    reward = verdict.outcome if verdict.score is None else verdict.score
    changes: dict[str, float] = {}
    for place, shape in enumerate(shaping, start=1):
        shaped = shape(task, completion, verdict, reward)
        name = f"reward/{_name(shape)}"
        changes[f"{name}-{place}" if name in changes else name] = shaped - reward
        reward = shaped
    if not math.isfinite(reward):
        raise TrainingError(
            f"the shaped reward of task {task.id!r} is {reward}; a finite number was expected",
            hint="check the functions named in shaping",
        )
    return reward, changes


def _name(shape: Shape) -> str:
    function = shape.func if isinstance(shape, partial) else shape
    return getattr(function, "__name__", type(function).__name__)


def complete_groups(
    engine: Engine,
    draws: Sequence[Draw],
    *,
    group_size: int,
    sampling: Sampling,
    encode: Encode,
    scores: Scores,
    shaping: Sequence[Shape] = (),
) -> list[Group]:
    """Completes and scores each drawn task `group_size` times; gives the groups in the order of `draws`."""
    if not draws:
        return []
    prompts = {draw.draw_index: encode(draw.task) for draw in draws}
    engine.submit(
        [Request(draw.draw_index, draw.draw_index, prompts[draw.draw_index], group_size, sampling) for draw in draws]
    )
    completed, verdicts = asyncio.run(_play(engine, {d.draw_index: d.task for d in draws}, group_size, scores))
    return [
        _group(draw, prompts[draw.draw_index], completed[draw.draw_index], verdicts[draw.draw_index], shaping)
        for draw in draws
    ]


def _group(
    draw: Draw,
    prompt_ids: IntArray,
    completions: Sequence[Completion],
    verdicts: Sequence[Verdict],
    shaping: Sequence[Shape],
) -> Group:
    """Gives the group with its rewards; what each shaping did stands in the parts of the verdicts."""
    shaped = [reward_of(draw.task, c, v, shaping) for c, v in zip(completions, verdicts, strict=True)]
    return Group(
        task=draw.task,
        draw_index=draw.draw_index,
        prompt_ids=prompt_ids,
        completions=tuple(completions),
        verdicts=tuple(
            replace(verdict, parts={**verdict.parts, **changes}) if changes else verdict
            for verdict, (_, changes) in zip(verdicts, shaped, strict=True)
        ),
        rewards=tuple(reward for reward, _ in shaped),
    )


async def _play(
    engine: Engine, tasks: dict[int, Task], group_size: int, scores: Scores
) -> tuple[dict[int, list[Completion]], dict[int, list[Verdict]]]:
    """Steps the engine until it is idle; a group goes to its verifier as soon as its last completion is there."""
    arrived: dict[int, dict[int, Completion]] = {draw_index: {} for draw_index in tasks}
    scoring: dict[int, asyncio.Task[list[Verdict]]] = {}
    completed: dict[int, list[Completion]] = {}
    while engine.has_work:
        for finished in engine.step():
            group = arrived[finished.request_id]
            group[finished.sample_index] = finished.completion
            if len(group) == group_size:
                completed[finished.request_id] = [group[i] for i in range(group_size)]
                scoring[finished.request_id] = asyncio.create_task(
                    scores.score(tasks[finished.request_id], completed[finished.request_id])
                )
        await asyncio.sleep(0)
    for draw_index, work in scoring.items():
        await _verdicts(work, tasks[draw_index])
    await scores.settle()
    return completed, {draw_index: work.result() for draw_index, work in scoring.items()}


async def _verdicts(work: "asyncio.Task[list[Verdict]]", task: Task) -> None:
    """Waits for one group's verdicts; the deadline is a second line behind the verifiers' own."""
    try:
        await asyncio.wait_for(work, SCORING_DEADLINE_SECONDS)
    except TimeoutError as error:
        raise VerifierError(
            f"verifier {task.verifier!r} gave no verdict on task {task.id!r} within {SCORING_DEADLINE_SECONDS:.0f} s"
        ) from error


def generate_groups(
    engine: Engine,
    tasks: TaskStream,
    *,
    num_prompts: int,
    group_size: int,
    sampling: Sampling,
    encode: Encode,
    scores: Scores,
    shaping: Sequence[Shape] = (),
    keep: Callable[[Group], bool],
    refill_limit: int = 1,
) -> Rollout:
    """Draws P prompts and completes each G times.

    Groups that `keep` refuses are generated but not trained on. As many prompts are drawn again until P groups are kept
    or `refill_limit` x P prompts were drawn (a soft cap: training goes on with what there is; 1 means no refill).
    Groups are accepted in draw order, never in order of arrival.
    """
    groups: list[Group] = []
    kept: list[Group] = []
    draws_left = num_prompts * max(1, refill_limit)
    missing = num_prompts
    while missing > 0 and draws_left > 0:
        draws = tasks.draw(min(missing, draws_left))
        draws_left -= len(draws)
        fresh = complete_groups(
            engine,
            draws,
            group_size=group_size,
            sampling=sampling,
            encode=encode,
            scores=scores,
            shaping=shaping,
        )
        for group in fresh:
            if group.num_scored:
                tasks.record(group.task.id, group.num_solved / group.num_scored)
        groups.extend(fresh)
        kept.extend(group for group in fresh if keep(group))
        missing = num_prompts - len(kept)
    return Rollout(tuple(groups), tuple(kept))


def refuse_unscored(groups: Sequence[Group], max_unscored_rate: float) -> None:
    """Raises VerifierError when the verifier could not tell on too large a share of the completions."""
    total = sum(len(group.completions) for group in groups)
    lost = [(g.task, v) for g in groups for v in g.verdicts if v.outcome is None]
    if total and len(lost) / total > max_unscored_rate:
        task, verdict = lost[0]
        raise VerifierError(
            f"the verifier could not tell on {len(lost)} of {total} completions "
            f"(limit {max_unscored_rate:.0%}); first: task {task.id!r}, verifier {task.verifier!r}, "
            f"status {verdict.status!r}",
            hint="rlvr doctor checks the verifier pool; max_unscored_rate sets the limit",
        )
