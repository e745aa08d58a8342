"""A judge compares the greedy answers of two evaluations, and length is held equal."""

import json

import pytest
from endpoint import Reply, endpoint, part, says, settings
from tiny import make_run

from rlvr.errors import RunError
from rlvr.runs.rollouts import write_rollouts
from rlvr.stages.preferred import WINS, greedy_answers, preferred_rate
from rlvr.types import Completion, Group, Task, Verdict, read_only
from rlvr.verifiers.judge import limits


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch):
    monkeypatch.setattr(limits, "FIRST_BACKOFF_SECONDS", 0.01)


def evaluation(folder, texts, *, reference=None):
    groups = []
    for number, text in enumerate(texts):
        rubric = {"rubric": "The friendlier one."} if reference is None else reference
        task = Task(f"t{number}", ({"role": "user", "content": "Say hello."},), rubric, "judge", "rows", "talk")
        tokens = read_only([5, 2], "int64"), read_only([-1, -1], "float32"), read_only([1, 1], "bool")
        one = Completion(*tokens, text, "stop", 0)
        groups.append(Group(task, number, read_only([1], "int64"), (one,), (Verdict(1.0, "ok"),), (1.0,)))
    (folder / "rollouts").mkdir(parents=True)
    write_rollouts(folder / "rollouts" / "greedy-000000.parquet", groups, step=0, split="greedy")
    return folder


def kinder(body):
    """Prefers the answer that says please, whatever its place."""
    a, b = part(body, "ANSWER A"), part(body, "ANSWER B")
    kind = "please" in a, "please" in b
    return says({(True, False): "A", (False, True): "B"}.get(kind, "tie"))(body)


def test_the_win_rate_is_that_of_the_answers_asked_in_both_orders_once(tmp_path):
    # 9 of 12 are kinder after, 3 before; every second one is longer on the side after, so both kinds are there
    after = [f"hello {n:02} {'please' if n < 9 else 'there!'}{'!!' * (n % 2)}" for n in range(12)]
    before = [f"hello {n:02} {'there!' if n < 9 else 'please'}{'!!' * ((n + 1) % 2)}" for n in range(12)]
    run = make_run(tmp_path / "run")
    places = evaluation(tmp_path / "before", before), evaluation(tmp_path / "after", after)
    with endpoint(kinder) as seen:
        found = preferred_rate(settings(seen.url, canary_rate=0.0), run, *places)
        asked = len(seen.requests)
        assert preferred_rate(settings(seen.url, canary_rate=0.0), run, *places) == found
        assert (asked, len(seen.requests)) == (24, 24)
    assert found is not None
    # the longer ones, n odd: 4 of 6; the others 5 of 6
    assert found.mean == pytest.approx(0.75)
    assert found.low < 0.75 < found.high
    assert sum(json.loads((run.path / WINS).read_text())["wins"].values()) == 9


def test_a_judge_that_sees_places_and_not_answers_gives_ties(tmp_path):
    texts = [f"hello {n}{'!' * n}" for n in range(12)]
    places = (
        evaluation(tmp_path / "before", texts),
        evaluation(tmp_path / "after", [f"{text}." for text in texts[::-1]]),
    )
    with endpoint(says("A")) as seen:
        found = preferred_rate(settings(seen.url, canary_rate=0.0), make_run(tmp_path / "run"), *places)
    assert found is not None
    assert found.mean == pytest.approx(0.5)


def test_without_rubrics_or_with_few_tasks_nothing_is_asked(tmp_path):
    few = evaluation(tmp_path / "few", ["hello"] * 9)
    sums = evaluation(tmp_path / "sums", ["4"] * 20, reference={"answer": "4"})
    assert len(greedy_answers(few)) == 9
    assert greedy_answers(sums) == {}
    assert greedy_answers(tmp_path / "nowhere") == {}
    with endpoint(kinder) as seen:
        for place in (few, sums):
            assert preferred_rate(settings(seen.url), make_run(tmp_path / f"run-{place.name}"), place, place) is None
        assert seen.requests == []


def test_an_endpoint_that_does_not_answer_is_no_verdict(tmp_path):
    places = evaluation(tmp_path / "before", ["hello one"] * 12), evaluation(tmp_path / "after", ["hello two"] * 12)
    run = make_run(tmp_path / "run")
    with endpoint(lambda body: Reply(status=400)) as seen, pytest.raises(RunError, match="left 100% of 12 comparisons"):
        preferred_rate(settings(seen.url, canary_rate=0.0), run, *places)
    assert not (run.path / WINS).exists()
