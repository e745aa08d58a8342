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

from rlvr.engines.base import Finished, Request
from rlvr.engines.native.attention import Masks, attending, masks_for
from rlvr.engines.native.cache import Prefix, SlotCache, round_up
from rlvr.engines.native.sampler import draw_tokens
from rlvr.engines.native.scheduler import Prompt, SamplingTable, Slots, Waiting
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
            raise EngineError(f"num_slots is {num_slots} and max_length {max_length}; at least 1 and 2 were expected")
        self._tokenizer = tokenizer
        self._num_slots = num_slots
        self._max_length = max_length
        self._version = 0
        self._asleep = False
        self._device: torch.device
        self._dtype: torch.dtype
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
        if policy is self._model and _place(policy) == (self._device, self._dtype):
            self._modules = list(policy.modules())  # adapters may have come or gone
        else:
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

    def submit(self, requests: Sequence[Request]) -> None:
        """Queues the requests.

        Raises EngineError for a prompt that is empty, does not fit or has unknown tokens, an id that is in flight,
        and sampling that draws nothing; then none of the requests is queued.
        """
        taken = set(self._requests)
        for request in requests:
            self._refuse(request, taken)
            taken.add(request.id)
        for request in requests:
            self._requests[request.id] = request
            self._samples_left[request.id] = request.num_samples
        self._waiting.add(requests)

    def step(self) -> list[Finished]:
        """Fills free slots, draws one token for each completion in flight, and gives those that finished.

        Raises EngineError when the network gives no finite log-probs; what was in flight is dropped.
        """
        if self._asleep:
            raise EngineError("the engine is asleep", hint="call wake() before step()")
        if not self.has_work:
            return []
        with self._sampling():
            self._admit()
            tokens, logprobs = self._draw(self._decode())
        if not np.isfinite(logprobs).all():
            self._drop()
            raise EngineError(
                f"the network gave log-probs that are not finite (weights of version {self._version})",
                hint="look at the loss of the last updates; a smaller learning rate or gradient clipping may help",
            )
        self._slots.append(tokens, logprobs)
        return self._collect(tokens)

    def _attach(self, model: Any) -> None:
        """Takes a network, with an empty cache made for its shape."""
        if not isinstance(model, torch.nn.Module):
            raise EngineError(f"got a {type(model).__name__}; the network itself, a torch module, was expected")
        config: Any = model.config.get_text_config()  # type: ignore[union-attr,operator]
        self._masks: Masks = masks_for(config, max_length=self._max_length)
        self._model = model
        self._modules = list(model.modules())
        self._config = config
        self._device, self._dtype = _place(model)
        self._head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._row_multiple = _row_multiple(self._device)
        self._cache = SlotCache(
            config.num_hidden_layers,
            num_slots=round_up(self._num_slots, self._row_multiple),
            max_length=self._max_length,
        )
        self._drop()

    def _drop(self) -> None:
        """Forgets all work, and with the cache what may be poisoned in it."""
        self._slots = Slots(self._num_slots, row_multiple=self._row_multiple)
        self._waiting = Waiting()
        self._samplings = SamplingTable(self._config.vocab_size)
        self._requests: dict[int, Request] = {}
        self._samples_left: dict[int, int] = {}
        self._cache.release()

    def _refuse(self, request: Request, taken: set[int]) -> None:
        sampling, length = request.sampling, len(request.prompt_ids)
        if request.id in taken:
            raise EngineError(f"request id {request.id} is already in flight; ids in flight must differ")
        if not 0 < length < self._max_length:
            raise EngineError(
                f"the prompt of request {request.id} has {length} tokens; between 1 and {self._max_length - 1} fit a "
                f"max_length of {self._max_length} tokens with room for a completion",
                hint="shorten or filter the prompts, or raise max_length",
            )
        ids = [int(request.prompt_ids.min()), int(request.prompt_ids.max()), *sampling.stop_token_ids]
        if min(ids) < 0 or max(ids) >= self._config.vocab_size:
            raise EngineError(
                f"request {request.id} has token ids from {min(ids)} to {max(ids)}; the network knows 0 to "
                f"{self._config.vocab_size - 1}",
                hint="use the tokenizer that the model was trained with",
            )
        if request.num_samples < 1 or sampling.max_new_tokens < 1 or not 0 <= sampling.temperature < math.inf:
            raise EngineError(
                f"request {request.id} asks for {request.num_samples} samples of at most {sampling.max_new_tokens} "
                f"tokens at temperature {sampling.temperature}; at least 1, 1 and 0 were expected"
            )

    @contextmanager
    def _sampling(self) -> Iterator[None]:
        """Evaluation mode without gradients and with slot attention; every module's mode is restored afterwards."""
        training = [module for module in self._modules if module.training]
        for module in training:
            module.training = False
        try:
            with torch.no_grad(), attending(self._config):
                yield
        finally:
            for module in training:
                module.training = True

    def _admit(self) -> None:
        """Begins completions until the slots are full or nothing waits."""
        while self._slots.free and self._waiting:
            if not self._waiting.ready:
                self._prefill()
            prefix, start = self._waiting.ready[0].prefix, self._slots.active
            rows: list[int] = []
            while self._slots.free and self._waiting.ready and self._waiting.ready[0].prefix is prefix:
                prompt = self._waiting.ready[0]
                samples = range(
                    prompt.next_sample, min(prompt.request.num_samples, prompt.next_sample + self._slots.free)
                )
                self._begin(prompt.request, samples)
                rows += [prompt.prefix_row] * len(samples)
                prompt.next_sample = samples.stop
                if prompt.next_sample == prompt.request.num_samples:
                    self._waiting.ready.popleft()
            if prefix is not None:
                self._cache.load(prefix, torch.tensor(rows, device=self._device), start)

    def _begin(self, request: Request, samples: range) -> None:
        limit = min(request.sampling.max_new_tokens, self._max_length - len(request.prompt_ids))
        self._slots.begin(request, samples, sampling=self._samplings.number(request.sampling), limit=limit)

    def _prefill(self) -> None:
        """Computes keys and values of the oldest waiting prompts of one padded length, without their last tokens."""
        length, requests = self._waiting.next_prefill()
        prefix: Prefix | None = None
        if length:
            rows = round_up(len(requests), self._row_multiple // math.gcd(self._row_multiple, length))
            ids = np.zeros((rows, length), dtype=np.int64)
            for row, request in enumerate(requests):
                ids[row, : len(request.prompt_ids) - 1] = request.prompt_ids[:-1]
            positions = torch.arange(length, device=self._device).clamp_(max=self._max_length - 1)[None]
            self._cache.begin_prefill()
            self._forward(ids, positions.expand(rows, -1), self._masks.of(positions, length, self._dtype))
            prefix = self._cache.take_prefix()
        self._waiting.ready.extend(Prompt(request, prefix, row, 0) for row, request in enumerate(requests))

    def _decode(self) -> Tensor:
        """Feeds each completion in flight its last token; gives logits [N,V]."""
        rows = self._slots.padded_rows
        positions = torch.tensor(rows["position"], device=self._device)
        width = self._cache.width_for(int(rows["position"].max()) + 1, self._head_size)
        self._cache.begin_decode(positions, width)
        masks = self._masks.of(positions[:, None], width, self._dtype)
        return self._forward(rows["token"][:, None], positions[:, None], masks)[: self._slots.active, -1]

    def _forward(self, ids: IntArray, positions: Tensor, masks: Any) -> Tensor:
        logits: Tensor = self._model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=masks,
            position_ids=positions,
            past_key_values=self._cache.past_key_values,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits

    def _draw(self, logits: Tensor) -> tuple[IntArray, npt.NDArray[np.float32]]:
        rows = self._slots.rows
        tokens, logprobs = draw_tokens(
            logits,
            torch.from_numpy(self._samplings.temperatures(rows)).to(self._device),
            torch.from_numpy(self._samplings.uniforms(rows)).to(self._device),
        )
        return tokens.cpu().numpy(), logprobs.cpu().numpy()

    def _collect(self, tokens: IntArray) -> list[Finished]:
        """Takes out the completions whose last token ends them."""
        rows = self._slots.rows
        stopped = self._samplings.stops(rows, tokens)
        ended = stopped | (rows["count"] == rows["limit"])
        places = np.flatnonzero(ended)
        if not len(places):
            return []
        ids = [self._slots.tokens[i, : rows["count"][i]] for i in places]
        texts = self._tokenizer.batch_decode(
            [(one[:-1] if stopped[i] else one).tolist() for i, one in zip(places, ids, strict=True)],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        finished = [
            Finished(
                request_id=int(rows["request_id"][i]),
                sample_index=int(rows["sample"][i]),
                completion=Completion(
                    token_ids=read_only(one, np.int64),
                    logprobs=read_only(self._slots.logprobs[i, : len(one)], np.float32),
                    trainable=read_only(np.ones(len(one)), np.bool_),
                    text=text,
                    finish="stop" if stopped[i] else "length",
                    policy_version=self._version,
                ),
            )
            for i, one, text in zip(places, ids, texts, strict=True)
        ]
        self._forget(finished)
        width = int(rows["position"].max())
        source, target = self._slots.remove(ended)
        if len(source):
            self._cache.move(
                torch.from_numpy(source).to(self._device), torch.from_numpy(target).to(self._device), width
            )
        return finished

    def _forget(self, finished: Sequence[Finished]) -> None:
        """Drops requests whose last completion is among `finished`."""
        for one in finished:
            self._samples_left[one.request_id] -= 1
            if self._samples_left[one.request_id] == 0:
                del self._samples_left[one.request_id], self._requests[one.request_id]
        if not self._requests:
            self._samplings = SamplingTable(self._config.vocab_size)


def _place(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    weight = next(model.parameters())
    return weight.device, weight.dtype


def _row_multiple(device: torch.device) -> int:
    """Gives the multiple to which rows are padded.

    On a CPU a matrix product's rows are bit-equal for any number of rows, provided that each thread gets 4 of them.
    """
    return 4 * torch.get_num_threads() if device.type == "cpu" else 8
