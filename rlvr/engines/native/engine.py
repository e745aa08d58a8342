"""The native engine: continuous batching over any transformers causal language model, in this process.

It samples from the very module that is trained: nothing to synchronise, and the same numbers on both sides.
R rows of a forward pass, N completions in flight, V vocabulary, T tokens.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlvr import keyed
from rlvr.engines.base import Finished, Request, Sampling
from rlvr.engines.native.attention import Masks, attending, masks_for
from rlvr.engines.native.cache import Prefix, SlotCache, round_up
from rlvr.engines.native.sampler import draw_tokens
from rlvr.engines.native.scheduler import Prompt, Slots, Waiting
from rlvr.errors import EngineError
from rlvr.types import Completion, IntArray, read_only


class NativeEngine:
    """Completes requests with `model`, up to `num_slots` at a time, prompt and completion within `max_length` tokens.

    A slot that finishes is refilled at once; a prompt is prefilled once for all its completions. A completion does not
    depend on its neighbours, the order of requests, or `num_slots`: draws are keyed, and on a CPU in float32 rows are
    padded to shapes at which logits are bit-equal. Device and dtype are the model's.
    Raises EngineError for a network that a slot cache cannot serve.
    """

    def __init__(self, model: Any, tokenizer: Any, *, num_slots: int = 256, max_length: int) -> None:
        if num_slots < 1 or max_length < 2:
            raise EngineError(
                f"num_slots is {num_slots} and max_length {max_length}; at least 1 and 2 were expected"
            )
        self._tokenizer = tokenizer
        self._num_slots = num_slots
        self._max_length = max_length
        self._version = 0
        self._asleep = False
        self._slots = Slots(round_up(num_slots, _row_multiple("cpu")))
        self._waiting = Waiting()
        self._requests: dict[int, Request] = {}
        self._samples_left: dict[int, int] = {}
        self._samplings = _Samplings()
        self._attach(model)

    @property
    def has_work(self) -> bool:
        """Whether completions are still to come."""
        return bool(self._requests)

    def load_weights(self, policy: Any, *, version: int) -> None:
        """Takes `policy`, a module: the same one as before needs no copy. Later completions carry `version`.

        Raises EngineError while completions are in flight: their first tokens came from other weights.
        """
        if self.has_work:
            raise EngineError(
                f"weights of version {version} came while {len(self._requests)} requests are in flight",
                hint="step the engine until has_work is False, then load weights",
            )
        if policy is not self._model:
            self._attach(policy)
        self._version = version

    def sleep(self) -> None:
        """Frees the cache. Raises EngineError while completions are in flight."""
        if self.has_work:
            raise EngineError(f"asked to sleep while {len(self._requests)} requests are in flight")
        self._cache.release()
        self._asleep = True

    def wake(self) -> None:
        """Works again; the cache comes back on demand."""
        self._asleep = False
