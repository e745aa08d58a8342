"""Who decodes next: prompts that wait, prompts that are prefilled, and the completions in flight. No torch.

S slots, N completions in flight, T tokens.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlvr.engines.base import Request
from rlvr.types import IntArray

PREFILL_TOKENS = 2048
"""Prompts of one padded length are prefilled together, up to this many tokens."""

SLOT = np.dtype(
    [
        ("request_id", np.int64),
        ("sample", np.int64),
        ("draw", np.int64),
        ("sampling", np.int64),
        ("token", np.int64),
        ("position", np.int64),
        ("count", np.int64),
        ("limit", np.int64),
    ]
)
"""One completion in flight: `token` is fed next, at `position`; `count` tokens of at most `limit` are drawn."""


def padded_length(length: int) -> int:
    """Gives the length to which a prompt is padded: it depends on that prompt only, and wastes little."""
    if length == 0:
        return 0
    step = max(16, 1 << max(0, (length - 1).bit_length() - 3))
    return -(-length // step) * step


@dataclass(slots=True)
class Prompt:
    """A request whose samples wait for slots; `prefix` and `prefix_row` name its prefilled keys and values."""

    request: Request
    prefix: Any
    prefix_row: int
    next_sample: int


@dataclass(frozen=True, slots=True)
class Admission:
    """Slots [start, start + len(prefix_rows)) that begin a completion from rows of one prefix."""

    start: int
    prefix: Any
    prefix_rows: IntArray


class Slots:
    """The completions in flight, always in slots [0, active); a hole is filled with the last one."""

    def __init__(self, num_slots: int) -> None:
        self.active = 0
        self._table = np.zeros(num_slots, dtype=SLOT)
        self.tokens: npt.NDArray[np.int64] = np.zeros((num_slots, 0), dtype=np.int64)
        self.logprobs: npt.NDArray[np.float32] = np.zeros((num_slots, 0), dtype=np.float32)
        self._places = np.arange(num_slots)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._table) - self.active

    def rows(self, count: int) -> npt.NDArray[Any]:
        """Gives the first `count` slots as records, shared, not copied; a free slot has position and token 0."""
        return self._table[:count]

    def begin(self, request: Request, samples: range, limit: int) -> None:
        """Starts completions of a request in the next free slots: they feed the prompt's last token first."""
        rows = self._table[self.active : self.active + len(samples)]
        rows["request_id"], rows["sample"], rows["draw"] = request.id, np.asarray(samples), request.draw_index
        rows["token"], rows["position"] = request.prompt_ids[-1], len(request.prompt_ids) - 1
        rows["count"], rows["limit"] = 0, limit
        self.active += len(samples)
        if limit > self.tokens.shape[1]:
            extra = max(limit, 2 * self.tokens.shape[1]) - self.tokens.shape[1]
            self.tokens = np.pad(self.tokens, ((0, 0), (0, extra)))
            self.logprobs = np.pad(self.logprobs, ((0, 0), (0, extra)))

    def append(self, tokens: IntArray, logprobs: npt.NDArray[np.float32]) -> None:
        """Adds one drawn token to every completion in flight."""
        rows = self._table[: self.active]
        places = self._places[: self.active]
        self.tokens[places, rows["count"]] = tokens
        self.logprobs[places, rows["count"]] = logprobs
        rows["token"] = tokens
        rows["count"] += 1
        rows["position"] += 1

    def remove(self, finished: npt.NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
        """Frees the slots where `finished` [N]; gives which slots moved, and where to."""
        kept = self.active - int(finished.sum())
        target = np.flatnonzero(finished[:kept])
        source = kept + np.flatnonzero(~finished[kept:])
        self._table[target] = self._table[source]
        self.tokens[target] = self.tokens[source]
        self.logprobs[target] = self.logprobs[source]
        rows = self._table[kept : self.active]
        rows["position"] = rows["token"] = 0
        self.active = kept
        return source, target

    def clear(self) -> None:
        """Frees all slots."""
        self._table[: self.active] = 0
        self.active = 0


class Waiting:
    """Requests that wait for a prefill, by padded length, and prefilled prompts with samples yet to begin."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[tuple[int, Request]]] = {}
        self._arrivals = 0
        self.ready: deque[Prompt] = deque()

    def __bool__(self) -> bool:
        return bool(self.ready or self._queues)

    def add(self, requests: Sequence[Request]) -> None:
        """Queues requests in order of arrival. The prompt's last token is not prefilled: decoding begins with it."""
        for request in requests:
            length = padded_length(len(request.prompt_ids) - 1)
            self._queues.setdefault(length, deque()).append((self._arrivals, request))
            self._arrivals += 1

    def next_prefill(self) -> tuple[int, list[Request]]:
        """Takes the oldest request and others of its padded length, and gives that length with them."""
        length = min(self._queues, key=lambda key: self._queues[key][0][0])
        queue = self._queues[length]
        count = min(len(queue), max(1, PREFILL_TOKENS // max(1, length)))
        taken = [queue.popleft()[1] for _ in range(count)]
        if not queue:
            del self._queues[length]
        return length, taken

    def needs_prefill(self) -> bool:
        """Whether no prefilled prompt is left, but some wait."""
        return not self.ready and bool(self._queues)

    def clear(self) -> None:
        """Forgets everything that waits."""
        self._queues.clear()
        self.ready.clear()
