"""How fast requests may follow one another, and how long to wait after one that failed."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rlvr.keyed import uniform

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0


class Pace:
    """Turns at a steady rate per minute, 0 for any; safe for threads and event loops.

    A bucket that holds one item only: no minute ever sees more than the rate and one, as servers count by the minute.
    """

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute > 0 else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def reserve(self, amount: float) -> float:
        """Takes the next turn for `amount` items and gives the seconds until it."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + amount * self._seconds_each
            return turn - now

    def correct(self, difference: float) -> None:
        """Charges `difference` items more, or fewer where it is negative, than were reserved."""
        with self._lock:
            self._next += difference * self._seconds_each

    def hold(self, seconds: float) -> None:
        """Gives nobody a turn before that time has passed."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


def backoff_seconds(failure: int, key: int) -> float:
    """Gives the wait after the n-th failure from 1: doubling up to a limit, a keyed half of it left to chance."""
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failure - 1, 20))
    return longest * (0.5 + 0.5 * float(uniform(key, "judge/backoff", failure)))


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Gives the wait that a server asks for (milliseconds, seconds or a date), or None where it says nothing usable."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
