"""Rollouts: draw order whatever arrives first, refills up to a cap, verification while generation goes on."""

import asyncio
import math
from collections import deque
from dataclasses import replace
from functools import partial

import pytest
from tiny import completion, task, words

from rlvr.data.stream import TaskStream
from rlvr.engines.base import Finished, Sampling
from rlvr.errors import TrainingError, VerifierError
from rlvr.training.rollout import complete_groups, generate_groups, refuse_unscored, reward_of
from rlvr.types import Verdict, read_only

SAMPLING = Sampling(1.0, 8, (2,), 0, "train")


class Engine:
    """Gives one completion a step, in the order that `arrange` makes of all (request, sample) pairs."""

    def __init__(self, arrange=lambda pairs: pairs, log=None):
        self.arrange, self.log, self.queue = arrange, [] if log is None else log, deque()

    has_work = property(lambda self: bool(self.queue))

    def submit(self, requests):
        self.queue.extend(self.arrange([(r, i) for r in requests for i in range(r.num_samples)]))

    def step(self):
        request, index = self.queue.popleft()
        self.log.append(("generated", request.id, index))
        return [Finished(request.id, index, completion([request.id % 20 + 5, 5 + index, 2]))]


class Scores:
    """Solved where the sample's index is below what `solved` says for the task."""

    def __init__(self, solved=lambda task: 1, log=None, delay=0):
        self.solved, self.log, self.delay = solved, [] if log is None else log, delay

    async def score(self, task, completions):
        self.log.append(("scoring", task.id))
        for _ in range(self.delay):
            await asyncio.sleep(0)
        self.log.append(("scored", task.id))
        return [Verdict(float(i < self.solved(task)), "ok") for i in range(len(completions))]

    async def settle(self):
        self.log.append(("settled", len(self.log)))

    def totals(self):
        return {}

    def check_references(self, tasks):
        return [None] * len(tasks)


def stream(count=8):
    return TaskStream({"tiny": [task(i) for i in range(count)]}, {"tiny": 1.0}, seed=1)


def encode(task):
    return read_only([1, 3, int(task.id.removeprefix("task-")) + 5, 2, 4], "int64")


def generate(engine, scores, *, tasks=None, prompts=4, keep=lambda group: True, limit=1, shaping=()):
    return generate_groups(
        engine,
        tasks or stream(),
        num_prompts=prompts,
        group_size=3,
        sampling=SAMPLING,
        encode=encode,
        scores=scores,
        shaping=shaping,
        keep=keep,
        refill_limit=limit,
    )


ARRIVALS = {
    "in order": lambda pairs: pairs,
    "backwards": lambda pairs: pairs[::-1],
    "last samples first": lambda pairs: sorted(pairs, key=lambda pair: (-pair[1], pair[0].id * 7 % 5)),
}


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_groups_and_samples_are_in_draw_order_whatever_arrives_first(arrival):
    found = generate(Engine(ARRIVALS[arrival]), Scores(delay=3))
    expected = stream().draw(4)
    assert [(g.draw_index, g.task.id) for g in found.groups] == [(d.draw_index, d.task.id) for d in expected]
    for group in found.groups:
        assert [c.text for c in group.completions] == [words(group.draw_index % 20 + 5, 5 + i) for i in range(3)]
        assert [v.outcome for v in group.verdicts] == [1.0, 0.0, 0.0]
        assert group.rewards == (1.0, 0.0, 0.0)
        assert group.prompt_ids.tolist() == encode(group.task).tolist()


def test_verification_begins_while_completions_are_still_generated():
    log = []
    generate(Engine(log=log), Scores(log=log))
    first_scoring = next(i for i, event in enumerate(log) if event[0] == "scoring")
    generated_later = [event for event in log[first_scoring:] if event[0] == "generated"]
    # 12 completions in all; the first group is complete after 3
    assert len(generated_later) == 9
    assert next(event for event in log if event[0] == "scored") in log[: log.index(("generated", 1, 2)) + 1]


def test_refill_draws_again_until_enough_groups_are_kept():
    solvable = {d.task.id for d in stream().draw(8)[1::2]}
    found = generate(
        Engine(), Scores(lambda t: 1 if t.id in solvable else 0), keep=lambda g: g.informative, limit=10, prompts=3
    )
    # draws 0 1 2 keep 1; 2 missing: draws 3 4 keep 3; 1 missing: draw 5 is kept
    assert [g.draw_index for g in found.groups] == [0, 1, 2, 3, 4, 5]
    assert [g.draw_index for g in found.kept] == [1, 3, 5]


def test_the_cap_on_refills_is_soft():
    found = generate(Engine(), Scores(lambda t: 0), keep=lambda g: g.informative, limit=3, prompts=4)
    assert len(found.groups) == 12
    assert found.kept == ()


def test_without_refill_dropped_groups_are_not_replaced():
    solvable = {d.task.id for d in stream().draw(8)[::2]}
    found = generate(Engine(), Scores(lambda t: int(t.id in solvable)), keep=lambda g: g.informative)
    assert [g.draw_index for g in found.groups] == [0, 1, 2, 3]
    assert [g.draw_index for g in found.kept] == [0, 2]


def test_the_stream_remembers_which_tasks_taught_nothing():
    tasks, first = stream(), stream().draw(1)[0].task.id
    found = generate(Engine(), Scores(lambda t: 2 if t.id == first else 3), tasks=tasks)
    silent = {g.task.id: int(g.num_solved == 3) for g in found.groups}
    assert sorted(silent.values()) == [0, 1, 1, 1]
    assert {name: known[0] for name, known in tasks.state()["memory"].items()} == silent
    assert tasks.cursor == 4


def test_no_draw_gives_no_group():
    found = complete_groups(Engine(), [], group_size=2, sampling=SAMPLING, encode=encode, scores=Scores())
    assert found == []


def test_shapings_are_applied_in_order_to_the_outcome():
    def plus_one(task, completion, verdict, reward):
        return reward + 1

    def double(task, completion, verdict, reward):
        return 2 * reward

    found = generate(Engine(), Scores(), shaping=[plus_one, double, partial(plus_one)])
    # (1 + 1)·2 + 1 and (0 + 1)·2 + 1
    assert found.groups[0].rewards == (5.0, 3.0, 3.0)
    # What each did stands in the verdict, whose outcome is as it was.
    first = found.groups[0].verdicts[0]
    assert dict(first.parts) == {"reward/plus_one": 1.0, "reward/double": 2.0, "reward/plus_one-3": 1.0}
    assert [verdict.outcome for verdict in found.groups[0].verdicts] == [1.0, 0.0, 0.0]


def test_a_score_is_the_reward_before_shaping_where_a_verifier_gives_one():
    assert reward_of(task(0), completion([5, 2]), Verdict(1.0, "ok", score=-3.5), []) == (-3.5, {})
    assert reward_of(task(0), completion([5, 2]), Verdict(0.25, "ok"), []) == (0.25, {})


def test_a_completion_without_an_outcome_is_not_shaped_and_has_no_reward():
    def never(*arguments):
        raise AssertionError

    reward, changes = reward_of(task(0), completion([5, 2]), Verdict(None, "crash"), [never])
    assert math.isnan(reward)
    assert changes == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_shaped_reward_that_is_not_finite_stops_the_run(bad):
    with pytest.raises(TrainingError, match="shaped reward of task 'task-"):
        generate(Engine(), Scores(), shaping=[lambda t, c, v, r: bad])


def test_a_verifier_that_raises_out_of_the_scorer_ends_the_rollout():
    class Broken(Scores):
        async def score(self, task, completions):
            raise VerifierError("broken")

    with pytest.raises(VerifierError, match="broken"):
        generate(Engine(), Broken())


def test_a_verifier_that_never_answers_is_named_at_the_deadline(monkeypatch):
    class Silent(Scores):
        async def score(self, task, completions):
            await asyncio.sleep(3600)

    monkeypatch.setattr("rlvr.training.rollout.SCORING_DEADLINE_SECONDS", 0.05)
    with pytest.raises(VerifierError, match="verifier 'emit' gave no verdict"):
        generate(Engine(), Silent())


def unscored(groups, count):
    """The groups with the first `count` completions left without an outcome."""
    found = []
    for group in groups:
        verdicts = list(group.verdicts)
        for i in range(min(count, len(verdicts))):
            verdicts[i] = Verdict(None, "timeout")
            count -= 1
        found.append(replace(group, verdicts=tuple(verdicts)))
    return found


def test_too_large_a_share_without_an_outcome_stops_the_run_and_a_smaller_one_does_not():
    groups = generate(Engine(), Scores()).groups
    # 12 completions: 3 are a quarter
    refuse_unscored(unscored(groups, 3), 0.25)
    refuse_unscored([], 0.0)
    with pytest.raises(VerifierError, match=r"3 of 12 completions \(limit 24%\); first: task 'task-.*'timeout'"):
        refuse_unscored(unscored(groups, 3), 0.24)
