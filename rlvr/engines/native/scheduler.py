"""Who decodes next: prompts that wait, prompts that are prefilled, and the completions in flight. No torch.

S slots, N completions in flight, T tokens.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlvr import keyed
from rlvr.engines.base import Request, Sampling
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


class Slots:
    """The completions in flight, always in slots [0, active); a hole is filled with the last one."""

    def __init__(self, num_slots: int, *, row_multiple: int) -> None:
        self.active = 0
        self._num_slots = num_slots
        self._row_multiple = row_multiple
        self._table = np.zeros(-(-num_slots // row_multiple) * row_multiple, dtype=SLOT)
        self._places = np.arange(num_slots)
        self.tokens: npt.NDArray[np.int64] = np.zeros((num_slots, 0), dtype=np.int64)
        self.logprobs: npt.NDArray[np.float32] = np.zeros((num_slots, 0), dtype=np.float32)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self._num_slots - self.active

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The completions in flight as records [N], shared, not copied."""
        return self._table[: self.active]

    @property
    def padded_rows(self) -> npt.NDArray[Any]:
        """The same up to a multiple of `row_multiple`; a free slot has position and token 0."""
        return self._table[: -(-self.active // self._row_multiple) * self._row_multiple]

    def begin(self, request: Request, samples: range, *, sampling: int, limit: int) -> None:
        """Starts completions of a request in the next free slots: they feed the prompt's last token first."""
        rows = self._table[self.active : self.active + len(samples)]
        rows["request_id"], rows["sample"], rows["draw"] = request.id, np.asarray(samples), request.draw_index
        rows["token"], rows["position"] = request.prompt_ids[-1], len(request.prompt_ids) - 1
        rows["count"], rows["limit"], rows["sampling"] = 0, limit, sampling
        self.active += len(samples)
        if limit > self.tokens.shape[1]:
            extra = max(limit, 2 * self.tokens.shape[1]) - self.tokens.shape[1]
            self.tokens = np.pad(self.tokens, ((0, 0), (0, extra)))
            self.logprobs = np.pad(self.logprobs, ((0, 0), (0, extra)))

    def append(self, tokens: IntArray, logprobs: npt.NDArray[np.float32]) -> None:
        """Adds one drawn token to every completion in flight."""
        rows, places = self.rows, self._places[: self.active]
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


class SamplingTable:
    """The distinct ways to sample that are in flight, by number; V is the size of the vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._samplings: dict[Sampling, int] = {}
        self._temperatures = np.zeros(0, dtype=np.float32)
        self._stops = np.zeros((0, vocabulary), dtype=np.bool_)

    def number(self, sampling: Sampling) -> int:
        """Gives the sampling's number, a new one if it is new."""
        if sampling not in self._samplings:
            stops = np.zeros((1, self._vocabulary), dtype=np.bool_)
            stops[0, list(sampling.stop_token_ids)] = True
            self._stops = np.concatenate([self._stops, stops])
            self._temperatures = np.append(self._temperatures, np.float32(sampling.temperature))
            self._samplings[sampling] = len(self._samplings)
        return self._samplings[sampling]

    def temperatures(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Gives each row's temperature, float32 [N]."""
        temperatures: npt.NDArray[np.float32] = self._temperatures[rows["sampling"]]
        return temperatures

    def stops(self, rows: npt.NDArray[Any], tokens: IntArray) -> npt.NDArray[np.bool_]:
        """Gives whether each row's token [N] is one of its stop tokens."""
        stops: npt.NDArray[np.bool_] = self._stops[rows["sampling"], tokens]
        return stops

    def uniforms(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Gives each row's random number for its next token, float64 [N]."""
        if len(self._samplings) == 1:
            return _uniforms(next(iter(self._samplings)), rows)
        uniforms = np.zeros(len(rows))
        for sampling, number in self._samplings.items():
            here = rows["sampling"] == number
            uniforms[here] = _uniforms(sampling, rows[here])
        return uniforms


def _uniforms(sampling: Sampling, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if sampling.temperature == 0:
        return np.zeros(len(rows))
    return keyed.uniform(sampling.seed, sampling.purpose, rows["draw"], rows["sample"], rows["count"])


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
