"""What every engine takes and gives: `submit` requests, `step` until nothing is left, collect what finished.

One round at a time, so that verification overlaps generation. G completions per prompt, T tokens. An engine works in
token ids, which training needs. Where only texts are measured, an Answerer does: it may know no token ids at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rlvr.types import Completion, Finish, IntArray, Message, Task

MAX_SLOTS = 256
"""Completions in flight at most: what an engine is made for and what the memory estimate counts."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: at `temperature` (0 is greedy), up to `max_new_tokens`, until one of `stop_token_ids`.

    `seed` and `purpose` ("train", "evaluate", …) are the first parts of the random key of every draw.
    """

    temperature: float
    max_new_tokens: int
    stop_token_ids: tuple[int, ...]
    seed: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, int64 [T], to be completed `num_samples` times; `id` is unique among the requests in flight.

    The random key of a token is (seed, purpose, draw_index, sample index, position in the completion).
    """

    id: int
    draw_index: int
    prompt_ids: IntArray
    num_samples: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Finished:
    """One completion of a request, as it leaves the engine."""

    request_id: int
    sample_index: int
    completion: Completion


class Engine(Protocol):
    """Completes requests, in any order, one round per `step`."""

    def submit(self, requests: Sequence[Request]) -> None:
        """Queues the requests. Raises EngineError for one that can never be completed; then none is queued."""
        ...

    def step(self) -> list[Finished]:
        """Does one round of work and gives what finished in it; nothing to do gives an empty list."""
        ...

    @property
    def has_work(self) -> bool:
        """Whether completions are still to come."""
        ...

    def load_weights(self, policy: Any, *, version: int) -> None:
        """Takes the policy's weights; later completions carry that version."""
        ...

    def sleep(self) -> None:
        """Gives memory back until `wake`."""
        ...

    def wake(self) -> None:
        """Gets ready to work again."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are asked: `num_samples` times at `temperature` (0 is greedy), answers of at most `max_tokens`."""

    num_samples: int
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation to be answered; `id` is unique among those asked together and a part of the random key."""

    id: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer in words. `num_tokens` is None where nobody told; `finish` is "abort" where no answer came."""

    question_id: int
    sample_index: int
    text: str
    finish: Finish
    num_tokens: int | None


class Answerer(Protocol):
    """Answers questions in words."""

    def fitting(self, tasks: Sequence[Task], asking: Asking) -> tuple[list[Task], list[str]]:
        """Gives the tasks that can be asked, and a line for each reason that leaves some out."""
        ...

    def answers(self, questions: Sequence[Question], asking: Asking) -> Iterator[Answer]:
        """Yields every sample of every question as it comes, in any order. Raises EngineError where none can come."""
        ...
