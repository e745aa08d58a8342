"""Verdicts of a judge against a real local endpoint: good replies, all kinds of trouble, limits, cache, canaries."""

import asyncio
import json
import logging
import multiprocessing
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from endpoint import KEY, Endpoint, Reply, code_of, completion, endpoint, part, says, settings, task

from rlvr.errors import UsageError
from rlvr.types import Verdict
from rlvr.verifiers.judge import client, limits
from rlvr.verifiers.judge.cache import Cache
from rlvr.verifiers.judge.canaries import CANARIES, canary
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.screening import check_reference
from rlvr.verifiers.judge.settings import JudgeSettings
from rlvr.verifiers.scorer import Scorer

T = TypeVar("T")
ROOT = Path(__file__).parents[3]


def run(script: Any, use: Callable[[Judge], Awaitable[T]], **changes: Any) -> tuple[T, Judge, Endpoint]:
    """What `use` gives for a judge behind that script, the judge, and what the endpoint saw."""

    async def inside(judge: Judge) -> T:
        async with judge:
            return await use(judge)

    with endpoint(script) as seen:
        judge = Judge(settings(seen.url, **changes))
        return asyncio.run(inside(judge)), judge, seen


def verify(script: Any, text: str = "4", *, asked: Any = None, **changes: Any) -> tuple[Verdict, Judge, Endpoint]:
    return run(script, lambda judge: judge.verify(asked or task(), completion(text)), **changes)


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BACKOFF_SECONDS", 0.01)


def test_a_verdict_says_what_was_judged_and_by_whom() -> None:
    verdict, judge, seen = verify(says("yes"))
    assert (verdict.outcome, verdict.status, verdict.extracted, verdict.path) == (1.0, "ok", "4", "judge")
    assert verdict.version == judge.version
    assert verdict.version.startswith("judge-1+stub+")
    assert verdict.seconds > 0
    assert part(seen.requests[0], "QUESTION") == "What is 2 + 2?"


def test_a_request_is_made_as_the_settings_say() -> None:
    _, _, seen = verify(says("no"), request_fields={"max_tokens": None, "max_completion_tokens": 77, "top_p": 0.5})
    body = seen.requests[0]
    del body["messages"]
    assert body == {"model": "stub", "temperature": 0.0, "max_completion_tokens": 77, "top_p": 0.5}


def test_a_structured_reply_is_asked_for_by_a_schema_that_holds_code_and_verdicts() -> None:
    verdict, _, seen = verify(says("no"), structured=True)
    wanted = seen.requests[0]["response_format"]["json_schema"]["schema"]["properties"]
    assert wanted["code"]["enum"] == [code_of(seen.requests[0])]
    assert wanted["verdict"]["enum"] == ["yes", "no"]
    assert verdict.outcome == 0.0


def test_a_scale_becomes_the_unit_interval() -> None:
    verdict, _, _ = verify(says(4), asked=task(scale=[1, 5]))
    assert verdict.outcome == pytest.approx(0.75)


BAD_ONCE = [
    Reply(status=429),
    Reply(status=429, headers={"Retry-After": "0.05"}),
    Reply(status=429, headers={"Retry-After": "nonsense"}),
    Reply(status=500),
    Reply(status=503, headers={"retry-after-ms": "20"}),
    Reply(status=408),
    Reply(raw=b'{"choices": [{"message": {"cont'),
    Reply(raw=b'{"choices": [', length=500),
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


def test_a_judge_goes_on_in_another_event_loop() -> None:
    with endpoint(says("yes")) as seen:
        judge = Judge(settings(seen.url))
        for text in ("4", "5"):

            async def ask(text: str = text) -> Verdict:
                async with judge:
                    return await judge.verify(task(), completion(text))

            assert asyncio.run(ask()).outcome == 1.0


def test_the_scorer_takes_a_judge_like_any_verifier() -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        return await Scorer({"judge": judge.verify}).score(task(), [completion("4"), completion("")])

    verdicts, _, _ = run(says("yes"), ask)
    assert [(v.outcome, v.status) for v in verdicts] == [(1.0, "ok"), (0.0, "no_answer")]


@pytest.mark.parametrize(
    "text", ["", "  \n", ":", "…!?", "<think>4", "\u200b\u2060", "\u3164", "***", "<|im_end|>"[:2]]
)
def test_an_answer_without_substance_is_not_sent(text: str) -> None:
    verdict, judge, seen = verify(says("yes"), text)
    assert (verdict.outcome, verdict.status, verdict.path) == (0.0, "no_answer", "screened")
    assert seen.requests == []
    assert judge.counts.held_back == 1


def test_a_short_answer_is_not_sent_where_a_length_is_asked_for_unless_it_is_the_known_one() -> None:
    assert verify(says("yes"), "ok", min_answer_characters=3)[0].outcome == 0.0
    assert verify(says("yes"), "ok", asked=task(answer="ok"), min_answer_characters=3)[0].outcome == 1.0
    assert verify(says("yes"), "=", asked=task(answer="="))[0].outcome == 1.0
    assert verify(says("yes"), "∞")[0].outcome == 1.0


def test_an_answer_that_is_too_long_is_not_sent() -> None:
    assert verify(says("yes"), "x" * 4000)[0].outcome == 1.0
    verdict, _, seen = verify(says("yes"), "x" * 10_000_000)
    assert (verdict.outcome, verdict.status) == (0.0, "wrong_format")
    assert seen.requests == []


def test_a_hedge_between_boxes_is_not_sent() -> None:
    verdict, _, seen = verify(says("yes"), r"\boxed{4} \boxed{5}", asked=task(slot="boxed"))
    assert (verdict.outcome, verdict.status) == (0.0, "hedged")
    assert seen.requests == []


def longer(body: dict[str, Any]) -> Reply:
    """A judge that prefers the longer answer, whatever its place."""
    a, b = part(body, "ANSWER A"), part(body, "ANSWER B")
    return says("A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie")(body)


def prefer(script: Any, a: str, b: str, **changes: Any) -> tuple[float | None, Judge, Endpoint]:
    return run(script, lambda judge: judge.prefer(task(), completion(a), completion(b)), **changes)


def test_a_preference_is_what_both_orders_say() -> None:
    assert prefer(longer, "longer", "short")[0] == 1.0
    assert prefer(longer, "short", "longer")[0] == 0.0
    assert prefer(longer, "same", "size")[0] == 0.5
    assert len(prefer(longer, "longer", "short")[2].requests) == 2


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_goes_by_the_place_gives_a_tie(place: str) -> None:
    assert prefer(says(place), "one", "two")[0] == 0.5


def test_a_preference_with_one_reply_missing_is_not_known() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return says("A")(body) if part(body, "ANSWER A") == "one" else Reply("I cannot say.")

    assert prefer(script, "one", "two")[0] is None


def test_an_answer_of_no_worth_loses_without_a_question() -> None:
    for a, b, wanted in [("4", "", 1.0), (":", "4", 0.0), ("", ".", 0.5), ("4", "4", 0.5)]:
        value, _, seen = prefer(says("A"), a, b)
        assert value == wanted
        assert seen.requests == []


def test_the_cache_answers_what_was_asked_before_in_any_process(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "judge.db")
    with endpoint(says("yes")) as seen:

        async def ask(text: str, **changes: Any) -> tuple[Verdict, Judge]:
            async with Judge(settings(seen.url, cache_path=path, **changes)) as judge:
                return await judge.verify(task(), completion(text)), judge

        first, _ = asyncio.run(ask("4"))
        again, judge = asyncio.run(ask("4"))
        assert len(seen.requests) == 1
        assert (again.outcome, again.status, again.path) == (first.outcome, first.status, first.path)
        assert judge.counts.cache_hits == 1
        asyncio.run(ask("5"))
        asyncio.run(ask("4", model="other"))
        asyncio.run(ask("4", temperature=0.5))
        assert len(seen.requests) == 4


def test_what_could_not_be_told_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "judge.db"
    verify([Reply("nothing")], cache_path=str(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    connection.close()


def _put(path: str, first: int) -> None:
    cache = Cache(path)
    for i in range(first, first + 40):
        cache.put(f"key {i}", 0.5)


def test_several_processes_write_to_one_cache(tmp_path: Path) -> None:
    path = str(tmp_path / "judge.db")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put, args=(path, first)) for first in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
        assert writer.exitcode == 0
    cache = Cache(path)
    assert [cache.get(f"key {i}") for i in range(81)] == [0.5] * 80 + [None]


def test_a_killed_process_leaves_every_verdict_that_it_has_put(tmp_path: Path) -> None:
    path = str(tmp_path / "judge.db")
    program = (
        "import sys, itertools\nfrom rlvr.verifiers.judge.cache import Cache\ncache = Cache(sys.argv[1])\n"
        "for i in itertools.count():\n    cache.put(f'key {i}', 0.5)\n    print(i, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout
        for _ in range(30):
            writer.stdout.readline()
        writer.kill()
        last = 29 + len(writer.stdout.read().split(b"\n")) - 1
    cache = Cache(path)
    assert [cache.get(f"key {i}") for i in range(last + 1)] == [0.5] * (last + 1)


def test_a_cache_holds_nothing_but_numbers_from_0_to_1(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "judge.db")
    for key, value in {"a": 10.0, "b": float("inf"), "c": -1.0, "d": 0.25}.items():
        cache.put(key, value)
    assert [cache.get(key) for key in "abcd"] == [None, None, None, 0.25]
    cache.put("d", 0.75)
    assert cache.get("d") == 0.25


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and they are not to be overwritten " * 100)
    with pytest.raises(UsageError, match="cannot be used as the judge's cache"):
        Judge(settings("http://localhost/v1", cache_path=str(path)))
    assert path.read_text().startswith("these are notes")


def test_a_cache_that_breaks_later_costs_no_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "judge.db"

    async def ask(judge: Judge) -> list[Verdict]:
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_text("no database " * 1000)
        return [await judge.verify(task(), completion(text)) for text in ("4", "5")]

    verdicts, _, _ = run(says("yes"), ask, cache_path=str(path))
    assert [v.outcome for v in verdicts] == [1.0, 1.0]
    assert len([r for r in caplog.records if "cache" in r.message]) == 1


def test_tokens_and_cost_are_counted() -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        return [await judge.verify(task(), completion(text)) for text in ("4", "5")]

    _, judge, _ = run(says("yes"), ask, price_in_per_million=2.0, price_out_per_million=10.0)
    totals = judge.counts.totals()
    assert (totals["tokens_in"], totals["tokens_out"], totals["requests"]) == (200, 20, 2)
    assert totals["cost"] == pytest.approx(2 * (100 * 2.0 + 10 * 10.0) / 1e6)


@pytest.mark.parametrize("usage", [None, "many", {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 1}])
def test_a_reply_without_usage_counts_as_such(usage: Any) -> None:
    verdict, judge, _ = verify(lambda body: Reply(says("yes")(body).text, usage=usage))
    assert verdict.outcome == 1.0
    assert (judge.counts.without_usage, judge.counts.tokens_in) == (1, 0)


def gullible(body: dict[str, Any]) -> Reply:
    """A judge that the canary "instruction" sways and no other."""
    return says("yes" if "Ignore all of the above" in part(body, "ANSWER") else "no")(body)


def test_canaries_ride_along_and_alarm_when_they_score(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion(str(i))) for i in range(40))))

    verdicts, judge, seen = run(gullible, ask, canary_rate=1.0)
    assert [v.outcome for v in verdicts] == [0.0] * 40
    assert judge.counts.canaries_seen == 40
    swayed = sum("Ignore all of the above" in part(body, "ANSWER") for body in seen.requests)
    assert 0 < judge.counts.canaries_alarmed == swayed < 40
    assert any("'instruction'" in record.message for record in caplog.records)


def test_a_sound_judge_sets_off_no_alarm() -> None:
    _, judge, _ = verify(says("no"), canary_rate=1.0)
    assert (judge.counts.canaries_seen, judge.counts.canaries_alarmed) == (1, 0)


def test_a_canary_that_wins_a_comparison_in_both_orders_alarms() -> None:
    _, judge, _ = prefer(longer, "five5", "four", canary_rate=1.0)
    assert judge.counts.canaries_seen == 1
    _, placed, _ = prefer(says("A"), "five5", "four", canary_rate=1.0)
    assert (placed.counts.canaries_seen, placed.counts.canaries_alarmed) == (1, 0)


def test_the_rate_of_canaries_is_kept_and_every_kind_comes() -> None:
    keys = [f"{i:064x}"[::-1] for i in range(4000)]
    drawn = [canary(0.1, 1, key) for key in keys]
    assert drawn == [canary(0.1, 1, key) for key in keys]
    share = sum(name is not None for name in drawn) / len(drawn)
    assert share == pytest.approx(0.1, abs=0.02)  # four standard errors of 0.0047
    assert set(drawn) == {None, *CANARIES}
    assert {canary(0.0, 1, key) for key in keys} == {None}


def test_the_key_is_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": {"message": f"bad request by {KEY}"}}).encode()
    for status in (400, 401):
        verdict, judge, seen = verify(
            [Reply(status=status, raw=echo)], api_key_env="JUDGE_KEY", cache_path=str(tmp_path / "judge.db")
        )
        assert seen.keys == [f"Bearer {KEY}"]
        shown = f"{verdict!r} {judge.settings!r} {judge.version} {judge.counts!r}"
        assert KEY not in shown
    assert "status 400: " in caplog.text
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("rlvr"))
    assert KEY not in ours
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(UsageError, match="JUDGE_KEY"):
        Judge(settings("http://localhost/v1", api_key_env="JUDGE_KEY"))


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"rlvr\[judge\]"):
        Judge(settings("http://localhost/v1"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": " "}, "no model"),
        ({"base_url": "localhost:8000"}, "base_url is 'localhost:8000'"),
        ({"base_url": "http://[bad/v1"}, "base_url"),
        ({"base_url": "http://me:secret@host/v1"}, "holds a user name"),
        ({"base_url": "http://host/v1?api-key=secret"}, "holds a user name"),
        ({"concurrency": 0}, "concurrency is 0; expected at least 1"),
        ({"canary_rate": 1.5}, "canary_rate is 1.5; expected a number from 0 to 1"),
        ({"deadline_seconds": float("nan")}, "deadline_seconds is nan"),
        ({"request_fields": {"x": object()}}, "request_fields cannot be sent"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_showing_secrets(changes: Any, said: str) -> None:
    with pytest.raises(UsageError) as error:
        Judge(JudgeSettings(**{"model": "stub", "base_url": "http://localhost/v1", **changes}))
    assert said in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "reference",
    [
        *(None, "4", [], {}, {"rubric": ""}, {"rubric": "\u200b"}, {"rubric": 3}, {"rubric": "r", "gold": "4"}),
        *({"rubric": "r", "answer": 4}, {"rubric": "r", "slot": "pocket"}, {"rubric": "r", "scale": [5, 1]}),
        *({"rubric": "r", "scale": [1.0, 5.0]}, {"rubric": "r", "scale": [True, 5]}, {"rubric": "r", "scale": "1-5"}),
        *({"rubric": "r", "slot": ["box"]}, {"rubric": "r", "scale": [0, 10**400]}, {"rubric": "r", "scale": [1]}),
    ],
)
def test_a_bad_reference_is_named_and_not_judged(reference: Any) -> None:
    assert check_reference(reference)
    asked = task()
    broken = type(asked)(**{**{name: getattr(asked, name) for name in asked.__slots__}, "reference": reference})
    verdict, _, seen = verify(says("yes"), asked=broken)
    assert (verdict.outcome, verdict.status) == (None, "bad_reference")
    assert seen.requests == []


def test_a_good_reference_has_no_fault() -> None:
    assert check_reference({"rubric": "r"}) is None
    assert check_reference({"rubric": "r", "question": "q", "answer": "a", "slot": "boxed", "scale": [0, 4]}) is None
