"""An engine whose completions are written by a function: for tests, docs and dry runs. No network."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rlvr.engines.base import Finished, Request
from rlvr.errors import EngineError
from rlvr.types import Completion, Finish, read_only

Reply = Callable[[str, Request, int], str]


class ScriptedEngine:
    """Answers sample i of a request with `reply(prompt_text, request, i)`, through the tokenizer.

    A reply that fits `max_new_tokens` with its stop token finishes with "stop", a longer one is cut and finishes with
    "length". Every token has log-prob 0: a scripted policy is certain. One `step` completes one request.
    """

    def __init__(self, reply: Reply, tokenizer: Any) -> None:
        self._reply = reply
        self._tokenizer = tokenizer
        self._waiting: deque[Request] = deque()
        self._version = 0
        self._asleep = False

    @property
    def has_work(self) -> bool:
        """Whether completions are still to come."""
        return bool(self._waiting)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queues the requests. Raises EngineError for an id that is already in flight."""
        taken = {request.id for request in self._waiting}
        for request in requests:
            if request.id in taken:
                raise EngineError(f"request id {request.id} is already in flight; ids in flight must differ")
            taken.add(request.id)
        self._waiting.extend(requests)

    def step(self) -> list[Finished]:
        """Completes the oldest request."""
        if self._asleep:
            raise EngineError("the engine is asleep", hint="call wake() before step()")
        if not self._waiting:
            return []
        request = self._waiting.popleft()
        prompt = self._tokenizer.decode(request.prompt_ids.tolist(), skip_special_tokens=False)
        return [
            Finished(request.id, i, self._complete(self._reply(prompt, request, i), request))
            for i in range(request.num_samples)
        ]

    def load_weights(self, policy: Any, *, version: int) -> None:
        """Notes the version; there are no weights."""
        self._version = version

    def sleep(self) -> None:
        """Refuses to work until `wake`."""
        self._asleep = True

    def wake(self) -> None:
        """Works again."""
        self._asleep = False

    def _complete(self, reply: str, request: Request) -> Completion:
        sampling = request.sampling
        body = list(self._tokenizer.encode(reply, add_special_tokens=False))
        ids = (body + list(sampling.stop_token_ids[:1]))[: sampling.max_new_tokens]
        finish: Finish = "stop" if len(ids) > len(body) else "length"
        text = self._tokenizer.decode(ids[: len(body)], skip_special_tokens=False)
        return Completion(
            token_ids=read_only(ids, "int64"),
            logprobs=read_only([0.0] * len(ids), "float32"),
            trainable=read_only([True] * len(ids), "bool"),
            text=text,
            finish=finish,
            policy_version=self._version,
        )
