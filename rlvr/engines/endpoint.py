"""Answers of a model behind an OpenAI-compatible endpoint, over chat completions. Needs the extra `rlvr[judge]`.

The server applies its own chat template and tells texts, why they ended and, if it likes, how many tokens they have;
it tells no token ids, so nothing can be trained on what it writes.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.engines.base import Answer, Asking, Question
from rlvr.errors import EngineError, UsageError
from rlvr.types import Finish, Task
from rlvr.verifiers.judge.limits import Pace
from rlvr.verifiers.judge.wire import TroubleError, Wire, back_off, check_address, check_package, key_from

log = logging.getLogger(__name__)

FATAL_STATUS = frozenset((401, 403, 404))
"""Nothing that is asked will be answered: a wrong key, a wrong address, a model that is not there. Once an answer came,
only 401 says so: a filter may refuse one question with 403."""
OWN_STATUS = frozenset((400, 413, 422))
"""A question that is too long or that a filter refuses, where the endpoint has answered others."""
MAX_FAILURES_IN_A_ROW = 8
"""So many different questions without an answer, one after the other, and the endpoint counts as down."""
FINISHES: Mapping[str | None, Finish] = {"stop": "stop", None: "stop", "length": "length"}
"""What the server's finish_reason means; with any other (a filter, a tool call) there is no answer to judge."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One model behind an endpoint. `base_url` ends before "/chat/completions".

    `request_fields` are put into each request's body over our own (for instance {"max_tokens": None,
    "max_completion_tokens": 2000}; None leaves a field out). `timeout_seconds` is for one request, `deadline_seconds`
    for an answer with its `retries`, the wait for one of `concurrency` places excluded; a busy server (429, 503) is
    asked again until the deadline, however often.
    """

    base_url: str
    model: str
    api_key_env: str = ""
    request_fields: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 600.0
    deadline_seconds: float = 1800.0
    retries: int = 5
    concurrency: int = 16


class _NoAnswerError(TroubleError):
    """A whole reply that holds no answer, such as that of a filter."""


class Endpoint:
    """Answers questions through an endpoint, several at once.

    One that fails for good gives an answer that says "abort"; the run ends where the endpoint refuses everything or
    MAX_FAILURES_IN_A_ROW questions fail one after the other. What the endpoint refuses of a single question after it
    has answered others does not count for that.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        """Raises UsageError where the address, the model's name, the key or the package openai is missing."""
        check_address(settings.base_url, "the endpoint", "for instance http://localhost:8000/v1")
        if not settings.model.strip():
            raise UsageError("the endpoint's model has no name", hint=f"rlvr evaluate {settings.base_url} --model NAME")
        key = key_from(settings.api_key_env, "the endpoint")
        check_package("an endpoint")
        self._settings = settings
        self._wire = Wire(
            settings.base_url,
            key,
            timeout_seconds=settings.timeout_seconds,
            patience_seconds=settings.deadline_seconds,
            concurrency=settings.concurrency,
        )
        self._pace = Pace(0.0)  # no rate of our own; a server's Retry-After holds everybody back
        self._failed_in_a_row: set[int] = set()
        self._has_answered = False
        self._is_known = False
        self._said: set[str] = set()

    def vouch(self) -> None:
        """Says that the endpoint has answered such questions before, as answers on disk tell."""
        self._is_known = True

    def fitting(self, tasks: Sequence[Task], asking: Asking) -> tuple[list[Task], list[str]]:
        """Gives all tasks: what is too long the server has to say."""
        return list(tasks), []

    def answers(self, questions: Sequence[Question], asking: Asking) -> Iterator[Answer]:
        """Yields every sample of every question as it comes. Raises EngineError where the endpoint answers nothing."""
        total = len(questions) * asking.num_samples
        waiting = ((question, index) for question in questions for index in range(asking.num_samples))
        with asyncio.Runner() as runner:
            arrived: asyncio.Queue[Answer | Exception] = asyncio.Queue()
            loop = runner.get_loop()
            workers = [
                loop.create_task(self._work(waiting, asking, arrived))
                for _ in range(min(self._settings.concurrency, total))
            ]
            try:
                for _ in range(total):
                    found = runner.run(arrived.get())
                    if isinstance(found, Exception):
                        raise found
                    yield found
            finally:
                for worker in workers:
                    worker.cancel()
                runner.run(self._wire.aclose())

    async def _work(
        self, waiting: Iterator[tuple[Question, int]], asking: Asking, arrived: "asyncio.Queue[Answer | Exception]"
    ) -> None:
        for question, index in waiting:
            try:
                arrived.put_nowait(await self._answer(question, index, asking))
            except Exception as error:  # raised where the answers are read: a worker that dies unseen is waited for
                arrived.put_nowait(error)

    async def _answer(self, question: Question, index: int, asking: Asking) -> Answer:
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                return await self._persist(question, index, asking)
        except TimeoutError:
            return self._failure(question, index, f"no answer within {self._settings.deadline_seconds:g} s")
        except TroubleError as trouble:
            if trouble.status in FATAL_STATUS and (trouble.status == 401 or not self._has_answered):
                raise self._down(str(trouble)) from None
            own = trouble.status in OWN_STATUS or isinstance(trouble, _NoAnswerError)
            return self._failure(question, index, str(trouble), own=own)

    async def _persist(self, question: Question, index: int, asking: Asking) -> Answer:
        failures = broken = 0
        while True:
            await asyncio.sleep(self._pace.reserve(1))
            try:
                data = await self._wire.post(
                    self._settings.model, question.messages, self._fields(asking, question, index)
                )
                answer = _read(data, question, index)
                self._failed_in_a_row.clear()
                self._has_answered = True
                return answer
            except TroubleError as trouble:
                failures += 1
                broken += not trouble.busy
                if not trouble.again or broken > self._settings.retries:
                    raise
                await back_off(self._pace, trouble, failure=failures, seed=question.id * 1000 + index)

    def _fields(self, asking: Asking, question: Question, index: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "temperature": asking.temperature,
            "max_tokens": asking.max_tokens,
            "seed": sample_seed(asking.seed, question.id, index),
            **self._settings.request_fields,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _failure(self, question: Question, index: int, what: str, *, own: bool = False) -> Answer:
        """Gives the answer that never came. `own` says that the question may be the reason, not the endpoint."""
        if not (own and (self._has_answered or self._is_known)):
            self._failed_in_a_row.add(question.id)
        if len(self._failed_in_a_row) >= MAX_FAILURES_IN_A_ROW:
            raise self._down(what)
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            log.warning("%s gave no answer to a question: %s", self._settings.base_url, what)
        return Answer(question.id, index, "", "abort", None)

    def _down(self, what: str) -> EngineError:
        return EngineError(
            f"{self._settings.model} at {self._settings.base_url} cannot be asked: {what}",
            hint="check the address, --model and --api-key-env; with --output the same command goes on where it ended",
        )


def sample_seed(seed: int, question: int, index: int) -> int:
    """Gives the seed that a request names, below 2^31, for servers that heed one."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{question}/{index}".encode(), digest_size=4).digest()) >> 1


def _read(data: Any, question: Question, index: int) -> Answer:
    """Gives the answer of a reply. Raises TroubleError for one of another shape."""
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise TroubleError("a reply without choices and a message", again=True)
    reason = choice.get("finish_reason")
    if not isinstance(reason, str | None) or reason not in FINISHES:
        raise _NoAnswerError(f"a reply that ended by {reason!r}", again=False)
    text = message.get("content")
    if not isinstance(text, str | None):
        raise TroubleError("a reply whose content is no text", again=False)
    usage = data.get("usage")
    told = usage.get("completion_tokens") if isinstance(usage, dict) else None
    num_tokens = told if type(told) is int and 0 <= told < 10**9 else None
    return Answer(question.id, index, text or "", FINISHES[reason], num_tokens)
