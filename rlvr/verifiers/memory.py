"""What the worker pool has answered before: completions of one prompt often give the same answer."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any

from rlvr.verifiers.pool import shared
from rlvr.verifiers.worker_handle import Reply

MAX_REMEMBERED = 100_000


class Memory:
    """Replies by question, the least recently used forgotten first; safe for threads."""

    def __init__(self, size: int = MAX_REMEMBERED) -> None:
        self._size = size
        self.forget()
        # A reply that the parent waits for never comes in its forked child.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Starts anew, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._replies: OrderedDict[bytes, Future[Reply]] = OrderedDict()

    def ask(self, function: str, payload: Any, *, cpu_seconds: float, version: str) -> "Future[Reply]":
        """Gives the reply to come; the same question to the same version is put to the pool once.

        What the machine or the function was at fault for is not remembered.
        """
        question = json.dumps([version, function, payload], sort_keys=True)
        key = hashlib.sha256(question.encode()).digest()
        with self._lock:
            known = self._replies.get(key)
            if known is not None and not (known.done() and _failed(known)):
                self._replies.move_to_end(key)
                return known
            reply = self._replies[key] = Future()
            while len(self._replies) > self._size:
                self._replies.popitem(last=False)
        # Outside of the lock: a full queue makes the one who asks wait, not the others.
        try:
            asked = shared().submit(function, payload, cpu_seconds=cpu_seconds)
        except BaseException as error:
            reply.set_exception(error)
            raise
        asked.add_done_callback(lambda done: reply.set_result(done.result()))
        return reply


def _failed(known: "Future[Reply]") -> bool:
    return known.exception() is not None or known.result().kind in ("host", "error")
