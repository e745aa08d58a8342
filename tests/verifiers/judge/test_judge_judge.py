"""Verdicts of a judge against a real local endpoint: what is asked, what is not sent, settings, keys and costs."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from endpoint import KEY, Reply, code_of, completion, endpoint, part, says, settings, task
from judging import run, verify

from rlvr.errors import UsageError
from rlvr.types import Verdict
from rlvr.verifiers.judge import wire
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.screening import check_reference
from rlvr.verifiers.judge.settings import JudgeSettings
from rlvr.verifiers.scorer import Scorer

pytestmark = pytest.mark.usefixtures("short_back_off")


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
    monkeypatch.setattr(wire, "find_spec", lambda name: None)
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
