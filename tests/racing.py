"""What every executor of races must do: the tests of each one call these with a way to make it."""

import time
from collections.abc import Callable, Sequence

import pytest

from rlvr.stages.race.executor import Ended, Executor, Job

DEADLINE_SECONDS = 120.0


def keeps_its_promises(make: Callable[[int], Executor], racers: Sequence[str], *, short: int, long: int) -> None:
    """Asserts the contract for at least three fresh racers; `make(n)` gives an executor that runs n at once.

    `short` and `long` are steps that they can reach.
    """
    one, two, three, *_ = racers
    executor = make(1)
    assert executor.report() == []
    assert executor.checkpoint(one) is None
    executor.kill(one)  # has no job

    # Jobs wait for room, are reported once, and what is done is at its step.
    for racer in (one, two):
        executor.submit(Job(racer, short))
    with pytest.raises(ValueError, match="has a job already"):
        executor.submit(Job(two, long))
    ended = _all_of(executor, 2)
    assert [(found.job, found.problem) for found in ended] == [(Job(one, short), ""), (Job(two, short), "")]
    assert executor.report() == []
    first = executor.checkpoint(one)
    assert first is not None
    assert first.name == f"step-{short:06d}"

    # A job that waits, and one that runs, can be killed; neither is reported, and the room is given away.
    executor.submit(Job(one, long))
    executor.submit(Job(two, long))
    executor.submit(Job(three, short))
    executor.kill(two)
    executor.kill(one)
    assert [found.job for found in _all_of(executor, 1)] == [Job(three, short)]

    # What was killed goes on where it was, and another executor can take over.
    again = make(2)
    again.submit(Job(one, long))
    again.submit(Job(two, short))  # was there before, and is not measured again
    assert {(found.job, found.problem) for found in _all_of(again, 2)} == {(Job(one, long), ""), (Job(two, short), "")}
    last = again.checkpoint(one)
    assert last is not None
    assert last.name == f"step-{long:06d}"
    again.submit(Job(one, long, fresh=True))
    assert [found.problem for found in _all_of(again, 1)] == [""]


def names_what_failed(executor: Executor, racer: str, *, until: int, said: str, is_final: bool) -> None:
    """Asserts that a job that cannot succeed is reported with what went wrong."""
    executor.submit(Job(racer, until))
    (ended,) = _all_of(executor, 1)
    assert said in ended.problem
    assert ended.is_final == is_final


def _all_of(executor: Executor, count: int) -> list[Ended]:
    found: list[Ended] = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {found} ended"
        found += executor.report()
        time.sleep(0.05)
    return found
