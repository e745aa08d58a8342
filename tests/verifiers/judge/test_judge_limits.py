"""Pace, back-off and Retry-After in numbers."""

from datetime import UTC, datetime

import pytest

from rlvr.verifiers.judge.limits import MAX_BACKOFF_SECONDS, Pace, backoff_seconds, retry_after_seconds

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_turns_come_at_the_rate() -> None:
    now = [100.0]
    pace = Pace(60, clock=lambda: now[0])
    assert [pace.reserve(1) for _ in range(3)] == [0.0, 1.0, 2.0]
    now[0] = 110.0  # idle time is not saved up
    assert [pace.reserve(1) for _ in range(2)] == [0.0, 1.0]


def test_a_turn_of_many_items_delays_the_next_by_as_many() -> None:
    pace = Pace(6000, clock=lambda: 0.0)  # 100 a second
    assert [pace.reserve(500), pace.reserve(100), pace.reserve(1)] == [0.0, 5.0, 6.0]
    pace.correct(-401)  # only 200 of the 601 were spent: 2 s
    assert pace.reserve(1) == pytest.approx(2.0)


def test_no_rate_is_no_wait_but_a_hold_is_kept() -> None:
    now = [0.0]
    pace = Pace(0, clock=lambda: now[0])
    assert [pace.reserve(10**9), pace.reserve(1)] == [0.0, 0.0]
    pace.hold(3)
    pace.hold(1)
    assert [pace.reserve(1), pace.reserve(1)] == [3.0, 3.0]
    now[0] = 3.0
    assert pace.reserve(1) == 0.0


def test_back_off_doubles_up_to_its_limit_and_half_of_it_is_chance() -> None:
    for failure, longest in [(1, 0.5), (2, 1.0), (4, 4.0), (7, MAX_BACKOFF_SECONDS), (5000, MAX_BACKOFF_SECONDS)]:
        waits = [backoff_seconds(failure, key) for key in range(200)]
        assert longest / 2 <= min(waits) < 0.55 * longest
        assert 0.95 * longest < max(waits) <= longest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 13:00:30 +0100"}, 30.0),
        *(({"retry-after": odd}, None) for odd in ("-1", "nan", "inf", "", "soon", "9" * 400, "Thu, 99 Foo 2026")),
    ],
)
def test_retry_after_is_seconds_milliseconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds
