"""An OpenAI-compatible endpoint, asked with patience: limits, retries, one deadline; a value or nothing at the end."""

import asyncio
import logging
from typing import Any

from rlvr.verifiers.judge.counts import Counts
from rlvr.verifiers.judge.limits import Pace
from rlvr.verifiers.judge.replies import read_reply
from rlvr.verifiers.judge.settings import JudgeSettings, api_key
from rlvr.verifiers.judge.template import Inquiry, fresh_code, messages, schema
from rlvr.verifiers.judge.wire import TroubleError, Wire, back_off, check_package

log = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 3.0


class Client:
    """Puts inquiries to one endpoint. Works in any number of event loops and threads; limits and counts are shared."""

    def __init__(self, settings: JudgeSettings, counts: Counts) -> None:
        """Raises UsageError where the endpoint's key or the package openai is missing."""
        self._settings = settings
        self._counts = counts
        key = api_key(settings)
        check_package("a judge")
        self._wire = Wire(
            settings.base_url,
            key,
            timeout_seconds=settings.timeout_seconds,
            patience_seconds=settings.deadline_seconds,
            concurrency=settings.concurrency,
        )
        self._requests = Pace(settings.requests_per_minute)
        self._tokens = Pace(settings.tokens_per_minute)
        self._said: set[str] = set()

    async def ask(self, inquiry: Inquiry) -> float | None:
        """Gives the endpoint's verdict in [0, 1], or None where none can be had in time; trouble there never raises."""
        async with self._wire.slots:
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
        await self._wire.aclose()

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
            except TroubleError as trouble:
                failures += 1
                if not trouble.again or failures > self._settings.retries:
                    self._say(str(trouble))
                    return None
                await back_off(self._requests, trouble, failure=failures, seed=int(code, 16))
            self._counts.add(retries=1)
            await self._turn(inquiry)

    async def _turn(self, inquiry: Inquiry) -> None:
        # The larger wait covers both: each is a place in a queue that moves on meanwhile.
        waits = self._requests.reserve(1), self._tokens.reserve(self._expected_tokens(inquiry))
        await asyncio.sleep(max(waits))

    def _expected_tokens(self, inquiry: Inquiry) -> float:
        characters = sum(len(message["content"]) for message in messages(inquiry, "0" * 12))
        return characters / CHARACTERS_PER_TOKEN + self._settings.max_reply_tokens

    async def _reply(self, inquiry: Inquiry, code: str) -> str:
        """Gives the text of one reply, "" where it is cut off or refused. Raises TroubleError where none comes."""
        settings = self._settings
        fields: dict[str, Any] = {"temperature": settings.temperature, "max_tokens": settings.max_reply_tokens}
        if settings.structured:
            fields["response_format"] = schema(inquiry.choices, code)
        fields.update(settings.request_fields)
        fields = {name: value for name, value in fields.items() if value is not None}
        self._counts.add(requests=1)
        data = await self._wire.post(settings.model, messages(inquiry, code), fields)
        self._charge(data, self._expected_tokens(inquiry))
        return _content(data)

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
