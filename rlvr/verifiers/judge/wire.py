"""The way to an OpenAI-compatible endpoint: one request at a time, its deadline, and what went wrong with it."""

import asyncio
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from rlvr.errors import UsageError
from rlvr.verifiers.judge.limits import Pace, backoff_seconds, retry_after_seconds

NO_KEY = "no-key-needed"
MAX_BODY_BYTES = 4_000_000
RETRIED_STATUS = frozenset((408, 409, 425, 429))
"""With those from 500 on, the answers of a server that may do better later."""
BUSY_STATUS = frozenset((429, 503))
"""A server with too much to do: it is asked again until the deadline, however often."""
SECRET_STATUS = frozenset((401, 403))
"""Their messages may hold a part of the key."""


class TroubleError(Exception):
    """A request that brought no reply: what happened, whether to try again, and the wait that the server asks for.

    `status` is that of the server's refusal, 0 where it gave none.
    """

    def __init__(self, what: str, *, again: bool, wait_seconds: float | None = None, status: int = 0) -> None:
        super().__init__(what)
        self.again = again
        self.wait_seconds = wait_seconds
        self.status = status

    @property
    def busy(self) -> bool:
        """Whether the server has too much to do and may be asked again: only the deadline bounds how often."""
        return self.again and self.status in BUSY_STATUS


@dataclass(frozen=True, slots=True)
class _Lane:
    """What belongs to one event loop: connections and the limit of concurrent questions."""

    connections: Any
    slots: asyncio.Semaphore


class Wire:
    """Connections to one endpoint, in any number of event loops and threads.

    `timeout_seconds` is for one request; a server that asks for more than `patience_seconds` is not asked again.
    """

    def __init__(
        self, base_url: str, key: str, *, timeout_seconds: float, patience_seconds: float, concurrency: int
    ) -> None:
        self._base_url = base_url
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._concurrency = concurrency
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane] = {}
        self._lock = threading.Lock()

    @property
    def slots(self) -> asyncio.Semaphore:
        """The places for concurrent questions in the running event loop."""
        return self._lane().slots

    async def post(self, model: str, messages: Sequence[Mapping[str, str]], fields: Mapping[str, Any]) -> Any:
        """Gives the JSON of one reply. Raises TroubleError where none comes."""
        body = await self._post(model, messages, fields)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise TroubleError("a reply's body is not JSON", again=True) from None

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        with self._lock:
            lane = self._lanes.pop(asyncio.get_running_loop(), None)
        if lane is not None:
            await lane.connections.close()

    async def _post(self, model: str, messages: Sequence[Mapping[str, str]], fields: Mapping[str, Any]) -> bytes:
        import openai  # after the first question: it takes a second

        completions = self._lane().connections.chat.completions.with_streaming_response
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                completions.create(model=model, messages=list(messages), extra_body=fields) as response,
            ):
                return await _body(response)
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, error.message, error.response.headers) from None
        except (openai.APIConnectionError, TimeoutError) as error:
            kind = type(error.__cause__ or error).__name__
            raise TroubleError(f"no connection or no reply in time ({kind})", again=True) from None
        except TroubleError:
            raise
        except Exception as error:  # while a body is read the package lets through what its transport raises
            raise TroubleError(f"a reply that breaks off ({type(error).__name__})", again=True) from None

    def _refusal(self, status: int, message: str, headers: Mapping[str, str]) -> TroubleError:
        said = "" if status in SECRET_STATUS else f": {message.replace(self._key, '…')[:300]}"
        wait = retry_after_seconds(headers)
        again = status in RETRIED_STATUS or status >= 500
        if wait is not None and wait > self._patience_seconds:
            again = False
        return TroubleError(
            f"the endpoint answers with status {status}{said}", again=again, wait_seconds=wait, status=status
        )

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [other for other in self._lanes if other.is_closed()]:
                del self._lanes[other]
            if loop not in self._lanes:
                self._lanes[loop] = _Lane(self._connect(), asyncio.Semaphore(self._concurrency))
            return self._lanes[loop]

    def _connect(self) -> Any:
        import openai

        return openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self._base_url,
            timeout=self._timeout_seconds,
            max_retries=0,  # ours obey a deadline and are counted
        )


async def _body(response: Any) -> bytes:
    """Reads a reply, no further than MAX_BODY_BYTES. Raises TroubleError for a longer one."""
    content = bytearray()
    async for part in response.iter_bytes():
        content += part
        if len(content) > MAX_BODY_BYTES:
            raise TroubleError(f"a reply of more than {MAX_BODY_BYTES} bytes", again=False)
    return bytes(content)


async def back_off(pace: Pace, trouble: TroubleError, *, failure: int, seed: int) -> None:
    """Waits after the n-th failure from 1: as long as the server asks for, with all others, else a while."""
    if trouble.wait_seconds is not None:
        pace.hold(trouble.wait_seconds)  # The server counts all our requests together.
    else:
        await asyncio.sleep(backoff_seconds(failure, seed))


def check_package(who: str) -> None:
    """Raises UsageError where the package openai is missing."""
    if find_spec("openai") is None:
        raise UsageError(f"{who} needs the package openai", hint='pip install "rlvr[judge]"')


def check_address(url: str, what: str, hint: str) -> None:
    """Raises UsageError where `url`, called `what`, is no address of an endpoint or holds a secret."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        raise UsageError(f"{what} is {url!r}; expected an address of an OpenAI-compatible endpoint", hint=hint)
    if parts.username is not None or parts.password is not None or parts.query:
        # The address is written into runs and logs.
        raise UsageError(
            f"{what} holds a user name, password or query",
            hint="put the key into an environment variable and name it as api_key_env",
        )


def key_from(variable: str, whom: str) -> str:
    """Gives the key in that environment variable, a stand-in where none is named.

    Raises UsageError where it is unset, or holds what cannot be sent.
    """
    if not variable:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"the environment variable {variable} holds no key for {whom}", hint=f"export {variable}=…")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(
            f"the key in the environment variable {variable} holds a character that no header takes",
            hint=f"copy it once more; a text editor may have changed a sign: export {variable}=…",
        )
    return key
