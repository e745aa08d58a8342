"""What a judge does when the endpoint fails, is slow or says too much: tries, deadlines, pace; never a 0."""

import asyncio
import time
from typing import Any

import pytest
from endpoint import Reply, completion, says, settings, task
from judging import run, verify

from rlvr.types import Verdict
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.wire import MAX_BODY_BYTES

pytestmark = pytest.mark.usefixtures("short_back_off")


BAD_ONCE = [
    Reply(status=429),
    Reply(status=429, headers={"Retry-After": "0.05"}),
    Reply(status=429, headers={"Retry-After": "nonsense"}),
    Reply(status=500),
    Reply(status=503, headers={"retry-after-ms": "20"}),
    Reply(status=408),
    Reply(raw=b'{"choices": [{"message": {"cont'),
    Reply(raw=b'{"choices": [', length=500),
    Reply(raw=b"Bad Gate", status=502, length=500),
    Reply(raw=b"\xff\xfe not json"),
    Reply(raw=b"", length=9),
    Reply(raw=b"[" * 100_000),
    Reply("no verdict here"),
    Reply(""),
    Reply(None),
    Reply(raw=b"{}"),
    Reply(raw=b"[]"),
    Reply(raw=b'{"choices": []}'),
    Reply(raw=b'{"choices": {"message": 1}}'),
    Reply(raw=b'{"choices": [{"message": {"content": ["yes"]}}]}'),
]


@pytest.mark.parametrize("bad", BAD_ONCE, ids=range(len(BAD_ONCE)))
def test_trouble_that_passes_is_tried_again(bad: Reply) -> None:
    first = [True]

    def script(body: dict[str, Any]) -> Reply:
        return bad if first and first.pop() else says("yes")(body)

    verdict, judge, seen = verify(script)
    assert (verdict.outcome, verdict.status) == (1.0, "ok")
    assert len(seen.requests) == judge.counts.requests == 2
    assert judge.counts.retries == 1
    assert judge.counts.failures == 0


@pytest.mark.parametrize("bad", BAD_ONCE, ids=range(len(BAD_ONCE)))
def test_trouble_that_stays_is_not_known_and_never_0(bad: Reply) -> None:
    verdict, judge, seen = verify([bad], retries=2, rereadings=1)
    assert (verdict.outcome, verdict.status) == (None, "judge_error")
    assert len(seen.requests) in (2, 3)
    assert judge.counts.failures == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    verdict, _, seen = verify([Reply(status=status)])
    assert (verdict.outcome, verdict.status) == (None, "judge_error")
    assert len(seen.requests) == 1


def test_an_endless_reply_is_not_read_to_its_end() -> None:
    verdict, _, seen = verify([Reply(raw=b" " * (MAX_BODY_BYTES + 100_000), length=10**12)])
    assert (verdict.outcome, verdict.status) == (None, "judge_error")
    assert len(seen.requests) == 1


def test_a_verdict_that_its_limit_cut_off_does_not_count() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return Reply(says("yes")(body).text, finish="length")

    assert verify(script)[0].outcome is None


def test_an_endpoint_that_is_not_there_is_not_known() -> None:
    async def ask() -> Verdict:
        async with Judge(settings("http://127.0.0.1:9/v1", retries=1)) as judge:
            return await judge.verify(task(), completion("4"))

    assert asyncio.run(ask()).status == "judge_error"


def test_the_deadline_ends_everything() -> None:
    start = time.monotonic()
    verdict, _, _ = verify([Reply(status=500)], retries=10**6, deadline_seconds=0.5)
    assert (verdict.outcome, verdict.status) == (None, "judge_error")
    assert 0.4 < time.monotonic() - start < 30


def test_a_slow_reply_is_asked_for_again() -> None:
    first = [True]

    def script(body: dict[str, Any]) -> Reply:
        return Reply(delay_seconds=20) if first and first.pop() else says("yes")(body)

    start = time.monotonic()
    verdict, judge, _ = verify(script, timeout_seconds=2)
    assert verdict.outcome == 1.0
    assert judge.counts.retries >= 1
    assert time.monotonic() - start < 18


def test_a_slow_reply_is_not_waited_for_longer_than_the_deadline() -> None:
    start = time.monotonic()
    assert verify([Reply(delay_seconds=20)], deadline_seconds=0.3)[0].status == "judge_error"
    assert time.monotonic() - start < 18


def test_retry_after_is_obeyed_by_all_requests() -> None:
    """Two questions at once; the one that is told to wait 0.6 s holds back what comes after it."""
    first = [True]

    def script(body: dict[str, Any]) -> Reply:
        return Reply(status=429, headers={"Retry-After": "0.6"}) if first and first.pop() else says("yes")(body)

    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion(str(i))) for i in range(2))))

    verdicts, _, seen = run(script, ask, concurrency=1)
    assert [v.outcome for v in verdicts] == [1.0, 1.0]
    assert seen.times[1] - seen.times[0] > 0.5


def test_a_wait_longer_than_the_deadline_is_given_up_at_once() -> None:
    start = time.monotonic()
    verdict, _, seen = verify([Reply(status=429, headers={"Retry-After": "3600"})])
    assert verdict.status == "judge_error"
    assert len(seen.requests) == 1
    assert time.monotonic() - start < 60


def test_no_more_questions_are_under_way_than_allowed() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return Reply(says("yes")(body).text, delay_seconds=0.05)

    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion(str(i))) for i in range(9))))

    verdicts, _, seen = run(script, ask, concurrency=3)
    assert [v.outcome for v in verdicts] == [1.0] * 9
    assert 2 <= seen.most_at_once <= 3


def test_requests_keep_the_pace_per_minute() -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion(str(i))) for i in range(5))))

    _, _, seen = run(says("yes"), ask, requests_per_minute=600)
    assert seen.times[4] - seen.times[0] > 0.35  # four gaps of 0.1 s


def test_what_is_asked_twice_at_once_is_sent_once() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return Reply(says("yes")(body).text, delay_seconds=0.1)

    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion("4")) for _ in range(8))))

    verdicts, judge, seen = run(script, ask)
    assert [v.outcome for v in verdicts] == [1.0] * 8
    assert len(seen.requests) == 1
    assert judge.counts.cache_hits == 7


def test_one_waiter_that_is_cancelled_does_not_take_the_verdict_from_the_others() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return Reply(says("yes")(body).text, delay_seconds=0.2)

    async def ask(judge: Judge) -> Verdict:
        waiting = [asyncio.create_task(judge.verify(task(), completion("4"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        return await waiting[1]

    assert run(script, ask)[0].outcome == 1.0
