"""Tasks that a stage can use: the reference reads, the prompt fits the context."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rlvr.errors import DataError
from rlvr.types import IntArray, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Intake:
    """Usable tasks in order, their encoded prompts by task id, and a line for each reason that left some out."""

    tasks: tuple[Task, ...]
    prompts: Mapping[str, IntArray]
    left_out: tuple[str, ...]

    @property
    def longest_prompt(self) -> int:
        """The longest prompt, in tokens."""
        return max(len(ids) for ids in self.prompts.values())


def take_in(
    tasks: Sequence[Task],
    *,
    encode: Callable[[Task], IntArray],
    context_tokens: int,
    max_completion_tokens: int,
    check_references: Callable[[Sequence[Task]], list[str | None]],
) -> Intake:
    """Keeps the tasks whose reference is in order and whose prompt leaves room for a completion.

    `encode` gives a task's prompt; `check_references` for each task what is wrong with its reference, or None.
    Raises DataError when none is left.
    """
    limit = context_tokens - max_completion_tokens
    good: list[Task] = []
    prompts: dict[str, IntArray] = {}
    broken: list[str] = []
    long: list[str] = []
    for task, complaint in zip(tasks, check_references(tasks), strict=True):
        if complaint:
            broken.append(f"{task.id}: {complaint}")
            continue
        ids = encode(task)
        if len(ids) > limit:
            long.append(f"{task.id}: {len(ids)} tokens")
            continue
        good.append(task)
        prompts[task.id] = ids
    left_out = [
        f"{len(found)} of {len(tasks)} tasks left out, {why}; first: {found[0]}"
        for found, why in (
            (broken, "their reference is broken"),
            (
                long,
                f"their prompt is longer than {limit} tokens (context {context_tokens} - "
                f"max_completion_tokens {max_completion_tokens})",
            ),
        )
        if found
    ]
    if not good:
        raise DataError(
            "no task is left to use" + "".join(f"; {line}" for line in left_out),
            hint="lower max_completion_tokens, or check the reference field of the data",
        )
    for line in left_out:
        log.warning("%s", line)
    return Intake(tuple(good), prompts, tuple(left_out))
