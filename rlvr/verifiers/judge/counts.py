"""What a judge has done so far, and what it cost."""

import threading
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Counts:
    """Running totals of one judge.

    `requests` counts what was sent, with the `retries` among them; `unreadable` replies without a verdict; `failures`
    questions that were given up; `cache_hits` questions that needed no request of their own. `cost` is in the currency
    of the prices and leaves out the replies that came `without_usage`. `held_back` answers were rejected unasked.
    """

    requests: int = 0
    retries: int = 0
    unreadable: int = 0
    failures: int = 0
    held_back: int = 0
    cache_hits: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    without_usage: int = 0
    cost: float = 0.0
    canaries_seen: int = 0
    canaries_alarmed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **amounts: float) -> None:
        """Adds to the named totals; safe for threads."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)

    def totals(self) -> dict[str, float]:
        """Gives all totals by name."""
        with self._lock:
            return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "_lock"}
