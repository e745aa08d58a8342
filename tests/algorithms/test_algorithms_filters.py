"""Filters: decided on outcomes, whole groups only, every group counted once."""

from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.filters import GroupCounts, count, informative
from rlvr.types import Completion, Group, Task, Verdict, read_only


def group_of(outcomes, *, rewards=None, threshold=1.0, draw_index=0):
    completion = Completion(
        token_ids=read_only([1], "int64"),
        logprobs=read_only([-1.0], "float32"),
        trainable=read_only([True], "bool"),
        text="",
        finish="stop",
        policy_version=0,
    )
    verdicts = tuple(Verdict(outcome=o, status="ok" if o is not None else "host_error") for o in outcomes)
    return Group(
        task=Task("t", (), None, "exact", "s", "d", threshold),
        draw_index=draw_index,
        prompt_ids=read_only([0], "int64"),
        completions=(completion,) * len(verdicts),
        verdicts=verdicts,
        rewards=tuple(rewards if rewards is not None else [float("nan") if o is None else o for o in outcomes]),
    )


def test_a_group_is_informative_when_some_are_right_and_some_are_not():
    assert informative(group_of([1, 0, 0, 0]))
    assert not informative(group_of([1, 1, 1]))
    assert not informative(group_of([0, 0, 0]))


def test_shaped_rewards_do_not_let_a_group_of_wrong_answers_through():
    assert not informative(group_of([0, 0, 0], rewards=[0.0, -0.5, 0.1]))
    assert informative(group_of([1, 0], rewards=[0.3, 0.3]))


def test_partial_credit_below_the_threshold_is_not_solved():
    assert not informative(group_of([0.5, 0.2]))
    assert informative(group_of([0.5, 0.2], threshold=0.5))


def test_unscored_completions_are_neither_right_nor_wrong():
    assert not informative(group_of([1, 1, None]))
    assert not informative(group_of([0, None, None]))
    assert informative(group_of([1, 0, None]))


def test_counts_say_why_groups_carry_no_signal():
    groups = [group_of(o) for o in ([1, 0], [1, 1], [1, None], [0, 0], [0, None], [0, 0], [None, None])]
    assert count(groups) == GroupCounts(groups=7, informative=1, all_right=2, all_wrong=3, unscored=1)
    assert count([]) == GroupCounts(groups=0, informative=0, all_right=0, all_wrong=0, unscored=0)


outcome_lists = st.lists(
    st.lists(st.sampled_from([None, 0.0, 0.5, 1.0]), min_size=1, max_size=5), min_size=0, max_size=8
)


@given(outcome_lists)
def test_every_group_is_of_exactly_one_kind(outcomes):
    counts = count([group_of(o) for o in outcomes])
    assert counts.informative + counts.all_right + counts.all_wrong + counts.unscored == counts.groups == len(outcomes)
