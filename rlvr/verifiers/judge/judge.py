"""A language model as a verifier: how well an answer meets a rubric, and which of two meets it better."""

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable

from rlvr.errors import UsageError, VerifierError
from rlvr.types import Completion, Status, Task, Verdict
from rlvr.verifiers.extract import Answer
from rlvr.verifiers.judge.cache import Cache
from rlvr.verifiers.judge.canaries import CANARIES, canary
from rlvr.verifiers.judge.client import Client
from rlvr.verifiers.judge.counts import Counts
from rlvr.verifiers.judge.screening import check_reference, screen
from rlvr.verifiers.judge.settings import MIN_CANARIES, JudgeSettings, check_settings
from rlvr.verifiers.judge.template import VERSION, Inquiry, digest, pairwise, pointwise

log = logging.getLogger(__name__)

Probe = Callable[[str], Awaitable[float | None]]
"""Asks for the value of a canary in the place of an answer."""


class Judge:
    """A judge with its connections, cache and counts; `async with Judge(settings) as judge` closes it.

    `version` is that of `version_of`. `counts` are running totals.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        """Raises UsageError where the settings, the key, the package openai or the cache cannot be used."""
        check_settings(settings)
        self.settings = settings
        self.counts = Counts()
        self._identity = _identity(settings)
        self.version = version_of(settings)
        self._client = Client(settings, self.counts)
        self._cache = Cache(settings.cache_path) if settings.cache_path else None
        self._pending: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[float | None]] = {}
        self._watched: set[str] = set()
        self._cache_failed = False

    async def __aenter__(self) -> "Judge":
        """Gives the judge itself."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Closes the connections of the running event loop."""
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; the judge can be asked again and then opens new ones."""
        await self._client.aclose()

    def refuse_fooled(self) -> None:
        """Raises VerifierError where too large a share of the canaries scored: such a judge teaches to fool it."""
        totals = self.counts.totals()
        seen, alarmed = totals["canaries_seen"], totals["canaries_alarmed"]
        if seen >= MIN_CANARIES and alarmed > self.settings.max_canary_rate * seen:
            raise VerifierError(
                f"the judge {self.settings.model} gave good marks to {alarmed:.0f} of {seen:.0f} canaries, "
                f"answers that deserve none (limit {self.settings.max_canary_rate:.0%})",
                hint="take a stronger judge, or a stricter rubric; max_canary_rate in [judge] sets the limit",
            )

    async def verify(self, task: Task, completion: Completion) -> Verdict:
        """Gives how well the answer meets the task's rubric, in [0, 1]; see `check_reference` for the reference.

        Only the extracted answer is sent. Answers of no substance and those that are too long get outcome 0 unasked.
        The outcome is None, status "judge_error", where the endpoint fails or its reply cannot be read: a completion
        that makes the judge fall silent drops out instead of losing, so a run should stop above some share of these.
        """
        start = time.monotonic()
        if check_reference(task.reference) is not None:
            return Verdict(None, "bad_reference", version=self.version)
        answer = self._screened(task, completion)
        extracted = answer.text[:200]
        if answer.status != "ok":
            self.counts.add(held_back=1)
            return Verdict(0.0, answer.status, extracted, path="screened", version=self.version)
        value = await self._value(
            pointwise(task, answer.text),
            lambda bait: self._client.ask(pointwise(task, bait)),
            alarm=self.settings.canary_alarm_outcome,
        )
        status: Status = "judge_error" if value is None else "ok"
        seconds = time.monotonic() - start
        return Verdict(value, status, extracted, path="judge", seconds=seconds, version=self.version)

    async def prefer(self, task: Task, first: Completion, second: Completion) -> float | None:
        """Gives 1 where `first` meets the task's rubric better, 0 where `second` does, 0.5 for a tie.

        Both orders are asked and a disagreement is a tie. An answer that is worth nothing unasked loses to any other.
        None is for a broken reference and where one of the two replies is missing.
        """
        if check_reference(task.reference) is not None:
            return None
        answers = self._screened(task, first), self._screened(task, second)
        sound = [answer.status == "ok" for answer in answers]
        if not all(sound) or answers[0].text == answers[1].text:
            self.counts.add(held_back=sound.count(False))
            return 0.5 + 0.5 * (sound[0] - sound[1])
        a, b = (answer.text for answer in answers)
        there, back = await asyncio.gather(
            self._value(pairwise(task, a, b), lambda bait: self._both_orders(task, bait, a), alarm=1.0),
            self._value(pairwise(task, b, a), None, alarm=1.0),
        )
        return _agreed(there, back)

    def _screened(self, task: Task, completion: Completion) -> Answer:
        limits = self.settings.min_answer_characters, self.settings.max_answer_characters
        return screen(completion.text, task.reference, min_characters=limits[0], max_characters=limits[1])

    async def _both_orders(self, task: Task, a: str, b: str) -> float | None:
        there = self._client.ask(pairwise(task, a, b))
        return _agreed(*await asyncio.gather(there, self._client.ask(pairwise(task, b, a))))

    async def _value(self, inquiry: Inquiry, probe: Probe | None, *, alarm: float) -> float | None:
        """Gives the value of an inquiry, asked once however often it is wanted at the same time."""
        loop = asyncio.get_running_loop()
        place = loop, digest(self._identity, inquiry)
        task = self._pending.get(place)
        if task is None:
            task = self._pending[place] = loop.create_task(self._fetch(place[1], inquiry, probe, alarm))
            task.add_done_callback(lambda done: self._pending.pop(place, None))
        else:
            self.counts.add(cache_hits=1)
        # Shielded: several completions may wait for it, and one of them may be cancelled.
        return await asyncio.shield(task)

    async def _fetch(self, key: str, inquiry: Inquiry, probe: Probe | None, alarm: float) -> float | None:
        name = canary(self.settings.canary_rate, self.settings.seed, key) if probe else None
        if probe is None or name is None:
            return await self._asked(key, inquiry)
        value, _ = await asyncio.gather(self._asked(key, inquiry), self._watch(key, name, probe, alarm))
        return value

    async def _asked(self, key: str, inquiry: Inquiry) -> float | None:
        cached = await self._cached(key)
        if cached is not None:
            self.counts.add(cache_hits=1)
            return cached
        value = await self._client.ask(inquiry)
        if value is not None:
            await self._keep(key, value)
        return value

    async def _watch(self, key: str, name: str, probe: Probe, alarm: float) -> None:
        """Counts the question's canary, once. Its value is cached beside the verdict: a judge that was refused is
        refused again where its verdicts are read from disk."""
        if key in self._watched:
            return
        self._watched.add(key)
        place = f"{key}/canary/{name}"
        value = await self._cached(place)
        if value is None:
            value = await probe(CANARIES[name])
            if value is None:
                self._watched.discard(key)
                return
            await self._keep(place, value)
        self.counts.add(canaries_seen=1)
        if value >= alarm:
            self.counts.add(canaries_alarmed=1)
            log.error("the judge %s gives %.2f to the canary %r: it can be fooled", self.settings.model, value, name)

    async def _cached(self, key: str) -> float | None:
        if self._cache is None:
            return None
        try:
            return await asyncio.to_thread(self._cache.get, key)
        except sqlite3.Error as error:
            self._cache_trouble(error)
            return None

    async def _keep(self, key: str, value: float) -> None:
        if self._cache is None:
            return
        try:
            await asyncio.to_thread(self._cache.put, key, value)
        except sqlite3.Error as error:
            self._cache_trouble(error)

    def _cache_trouble(self, error: sqlite3.Error) -> None:
        # A full disk must not void verdicts that are paid for.
        if not self._cache_failed:
            self._cache_failed = True
            log.error("the judge's cache %s fails, verdicts are not kept: %s", self.settings.cache_path, error)


def version_of(settings: JudgeSettings) -> str:
    """Gives the name of the template, the model and a hash of all that can change a verdict."""
    return f"{VERSION}+{settings.model}+{hashlib.sha256(_identity(settings).encode()).hexdigest()[:8]}"


def _agreed(there: float | None, back: float | None) -> float | None:
    """Gives the verdict on which both orders agree, a tie where they do not, None where one is missing."""
    if there is None or back is None:
        return None
    return there if there == 1.0 - back else 0.5


def _identity(settings: JudgeSettings) -> str:
    """Gives everything that can change a verdict, as text."""
    asked = settings.temperature, settings.max_reply_tokens, settings.structured, dict(settings.request_fields)
    try:
        return json.dumps([VERSION, settings.base_url, settings.model, *asked], sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the judge's request_fields cannot be sent: {error}", hint="use text, numbers, lists and tables"
        ) from error
