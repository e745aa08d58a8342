"""A stage tried without being run: what its samples say, and how long a step would take."""

import itertools

import pytest
from tiny import emit, make_parts, make_run, task, write_base

from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import TrainingError
from rlvr.stages import trial
from rlvr.stages.conditions import read_conditions
from rlvr.stages.parts import usable_tasks
from rlvr.stages.rlvr import rlvr
from rlvr.stages.trial import try_stage
from rlvr.types import Verdict
from rlvr.verifiers.scorer import Scorer


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


def config(**changes):
    values = {
        "kind": "rlvr",
        "data": ["x"],
        "algorithm": "grpo",
        "steps": 1,
        "prompts_per_step": 4,
        "group_size": 4,
        "max_completion_tokens": 6,
        "conditions": {"tasks": 5},
        **changes,
    }
    return RlvrConfig.model_validate(values)


def tasks():
    return [task(i) for i in range(12)] + [task(i, 8, domain="other") for i in range(12, 15)]


SHARES = {"tiny": 0.75, "other": 0.25}


def tried(base, settings, verify=emit):
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": verify}))
    ticks = []
    found = try_stage(
        parts,
        settings,
        usable_tasks(parts, tasks(), settings.max_completion_tokens),
        shares=SHARES,
        contamination={},
        tick=lambda: ticks.append(1),
    )
    return found, ticks


def test_a_trial_sees_what_the_stage_itself_would_see(base, tmp_path):
    found, ticks = tried(base, config())
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": tasks()}, scores=Scorer({"emit": emit})), config(), run)
    assert found.conditions == read_conditions(run)
    assert len(ticks) == 5 + 3
    other, tiny = found.conditions
    assert found.signal_rate == pytest.approx(0.75 * tiny.mixed_rate.mean + 0.25 * other.mixed_rate.mean)


def test_a_step_takes_what_its_completions_take(base):
    found, _ = tried(base, config())
    pace = found.pace
    other, tiny = found.conditions
    # 8 tasks of 16 samples; a step has 4 groups of 4
    assert pace.sampled_tokens == round(16 * (5 * tiny.lengths.mean_tokens + 3 * other.lengths.mean_tokens))
    assert (pace.sampled_completions, pace.step_completions) == (8 * 16, 16)
    mean = 0.75 * tiny.lengths.mean_tokens + 0.25 * other.lengths.mean_tokens
    assert pace.step_sampling_seconds == pytest.approx(16 * mean * pace.sampling_seconds / pace.sampled_tokens)
    # every second of the 8 groups is learned from, no more than the 4 of a step
    assert pace.learned_completions == 4 * 4
    assert pace.learning_seconds > 0
    assert pace.step_learning_seconds == pytest.approx(pace.learning_seconds)
    assert pace.longest_step_seconds == pytest.approx(pace.step_seconds * 6 / mean)


def test_with_refill_so_many_prompts_are_drawn_as_give_a_step_its_groups(base, monkeypatch):
    timed = []
    monkeypatch.setattr(trial, "update_seconds", lambda parts, config, groups: timed.append(groups) or 1.0)
    found, _ = tried(base, config(algorithm="dapo"))
    # of 16 completions a share of the groups is kept, the others are drawn again, up to the row's limit
    assert 1 / found.signal_rate < 10
    assert found.pace.step_completions == round(16 / found.signal_rate)
    (groups,) = timed
    assert all(group.informative and len(group.completions) == 4 for group in groups)
    assert found.pace.step_learning_seconds == pytest.approx(16 / (4 * len(groups)))


def test_where_no_group_has_a_signal_learning_takes_no_time_that_could_be_told(base):
    found, _ = tried(base, config(algorithm="dr_grpo"), verify=lambda t, c: Verdict(0.0, "ok"))
    assert (found.signal_rate, found.pace.learning_seconds, found.pace.step_learning_seconds) == (0.0, 0.0, 0.0)
    assert found.conditions[1].histogram == (5, 0, 0, 0, 0, 0)
    found, _ = tried(base, config(algorithm="dapo"), verify=lambda t, c: Verdict(0.0, "ok"))
    assert (found.pace.learned_completions, found.pace.learning_seconds) == (0, 0.0)


def test_a_share_of_groups_with_a_signal_that_could_not_be_told_is_none(base):
    # every second sample of a task has no outcome: 8 of 16, and a group needs 12
    count = itertools.count()
    half = lambda t, c: Verdict(1.0, "ok") if next(count) % 2 else Verdict(None, "timeout")  # noqa: E731
    found, _ = tried(base, config(group_size=12, max_unscored_rate=1.0), verify=half)
    assert found.signal_rate is None
    assert [one.mixed_rate for one in found.conditions] == [None, None]


def test_where_nothing_could_be_scored_nothing_is_said(base):
    with pytest.raises(TrainingError, match="no sample has an outcome"):
        tried(base, config(max_unscored_rate=1.0), verify=lambda t, c: Verdict(None, "timeout"))
