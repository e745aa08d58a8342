"""Groups become samples and rewards advantages, by hand."""

import math

import pytest
from tiny import completion, task

from rlvr.algorithms.presets import resolve
from rlvr.training import samples as module
from rlvr.training.samples import Measured, to_samples
from rlvr.types import Group, Verdict, read_only

NOTHING = Measured({})


def with_advantages(samples, row, kept=range(100), measured=NOTHING, kl_coefficient=0.0):
    return module.with_advantages(samples, row, dict.fromkeys(kept, 1.0), measured, kl_coefficient=kl_coefficient)


def group(rewards, *, draw_index=0, finishes=None, prompt=(1, 3, 9)):
    finishes = finishes or ["stop"] * len(rewards)
    completions = tuple(completion([5 + i, 6, 2], logprobs=[-0.5, -0.25, -i], finish=f) for i, f in enumerate(finishes))
    outcomes = [None if math.isnan(r) else float(r > 0) for r in rewards]
    verdicts = tuple(Verdict(o, "timeout" if o is None else "ok") for o in outcomes)
    return Group(task(draw_index), draw_index, read_only(prompt, "int64"), completions, verdicts, tuple(rewards))


def test_a_sample_is_prompt_and_completion_with_only_the_completion_trained():
    sample = to_samples([group([1.0, 0.0], draw_index=8)], drop_truncated=False)[1]
    assert sample.token_ids.tolist() == [1, 3, 9, 6, 6, 2]
    assert sample.trainable.tolist() == [False, False, False, True, True, True]
    assert sample.logprobs.tolist() == [0, 0, 0, -0.5, -0.25, -1]
    assert sample.advantages.tolist() == [0] * 6
    assert (sample.group_id, sample.reward) == (8, 0.0)


def test_centred_advantages_by_hand():
    samples = with_advantages(to_samples([group([1.0, 0.0, 0.0, 1.0])], drop_truncated=False), resolve("dr_grpo"))
    # mean 1/2
    assert [s.advantages[-1] for s in samples] == [0.5, -0.5, -0.5, 0.5]
    assert all(s.advantages[:3].tolist() == [0, 0, 0] for s in samples)


def test_group_std_advantages_by_hand_and_groups_do_not_mix():
    groups = [group([1.0, 0.0, 0.0, 0.0], draw_index=4), group([5.0, 5.0, 5.0, 5.0], draw_index=2)]
    samples = with_advantages(to_samples(groups, drop_truncated=False), resolve("grpo"))
    # mean 1/4, unbiased variance (9/16 + 3/16) / 3 = 1/4, std 1/2
    assert [s.advantages[-1] for s in samples[:4]] == pytest.approx([1.5, -0.5, -0.5, -0.5], rel=1e-3)
    assert [s.advantages[-1] for s in samples[4:]] == [0.0] * 4
    assert [s.group_id for s in samples] == [4] * 4 + [2] * 4


def test_a_completion_that_could_not_be_scored_leaves_the_baseline_and_every_denominator():
    samples = to_samples([group([1.0, math.nan, 0.0, 0.0])], drop_truncated=False)
    assert samples[1].trainable.tolist() == [False] * 6
    assert math.isnan(samples[1].reward)
    advantages = with_advantages(samples, resolve("dr_grpo"))
    # the mean of 1, 0, 0 is 1/3
    assert [s.advantages[-1] for s in advantages] == pytest.approx([2 / 3, 0.0, -1 / 3, -1 / 3])


def test_a_group_without_any_score_has_no_advantage():
    samples = with_advantages(to_samples([group([math.nan] * 3)], drop_truncated=False), resolve("grpo"))
    assert [s.advantages.tolist() for s in samples] == [[0.0] * 6] * 3


def test_dropped_truncated_completions_stay_in_the_baseline_but_are_not_trained():
    groups = [group([1.0, 0.0], finishes=["stop", "length"])]
    kept = with_advantages(to_samples(groups, drop_truncated=False), resolve("dr_grpo"))
    dropped = with_advantages(to_samples(groups, drop_truncated=True), resolve("dr_grpo"))
    assert kept[1].trainable.any()
    assert kept[1].advantages[-1] == -0.5
    assert not dropped[1].trainable.any()
    assert not dropped[1].advantages.any()
    assert dropped[0].advantages[-1] == 0.5


def test_no_samples_have_no_advantages():
    assert with_advantages([], resolve("grpo")) == []


def test_a_group_that_the_filter_refused_has_no_advantage_and_keeps_its_tokens():
    groups = [group([1.0, 0.0], draw_index=4), group([1.0, 0.0], draw_index=6)]
    samples = with_advantages(to_samples(groups, drop_truncated=False), resolve("dr_grpo"), kept=[6])
    assert [s.advantages[-1] for s in samples] == [0.0, 0.0, 0.5, -0.5]
    assert all(s.trainable.sum() == 3 for s in samples)


@pytest.mark.parametrize("name", ["dr_grpo", "grpo"])
def test_a_weight_multiplies_advantages_after_their_normalisation(name):
    groups = [group([1.0, 0.0], draw_index=4), group([1.0, 0.0], draw_index=6)]
    samples = to_samples(groups, drop_truncated=False)
    plain, other = (
        module.with_advantages(samples, resolve(name), weights, NOTHING, kl_coefficient=0.0)
        for weights in ({4: 1, 6: 1}, {4: 1, 6: 0.25})
    )
    assert [s.advantages[-1] for s in other[:2]] == [s.advantages[-1] for s in plain[:2]]
    assert [s.advantages[-1] for s in other[2:]] == pytest.approx([s.advantages[-1] / 4 for s in plain[2:]])


def measured(*, proximal=(), reference=(), values=()):
    """Columns whose prompt holds what must not count."""
    columns = {"proximal_logprobs": proximal, "reference_logprobs": reference, "values": values}
    return Measured(
        {n: tuple(read_only([7, 7, 7, *line], "float32") for line in lines) for n, lines in columns.items() if lines}
    )


def test_a_kl_in_the_reward_is_taken_off_the_reward_of_the_whole_completion_before_it_is_compared():
    samples = to_samples([group([1.0, 0.0])], drop_truncated=False)
    found = measured(proximal=[[-1, -1, -1], [-2, -1, -1]], reference=[[-2, -1, -1.5], [-1, -1, -1]])
    row = resolve("rloo")
    # KL 1 + 0 + .5 and −1; β = .1: rewards .85 and .1, each against the other
    got = with_advantages(samples, row, measured=found, kl_coefficient=0.1)
    assert [s.advantages[-1] for s in got] == pytest.approx([0.75, -0.75])
    assert [s.advantages[:3].tolist() for s in got] == [[0, 0, 0]] * 2


def test_returns_hold_the_kl_still_to_come_and_the_reward_at_the_end():
    samples = to_samples([group([1.0, 0.0])], drop_truncated=False)
    found = measured(proximal=[[-1, -1, -1], [-2, -1, -1]], reference=[[-2, -1, -1.5], [-1, -1, -1]])
    got = with_advantages(samples, resolve("reinforce_pp", whiten=False), measured=found, kl_coefficient=0.1)
    # token rewards −.1, 0, 1 − .05 and .1, 0, 0
    assert got[0].advantages.tolist() == pytest.approx([0, 0, 0, 0.85, 0.95, 0.95])
    assert got[1].advantages.tolist() == pytest.approx([0, 0, 0, 0.1, 0, 0])
    assert got[0].returns.tolist() == got[0].advantages.tolist()


def test_gae_reads_the_values_of_the_trained_tokens_and_gives_the_critic_its_returns():
    samples = to_samples([group([1.0, 0.0])], drop_truncated=False)
    row = resolve("ppo", kl_place="none", whiten=False)
    found = measured(values=[[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]])
    got = with_advantages(samples, row, measured=found)
    # as worked in the notes on GAE: [.45125, .475, .5]; returns A + V
    assert got[0].advantages.tolist() == pytest.approx([0, 0, 0, 0.45125, 0.475, 0.5])
    assert got[0].returns.tolist() == pytest.approx([0, 0, 0, 0.95125, 0.975, 1.0])
    assert got[1].advantages.tolist() == [0] * 6


def test_whitening_runs_over_the_tokens_of_all_groups_that_are_learned_from():
    groups = [group([1.0, 0.0], draw_index=4), group([1.0, 0.0], draw_index=6), group([math.nan, 1.0], draw_index=7)]
    samples = to_samples(groups, drop_truncated=False)
    got = with_advantages(samples, resolve("reinforce_pp_baseline", kl_place="none"), kept=[4, 7])
    # kept tokens: .5, −.5 and, of the group with one score, 0, three times each: mean 0, unbiased variance 1.5 / 8
    unit = 0.5 / math.sqrt(1.5 / 8)
    assert [s.advantages[-1] for s in got] == pytest.approx([unit, -unit, 0, 0, 0, 0])


def test_an_unscored_completion_has_no_advantage_no_return_and_no_part_in_whitening():
    samples = to_samples([group([1.0, math.nan]), group([0.0, 0.0], draw_index=1)], drop_truncated=False)
    row = resolve("ppo", kl_place="none", whiten=True)
    got = with_advantages(samples, row, measured=measured(values=[[0.0] * 3] * 4))
    assert got[1].advantages.tolist() == got[1].returns.tolist() == [0] * 6
    others = [s.advantages[3:].tolist() for s in (got[0], got[2], got[3])]
    assert sum(sum(line) for line in others) == pytest.approx(0, abs=1e-6)
