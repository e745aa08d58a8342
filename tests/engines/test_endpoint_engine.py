"""The endpoint engine: texts and lengths as the server tells them; trouble that passes, stays or ends the run."""

import json
import time
from typing import Any

import pytest
from endpoint import KEY, Reply, endpoint

from rlvr.engines import endpoint as engine
from rlvr.engines.base import Answer, Asking, Question
from rlvr.engines.endpoint import Endpoint, EndpointSettings, sample_seed
from rlvr.errors import EngineError, UsageError
from rlvr.verifiers.judge import limits


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BACKOFF_SECONDS", 0.01)


def questions(count: int) -> list[Question]:
    return [Question(n, ({"role": "user", "content": f"question {n}"},)) for n in range(count)]


def answers(script: Any, count: int = 1, *, samples: int = 1, **changes: Any) -> tuple[list[Answer], Any]:
    """The answers in order, and what the server saw."""
    with endpoint(script) as seen:
        asked = Endpoint(EndpointSettings(seen.url, "stub", **changes))
        found = list(asked.answers(questions(count), Asking(samples, 0.5, 64, 3)))
    return sorted(found, key=lambda a: (a.question_id, a.sample_index)), seen


def echo(body: dict[str, Any]) -> Reply:
    return Reply(body["messages"][-1]["content"].upper(), usage={"prompt_tokens": 9, "completion_tokens": 7})


def test_every_sample_of_every_question_comes_back_in_words() -> None:
    found, seen = answers(echo, 3, samples=2)
    assert found == [Answer(n, i, f"QUESTION {n}", "stop", 7) for n in range(3) for i in range(2)]
    assert {(b["model"], b["temperature"], b["max_tokens"]) for b in seen.requests} == {("stub", 0.5, 64)}
    # each request names a seed of its own, the same ones in every run
    assert {b["seed"] for b in seen.requests} == {sample_seed(3, n, i) for n in range(3) for i in range(2)}
    assert len({b["seed"] for b in seen.requests}) == 6


def test_what_was_cut_says_so_and_a_length_that_is_not_told_is_not_invented() -> None:
    found, _ = answers([Reply("half", finish="length", usage=None)])
    assert found == [Answer(0, 0, "half", "length", None)]


def test_the_key_comes_from_the_environment_and_the_fields_reach_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_KEY", KEY)
    fields = {"max_tokens": None, "max_completion_tokens": 50, "top_p": 0.9}
    _, seen = answers(echo, api_key_env="SUITE_KEY", request_fields=fields)
    assert seen.keys == [f"Bearer {KEY}"]
    body = seen.requests[0]
    assert ("max_tokens" in body, body["max_completion_tokens"], body["top_p"]) == (False, 50, 0.9)


@pytest.mark.parametrize(
    "bad", [Reply(status=429, headers={"Retry-After": "0.05"}), Reply(status=503), Reply(raw=b"{}"), Reply(raw=b"no")]
)
def test_trouble_that_passes_is_tried_again(bad: Reply) -> None:
    found, seen = answers([bad, Reply("here")])
    assert (found[0].text, found[0].finish, len(seen.requests)) == ("here", "stop", 2)


def test_trouble_that_stays_is_an_answer_that_never_came() -> None:
    def script(body: dict[str, Any]) -> Reply:
        return Reply(status=500) if "1" in body["messages"][-1]["content"] else echo(body)

    found, seen = answers(script, 3, retries=2)
    assert [a.finish for a in found] == ["stop", "abort", "stop"]
    assert len(seen.requests) == 2 + 3  # the one that fails is asked 1 + 2 times


@pytest.mark.parametrize("reply", [Reply(finish="content_filter"), Reply(status=400), Reply(raw=b'{"choices": 3}')])
def test_a_refusal_is_no_empty_answer(reply: Reply) -> None:
    found, _ = answers([reply], retries=0)
    assert found == [Answer(0, 0, "", "abort", None)]


def test_an_endpoint_that_fails_again_and_again_ends_the_run() -> None:
    with pytest.raises(EngineError, match=r"stub at http.* cannot be asked: the endpoint answers with status 400"):
        answers([Reply(status=400)], 50, concurrency=2)


@pytest.mark.parametrize("status", sorted(engine.FATAL_STATUS))
def test_a_wrong_key_or_address_ends_the_run_at_once(status: int) -> None:
    with endpoint([Reply(status=status)]) as seen:
        asked = Endpoint(EndpointSettings(seen.url, "stub", concurrency=1))
        with pytest.raises(EngineError, match=str(status)):
            list(asked.answers(questions(20), Asking(1, 0.0, 8, 0)))
        assert len(seen.requests) == 1


def refusing(*numbers: int, status: int = 400) -> Any:
    """An endpoint that refuses the questions of those numbers and answers all others."""
    refused = {f"question {n}" for n in numbers}
    return lambda body: Reply(status=status) if body["messages"][-1]["content"] in refused else echo(body)


def test_one_question_that_nobody_can_answer_does_not_end_the_run() -> None:
    # 20 failures in a row, all of one question
    found, _ = answers(refusing(0, status=500), 2, samples=20, retries=0, concurrency=1)
    assert [a.finish for a in found] == ["abort"] * 20 + ["stop"] * 20


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_after_an_answer_came_is_the_questions_own_failure(status: int) -> None:
    found, _ = answers(refusing(*range(1, 20), status=status), 21, concurrency=1)
    assert [a.finish for a in found] == ["stop", *["abort"] * 19, "stop"]


def test_a_run_that_goes_on_with_nothing_but_refused_questions_comes_to_its_end() -> None:
    with endpoint(refusing(*range(12))) as seen:
        asked = Endpoint(EndpointSettings(seen.url, "stub", concurrency=1))
        asked.vouch()
        assert [a.finish for a in asked.answers(questions(12), Asking(1, 0.0, 8, 0))] == ["abort"] * 12


@pytest.mark.parametrize("status", [403, 404])
def test_a_filter_may_refuse_a_question_in_the_words_of_a_wrong_address(status: int) -> None:
    found, _ = answers(refusing(1, status=status), 3, concurrency=1)
    assert [a.finish for a in found] == ["stop", "abort", "stop"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_until_the_deadline(status: int) -> None:
    busy = Reply(status=status, headers={"Retry-After": "0.01"})
    found, seen = answers([*[busy] * 9, Reply("here")], retries=2)
    assert (found[0].text, len(seen.requests)) == ("here", 10)
    found, _ = answers([busy], deadline_seconds=0.3)
    assert found[0].finish == "abort"


def test_a_key_that_no_header_takes_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_KEY", "sk–secret")
    with pytest.raises(UsageError, match="SUITE_KEY holds a character") as caught:
        Endpoint(EndpointSettings("http://localhost/v1", "stub", "SUITE_KEY"))
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_server_that_hangs_is_left_at_the_deadline() -> None:
    start = time.monotonic()
    found, _ = answers([Reply("late", delay_seconds=3.0)], deadline_seconds=0.3)
    assert found[0].finish == "abort"
    assert time.monotonic() - start < 20


def test_no_more_questions_are_under_way_than_there_are_places() -> None:
    def slow(body: dict[str, Any]) -> Reply:
        return Reply("x", delay_seconds=0.05)

    _, seen = answers(slow, 12, concurrency=3)
    assert seen.most_at_once == 3
    assert len(seen.requests) == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "localhost:8000"}, "the endpoint is 'localhost:8000'"),
        ({"base_url": "http://me:secret@host/v1"}, "holds a user name"),
        ({"model": ""}, "has no name"),
        ({"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY holds no key for the endpoint"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Endpoint(EndpointSettings(**{"base_url": "http://localhost/v1", "model": "stub", **changes}))


def test_the_body_is_what_a_server_of_chat_completions_reads() -> None:
    _, seen = answers(echo)
    assert json.loads(json.dumps(seen.requests[0]))["messages"] == [{"role": "user", "content": "question 0"}]
