"""An OpenAI-compatible endpoint, asked with patience: limits, retries, one deadline; a value or nothing at the end."""

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rlvr.errors import UsageError
from rlvr.verifiers.judge.counts import Counts
from rlvr.verifiers.judge.limits import Pace, backoff_seconds, retry_after_seconds
from rlvr.verifiers.judge.replies import read_reply
from rlvr.verifiers.judge.settings import JudgeSettings, api_key
from rlvr.verifiers.judge.template import Inquiry, fresh_code, messages, schema

log = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 3.0
MAX_BODY_BYTES = 4_000_000
RETRIED_STATUS = frozenset((408, 409, 425, 429))
"""With those from 500 on, the answers of a server that may do better later."""
SECRET_STATUS = frozenset((401, 403))
"""Their messages may hold a part of the key."""


class _TroubleError(Exception):
    """A request that brought no reply: what happened, whether to try again, and the wait that the server asks for."""

    def __init__(self, what: str, *, again: bool, wait_seconds: float | None = None) -> None:
        super().__init__(what)
        self.again = again
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class _Lane:
    """What belongs to one event loop: connections and the limit of concurrent questions."""

    connections: Any
    slots: asyncio.Semaphore


class Client:
    """Puts inquiries to one endpoint. Works in any number of event loops and threads; limits and counts are shared."""

    def __init__(self, settings: JudgeSettings, counts: Counts) -> None:
        """Raises UsageError where the endpoint's key or the package openai is missing."""
        self._settings = settings
        self._counts = counts
        self._key = api_key(settings)
        if find_spec("openai") is None:
            raise UsageError("a judge needs the package openai", hint='pip install "rlvr[judge]"')
        self._requests = Pace(settings.requests_per_minute)
        self._tokens = Pace(settings.tokens_per_minute)
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane] = {}
        self._lock = threading.Lock()
        self._said: set[str] = set()

    async def ask(self, inquiry: Inquiry) -> float | None:
        """Gives the endpoint's verdict in [0, 1], or None where none can be had in time; trouble there never raises."""
        async with self._lane().slots:
            await self._turn(inquiry)
            try:
                async with asyncio.timeout(self._settings.deadline_seconds):
                    value = await self._persist(inquiry)
            except TimeoutError:
                self._say(f"no verdict within {self._settings.deadline_seconds:g} s")
                value = None
        if value is None:
            self._counts.add(failures=1)
        return value

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        with self._lock:
            lane = self._lanes.pop(asyncio.get_running_loop(), None)
        if lane is not None:
            await lane.connections.close()

    async def _persist(self, inquiry: Inquiry) -> float | None:
        failures = unreadable = 0
        while True:
            code = fresh_code(inquiry)
            try:
                value = read_reply(await self._reply(inquiry, code), code, inquiry.choices)
                if value is not None:
                    return value
                unreadable += 1
                self._counts.add(unreadable=1)
                if unreadable > self._settings.rereadings:
                    self._say("a reply holds no verdict")
                    return None
            except _TroubleError as trouble:
                failures += 1
                if not trouble.again or failures > self._settings.retries:
                    self._say(str(trouble))
                    return None
                await self._back_off(trouble, failures, code)
            self._counts.add(retries=1)
            await self._turn(inquiry)

    async def _back_off(self, trouble: _TroubleError, failures: int, code: str) -> None:
        if trouble.wait_seconds is not None:
            # The server counts all our requests together, so all of them wait.
            self._requests.hold(trouble.wait_seconds)
        else:
            await asyncio.sleep(backoff_seconds(failures, int(code, 16)))

    async def _turn(self, inquiry: Inquiry) -> None:
        # The larger wait covers both: each is a place in a queue that moves on meanwhile.
        waits = self._requests.reserve(1), self._tokens.reserve(self._expected_tokens(inquiry))
        await asyncio.sleep(max(waits))

    def _expected_tokens(self, inquiry: Inquiry) -> float:
        characters = sum(len(message["content"]) for message in messages(inquiry, "0" * 12))
        return characters / CHARACTERS_PER_TOKEN + self._settings.max_reply_tokens

    async def _reply(self, inquiry: Inquiry, code: str) -> str:
        """Gives the text of one reply, "" where it is cut off or refused. Raises _TroubleError where none comes."""
        settings = self._settings
        fields: dict[str, Any] = {"temperature": settings.temperature, "max_tokens": settings.max_reply_tokens}
        if settings.structured:
            fields["response_format"] = schema(inquiry.choices, code)
        fields.update(settings.request_fields)
        fields = {name: value for name, value in fields.items() if value is not None}
        self._counts.add(requests=1)
        body = await self._post(messages(inquiry, code), fields)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise _TroubleError("a reply's body is not JSON", again=True) from None
        self._charge(data, self._expected_tokens(inquiry))
        return _content(data)

    async def _post(self, conversation: list[dict[str, str]], fields: Mapping[str, Any]) -> bytes:
        import openai  # after the first question: it takes a second

        completions = self._lane().connections.chat.completions.with_raw_response
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                raw = await completions.create(model=self._settings.model, messages=conversation, extra_body=fields)
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, error.message, error.response.headers) from None
        except (openai.APIConnectionError, TimeoutError) as error:
            kind = type(error.__cause__ or error).__name__
            raise _TroubleError(f"no connection or no reply in time ({kind})", again=True) from None
        content: bytes = raw.content
        if len(content) > MAX_BODY_BYTES:
            raise _TroubleError(f"a reply of {len(content)} bytes", again=False)
        return content

    def _refusal(self, status: int, message: str, headers: Mapping[str, str]) -> _TroubleError:
        said = "" if status in SECRET_STATUS else f": {message.replace(self._key, '…')[:300]}"
        wait = retry_after_seconds(headers)
        again = status in RETRIED_STATUS or status >= 500
        if wait is not None and wait > self._settings.deadline_seconds:
            again = False
        return _TroubleError(f"the endpoint answers with status {status}{said}", again=again, wait_seconds=wait)

    def _charge(self, data: Any, expected: float) -> None:
        usage = data.get("usage") if isinstance(data, dict) else None
        spent = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
        tokens = [n for n in spent if type(n) is int and 0 <= n < 10**9]
        if len(tokens) != 2:
            self._counts.add(without_usage=1)
            return
        self._tokens.correct(sum(tokens) - expected)
        prices = self._settings.price_in_per_million, self._settings.price_out_per_million
        cost = sum(n * price for n, price in zip(tokens, prices, strict=True)) / 1e6
        self._counts.add(tokens_in=tokens[0], tokens_out=tokens[1], cost=cost)

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [other for other in self._lanes if other.is_closed()]:
                del self._lanes[other]
            if loop not in self._lanes:
                self._lanes[loop] = _Lane(self._connect(), asyncio.Semaphore(self._settings.concurrency))
            return self._lanes[loop]

    def _connect(self) -> Any:
        import openai

        return openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self._settings.base_url,
            timeout=self._settings.timeout_seconds,
            max_retries=0,  # ours obey the deadline and the counts
        )

    def _say(self, what: str) -> None:
        """Logs each kind of trouble once: a judge that is down would fill the log."""
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            log.error("the judge %s at %s could not tell: %s", self._settings.model, self._settings.base_url, what)


def _content(data: Any) -> str:
    """Gives the text of a whole reply; "" for one that was cut off by its limit, that refuses, or has another shape."""
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or choice.get("finish_reason") not in ("stop", None):
        return ""
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""
