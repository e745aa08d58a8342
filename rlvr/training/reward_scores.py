"""A reward model as a scorer: its number becomes a verdict's score, the outcome stays the verifier's word.

So the reward that is trained on can be held against what is true: reward reads the score, everything else the outcome.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from rlvr.errors import VerifierError
from rlvr.models.heads import token_values
from rlvr.models.policy import context_length
from rlvr.training.batching import Batch, Row, sequence_sums
from rlvr.training.measure import measure
from rlvr.training.rollout import Scores
from rlvr.types import Completion, Group, IntArray, Task, Verdict, read_only


def scored_row(token_ids: IntArray, end: int) -> Row:
    """Gives the row of a sequence whose reward is read at token `end`, its completion's last; what follows is cut."""
    return Row(read_only(token_ids[: end + 1], np.int64), read_only(np.arange(end + 1) == end, np.bool_))


def measure_rewards(
    model: Any, rows: Sequence[Row], *, microbatch_tokens: int, layout: str, dtype: str
) -> tuple[float, ...]:
    """Gives each row's reward under `model` in evaluation mode, read at its one trainable token."""

    def read(batch: Batch) -> Tensor:
        return token_values(model, batch.token_ids, batch.position_ids, batch.trainable)

    found = [math.nan] * len(rows)
    for batch, values in measure(model, rows, read, microbatch_tokens=microbatch_tokens, layout=layout, dtype=dtype):
        for index, value in zip(batch.rows, sequence_sums(batch, values).tolist(), strict=True):
            found[index] = value
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A group whose rewards are wanted."""

    task: Task
    rows: list[Row]
    rewards: "asyncio.Future[tuple[float, ...]]"


class RewardScores:
    """Scores completions with verifiers and a reward model. It is what `Scores` in rollout asks for.

    The reward model reads the very tokens that the policy read and wrote, and its reward is its number at the last one:
    the stop token, or where the length limit cut, whatever stands there. Groups that are finished at the same time
    share its batches. `encode` gives a task's prompt as the policy was asked it.
    """

    def __init__(
        self, verifiers: Scores, model: Any, encode: Callable[[Task], IntArray], *, microbatch_tokens: int, dtype: str
    ) -> None:
        self._verifiers = verifiers
        self._model = model
        self._encode = encode
        self._microbatch_tokens = microbatch_tokens
        self._dtype = dtype
        self._waiting: list[_Waiting] = []

    async def score(self, task: Task, completions: Sequence[Completion]) -> list[Verdict]:
        """Gives the verifier's verdicts, each with the reward model's number as its score.

        Raises VerifierError where that number is not finite, or a sequence is longer than the reward model can read.
        """
        verdicts, rewards = await asyncio.gather(
            self._verifiers.score(task, completions), self._rewards(task, completions)
        )
        return [replace(verdict, score=reward) for verdict, reward in zip(verdicts, rewards, strict=True)]

    async def settle(self) -> None:
        """Ends what belongs to the running event loop. Raises VerifierError where verdicts must not be trusted."""
        await self._verifiers.settle()

    def totals(self) -> dict[str, float]:
        """Gives the running totals of the verifiers."""
        return self._verifiers.totals()

    def check_references(self, tasks: Sequence[Task]) -> list[str | None]:
        """Says for each task what is wrong with its reference, None where nothing is."""
        return self._verifiers.check_references(tasks)

    async def _rewards(self, task: Task, completions: Sequence[Completion]) -> tuple[float, ...]:
        prompt = self._encode(task)
        rows = [self._row(task, np.concatenate([prompt, completion.token_ids])) for completion in completions]
        loop = asyncio.get_running_loop()
        waiting = _Waiting(task, rows, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            # Not before every group that is ready now has come as far.
            loop.call_soon(self._answer)
        return await waiting.rewards

    def _row(self, task: Task, token_ids: IntArray) -> Row:
        if len(token_ids) > (most := context_length(self._model)):
            raise VerifierError(
                f"the reward model reads {most} tokens at most; task {task.id!r} with its answer has {len(token_ids)}",
                hint="lower max_completion_tokens, or take a reward model with a longer context",
            )
        return scored_row(token_ids, len(token_ids) - 1)

    def _answer(self) -> None:
        groups, self._waiting = self._waiting, []
        try:
            found = iter(
                measure_rewards(
                    self._model,
                    [row for group in groups for row in group.rows],
                    microbatch_tokens=self._microbatch_tokens,
                    layout="padded",
                    dtype=self._dtype,
                )
            )
        except Exception as error:  # It belongs to those who wait, not to the event loop.
            for group in groups:
                _tell(group, error)
            return
        for group in groups:
            rewards = tuple(next(found) for _ in group.rows)
            bad = next((reward for reward in rewards if not math.isfinite(reward)), None)
            _tell(group, rewards if bad is None else _no_reward(group.task, bad))


def score_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Gives what scores say beside the outcomes: their mean, and how often they rank a right completion first.

    That is the share of pairs of a right and a wrong completion of one task in which the right one has the higher
    score, equal scores counting half; left out where no group has both. Empty where nothing has a score.
    """
    scores = [verdict.score for group in groups for verdict in group.verdicts if verdict.score is not None]
    if not scores:
        return {}
    wins = [win for group in groups for win in _wins(group)]
    agreement = {"rollout/score_agreement_rate": sum(wins) / len(wins)} if wins else {}
    return {"rollout/score_mean": sum(scores) / len(scores), **agreement}


def _wins(group: Group) -> list[float]:
    right: list[float] = []
    wrong: list[float] = []
    for verdict in group.verdicts:
        if verdict.outcome is not None and verdict.score is not None:
            (right if verdict.outcome >= group.task.threshold else wrong).append(verdict.score)
    return [0.5 if a == b else float(a > b) for a in right for b in wrong]


def _tell(group: _Waiting, found: tuple[float, ...] | Exception) -> None:
    if group.rewards.cancelled():
        return
    if isinstance(found, Exception):
        group.rewards.set_exception(found)
    else:
        group.rewards.set_result(found)


def _no_reward(task: Task, reward: float) -> VerifierError:
    return VerifierError(
        f"the reward model gave {reward} for a completion of task {task.id!r}; a finite number was expected",
        hint="its training diverged: make it again with a lower optimizer.learning_rate",
    )
