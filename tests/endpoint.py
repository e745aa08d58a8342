"""A local HTTP server that speaks /v1/chat/completions, and judges to stand behind it."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from rlvr.types import Completion, Task, read_only
from rlvr.verifiers.judge.settings import JudgeSettings

CODE = re.compile(r"where the code is (\w+)\.")
KEY = "sk-secret-0123456789"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends: a judge's text in the protocol's shape, or `raw` bytes as they are."""

    text: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    raw: bytes | None = None
    delay_seconds: float = 0.0
    length: int | None = None
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 10})

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "finish_reason": self.finish, "message": message}
        return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": self.usage}).encode()


@dataclass(slots=True)
class Endpoint:
    """The server's address, what it was sent, and when."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0


Script = Callable[[dict[str, Any]], Reply]


@contextmanager
def endpoint(script: Script | Sequence[Reply]) -> Iterator[Endpoint]:
    """A server that answers by a function of the request's body, or by a list whose last reply goes on for ever."""
    seen = Endpoint("")
    lock = threading.Lock()
    at_once = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(seen.requests)
                seen.requests.append(body)
                seen.keys.append(self.headers["Authorization"])
                seen.times.append(time.monotonic())
                at_once[0] += 1
                seen.most_at_once = max(seen.most_at_once, at_once[0])
            reply = script(body) if callable(script) else script[min(number, len(script) - 1)]
            time.sleep(reply.delay_seconds)
            with lock:
                at_once[0] -= 1
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            content = reply.body()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content) if reply.length is None else reply.length))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = reply.length is not None
            except OSError:
                pass  # the client has given up on a slow reply

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def prompt(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"])


def code_of(body: dict[str, Any]) -> str:
    found = CODE.search(body["messages"][0]["content"])
    assert found
    return found.group(1)


def says(verdict: Any, before: str = "") -> Script:
    """A judge that always gives the same verdict."""
    return lambda body: Reply(before + json.dumps({"code": code_of(body), "verdict": verdict}))


def part(body: dict[str, Any], name: str) -> str:
    """What stands in a fenced part of the prompt."""
    code = re.escape(code_of(body))
    found = re.search(f"<<<{name} {code}>>>\n(.*?)\n<<<END {name} {code}>>>", prompt(body), re.DOTALL)
    assert found, name
    return found.group(1)


def settings(url: str, **changes: Any) -> JudgeSettings:
    """A judge without canaries, as patient as a test can be."""
    values = {"model": "stub", "base_url": url, "canary_rate": 0.0, "timeout_seconds": 60.0, "deadline_seconds": 120.0}
    return JudgeSettings(**{**values, **changes})


def completion(text: str) -> Completion:
    none = read_only([], np.int64), read_only([], np.float32), read_only([], np.bool_)
    return Completion(*none, text, "stop", 0)


def task(question: str = "What is 2 + 2?", **reference: Any) -> Task:
    reference = {"rubric": "The answer is right.", **reference}
    return Task("t", ({"role": "user", "content": question},), reference, "judge", "test", "test")
