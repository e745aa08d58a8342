"""Scoring groups, by built-in verifiers and by a user's own."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvr.errors import UsageError
from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers import exact, gym
from rlvr.verifiers.scorer import Scorer

NUM_TOKENS = 3


def completion(text: str, num_tokens: int = NUM_TOKENS) -> Completion:
    return Completion(
        read_only([1] * num_tokens, np.int64),
        read_only([0.0] * num_tokens, np.float32),
        read_only([True] * num_tokens, np.bool_),
        text,
        "stop",
        0,
    )


def task(verifier: str, reference: Any = "4") -> Task:
    return Task("t1", ({"role": "user", "content": "?"},), reference, verifier, "test", "test")


def score(scorer: Scorer, scored: Task, *texts: str) -> list[Verdict]:
    return asyncio.run(scorer.score(scored, [completion(text) for text in texts]))


def own(task: Task, completion: Completion) -> Verdict:
    """A user's verifier, found by import path in a test below."""
    return Verdict(float(completion.text == task.reference), "ok")


def test_verdicts_keep_the_order_of_the_completions() -> None:
    found = score(Scorer(), task("math"), r"\boxed{4}", r"\boxed{5}", "none", r"\boxed{\frac{8}{2}}")
    assert [v.outcome for v in found] == [1.0, 0.0, 0.0, 1.0]
    assert [v.status for v in found] == ["ok", "ok", "no_answer", "ok"]
    assert all(v.seconds > 0 for v in found)


def test_a_verifier_is_found_by_its_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_verifiers", sys.modules[__name__])
    assert [v.outcome for v in score(Scorer(), task("my_verifiers:own"), "4", "5")] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("maths", "did you mean 'math'"),
        ("no_such_module:verify", "cannot be imported"),
        ("json:no_such_function", "cannot be imported"),
        ("sys:version", "not a function"),
        (":verify", "there is no verifier"),
    ],
)
def test_a_name_that_cannot_be_resolved_is_a_usage_error(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Scorer().resolve(name)
    assert words in str(caught.value)
    assert caught.value.hint


def test_an_exception_is_outcome_none_and_costs_only_its_completion(caplog: pytest.LogCaptureFixture) -> None:
    def fragile(task: Task, completion: Completion) -> Verdict:
        return Verdict(1.0 / len(completion.text), "ok")

    async def fragile_too(task: Task, completion: Completion) -> Verdict:
        await asyncio.sleep(0)
        return fragile(task, completion)

    for verifier in (fragile, fragile_too):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            found = score(Scorer({"fragile": verifier}), task("fragile"), "a", "", "bb", "")
        assert [v.outcome for v in found] == [1.0, None, 0.5, None]
        assert [v.status for v in found] == ["ok", "crash", "ok", "crash"]
        assert len(caplog.records) == 1  # the first of two
        assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("wrong", [1.0, None, Verdict(1.5, "ok"), Verdict(-0.1, "ok"), Verdict(float("nan"), "ok")])
def test_what_is_no_verdict_never_counts(wrong: Any) -> None:
    (found,) = score(Scorer({"odd": lambda task, completion: wrong}), task("odd"), "x")
    assert (found.outcome, found.status) == (None, "crash")


def test_an_object_with_an_async_call_is_awaited_as_well() -> None:
    class Remote:
        async def __call__(self, task: Task, completion: Completion) -> Verdict:
            return Verdict(1.0, "ok")

    assert score(Scorer({"remote": Remote()}), task("remote"), "x")[0].outcome == 1.0


def test_a_plain_verifier_that_hangs_is_given_up_and_the_next_group_is_scored() -> None:
    release = threading.Event()

    def hangs(task: Task, completion: Completion) -> Verdict:
        if completion.text == "hang":
            release.wait(30)
        return Verdict(1.0, "ok")

    scorer = Scorer({"hangs": hangs}, deadline_seconds=0.2)
    assert [v.outcome for v in score(scorer, task("hangs"), "hang", "x")] == [None, None]
    assert [v.outcome for v in score(scorer, task("hangs"), "x")] == [1.0]
    release.set()


def test_the_clock_of_a_plain_verifier_starts_when_its_turn_has_come() -> None:
    def slow(task: Task, completion: Completion) -> Verdict:
        time.sleep(0.1)
        return Verdict(1.0, "ok")

    scorer = Scorer({"slow": slow}, deadline_seconds=0.4)

    async def eight() -> list[list[Verdict]]:
        # one after the other: the last waits 0.7 s for its turn
        return list(await asyncio.gather(*(scorer.score(task("slow"), [completion("x")]) for _ in range(8))))

    assert [group[0].outcome for group in asyncio.run(eight())] == [1.0] * 8
    scorer.close()


def test_waiting_for_a_worker_is_no_fault_of_the_completion() -> None:
    # Each of these takes a worker one second of CPU time and more, so that most wait longer than the deadline.
    texts = [letter * 60 for letter in "bcd"]
    scorer = Scorer(deadline_seconds=0.2)
    found = score(scorer, task("regex", {"pattern": "([b-d]+)+e"}), *texts)
    assert [(verdict.outcome, verdict.status) for verdict in found] == [(0.0, "timeout")] * 3


async def never(task: Task, completion: Completion) -> Verdict:
    """A user's verifier that hangs."""
    await asyncio.sleep(600)
    return Verdict(1.0, "ok")


def test_an_async_verifier_from_outside_that_hangs_is_given_up() -> None:
    (found,) = score(Scorer(deadline_seconds=0.2), task(f"{__name__}:never"), "x")
    assert (found.outcome, found.status) == (None, "crash")


def test_groups_that_wait_behind_one_that_hangs_are_scored_all_the_same() -> None:
    release = threading.Event()

    def hangs(task: Task, completion: Completion) -> Verdict:
        if completion.text == "hang":
            release.wait(30)
        return Verdict(1.0, "ok")

    scorer = Scorer({"hangs": hangs}, deadline_seconds=0.2)

    async def five() -> list[list[Verdict]]:
        texts = ("x", "hang", "x", "hang", "x")
        return list(await asyncio.gather(*(scorer.score(task("hangs"), [completion(text)]) for text in texts)))

    assert [group[0].outcome for group in asyncio.run(five())] == [1.0, None, 1.0, None, 1.0]
    release.set()
    scorer.close()


def test_plain_verifiers_leave_the_event_loop_free_and_run_one_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []

    def slow(task: Task, completion: Completion) -> Verdict:
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return Verdict(1.0, "ok")

    async def both() -> int:
        scorer = Scorer({"slow": slow})
        scoring = [asyncio.create_task(scorer.score(task("slow"), [completion("x")] * 3)) for _ in range(3)]
        ticks = 0
        while not all(one.done() for one in scoring):
            await asyncio.sleep(0.005)
            ticks += 1
        scorer.close()
        return ticks

    assert asyncio.run(both()) > 5
    assert max(most) == 1


def test_exact_match_ignores_only_white_space() -> None:
    scorer = Scorer()
    assert [v.outcome for v in score(scorer, task("exact", "a  b"), " a\n b ", "a B", "ab")] == [1.0, 0.0, 0.0]
    slotted = task("exact", {"answer": "red", "slot": "tag"})
    assert [v.outcome for v in score(scorer, slotted, "It is <answer> red </answer>", "red")] == [1.0, 0.0]
    assert score(scorer, task("exact", 4), "4")[0].status == "bad_reference"
    assert exact.check_reference({"answer": "x", "slot": "nowhere"})
    assert exact.check_reference(" ")
    assert exact.check_reference("x") is None


def test_references_are_checked_by_the_verifier_of_the_task() -> None:
    tasks = [task("math"), task("math", ""), task("exact", 4), task("exact")]
    found = Scorer().check_references(tasks)
    assert [fault is None for fault in found] == [True, False, False, True]
    with pytest.raises(UsageError, match="no verifier 'maths'"):
        Scorer().check_references([task("exact"), task("maths")])


SUM = {"dataset": "chain_sum", "entry": {"question": "2 + 3 =", "answer": "5", "metadata": {}}}


def test_gym_scorers_count_only_full_marks() -> None:
    pytest.importorskip("reasoning_gym")
    texts = [
        r"\boxed{5}",
        "<answer>5</answer>",
        r"\boxed{6}",
        r"\boxed{it is 5 or so}",
        "5",
        r"\boxed{5} <answer>6</answer>",
    ]
    found = score(Scorer(), task("gym", SUM), *texts)
    assert [v.outcome for v in found] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert [v.status for v in found] == ["ok", "ok", "ok", "ok", "no_answer", "hedged"]
    assert 0 < found[3].parts["score"] < 1  # partial marks of the library: the reference occurs in the answer


def test_gym_answers_that_are_no_number_get_no_marks_where_a_number_is_asked_for() -> None:
    pytest.importorskip("reasoning_gym")
    entry = {"question": "?", "answer": "8.0 + 3.0i", "metadata": {"result": [8.0, 3.0]}}
    texts = ["8.0 + 3.0i", "nan", "nani", "NaN + 3.0i", "inf"]
    asked = task("gym", {"dataset": "complex_arithmetic", "entry": entry})
    verdicts = score(Scorer(), asked, *(f"<answer>{text}</answer>" for text in texts))
    assert [verdict.outcome for verdict in verdicts] == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_gym_references_are_tried_on_their_own_answer_and_on_nonsense() -> None:
    pytest.importorskip("reasoning_gym")
    assert gym.check_reference(SUM) is None
    assert gym.check_reference({"dataset": "chain_sum"})
    assert "not registered" in str(gym.check_reference({**SUM, "dataset": "no_such_dataset"}))
    # Version 0.1.25 takes everything but "True" for False there.
    halting = {"dataset": "game_of_life_halting", "entry": {"question": "?", "answer": "False", "metadata": {}}}
    assert "nonsense" in str(gym.check_reference(halting))


def test_gym_scorers_that_evaluate_the_answer_do_no_harm(tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym")
    mark = tmp_path / "mark"
    entry = {"question": "?", "answer": "1 + 2", "metadata": {"numbers": [1, 2], "target": 3}}
    countdown = {"dataset": "countdown", "entry": entry}
    code = f"open({str(mark)!r}, 'w').close()"
    (found,) = score(Scorer(), task("gym", countdown), f"<answer>{code}</answer>")
    assert (found.outcome, found.status) == (0.0, "wrong_format")
    payload = {**countdown, "answer": code}
    reply = gym.shared().submit("rlvr.verifiers.gym_worker:score", payload).result(timeout=60)
    assert reply.kind == "value"
    assert reply.value < 1.0
    assert not mark.exists()


def test_the_verifiers_load_no_torch_and_no_computer_algebra() -> None:
    program = (
        "import rlvr.verifiers.scorer, sys; print([m for m in ('torch', 'sympy', 'reasoning_gym') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
