"""What every engine takes and gives: `submit` requests, `step` until nothing is left, collect what finished.

One round at a time, so that verification overlaps generation. G completions per prompt, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rlvr.types import Completion, IntArray

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
