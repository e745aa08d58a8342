"""A reward model as a scorer: its number is the score, the verifier's word the outcome."""

import asyncio
import math

import numpy as np
import pytest
import torch
from tiny import CPU, END, completion, emit, make_tokenizer, task, write_base

from rlvr.data.chat import encode_prompt
from rlvr.errors import VerifierError
from rlvr.models.heads import create_value_model, token_values
from rlvr.training.reward_scores import RewardScores, measure_rewards, score_metrics, scored_row
from rlvr.training.rollout import reward_of
from rlvr.types import Group, Verdict
from rlvr.verifiers.scorer import Scorer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = write_base(tmp_path_factory.mktemp("models") / "base")
    return create_value_model(base, head="drawn", seed=1, device=CPU)


def encode(given):
    return encode_prompt(make_tokenizer(), given.messages)


def scores_of(model, *, verifiers=None, microbatch_tokens=1000):
    verifiers = verifiers or Scorer({"emit": emit})
    return RewardScores(verifiers, model, encode, microbatch_tokens=microbatch_tokens, dtype="float32")


GROUPS = [
    (task(0), [completion([9, 10, END]), completion([11, END]), completion([12, 9, 13], finish="length")]),
    (task(1, reference=20), [completion([20, END]), completion([21, 22, 23, 24, END])]),
]


def score_all(scores, groups=GROUPS):
    async def run():
        found = await asyncio.gather(*(scores.score(task, completions) for task, completions in groups))
        await scores.settle()
        return found

    return asyncio.run(run())


def alone(model, one, completion):
    ids = np.concatenate([encode_prompt(make_tokenizer(), one.messages), completion.token_ids])
    tokens = torch.from_numpy(ids)[None]
    positions = torch.arange(len(ids))[None]
    with torch.no_grad():
        return token_values(model, tokens, positions, torch.ones_like(tokens, dtype=torch.bool))[0, -1].item()


def test_the_score_is_the_number_at_the_last_token_and_the_outcome_the_verifiers_word(model):
    found = score_all(scores_of(model))
    assert [[v.outcome for v in group] for group in found] == [[1.0, 0.0, 1.0], [1.0, 0.0]]
    assert [[v.status for v in group] for group in found] == [["ok"] * 3, ["ok"] * 2]
    for (one, completions), verdicts in zip(GROUPS, found, strict=True):
        expected = [alone(model, one, c) for c in completions]
        assert [v.score for v in verdicts] == pytest.approx(expected, abs=1e-5)
    numbers = [v.score for group in found for v in group]
    assert len({round(number, 3) for number in numbers}) == 5
    assert min(numbers) < 0, "a reward is not bound to [0, 1]"


def test_the_reward_reads_the_score_and_nothing_else_does(model):
    (verdicts, _) = score_all(scores_of(model))
    for one, verdict in zip(GROUPS[0][1], verdicts, strict=True):
        assert reward_of(GROUPS[0][0], one, verdict, ()) == (verdict.score, {})


def test_what_the_verifier_cannot_tell_keeps_its_word_and_has_no_reward(model):
    def unsure(task, completion):
        return Verdict(None, "crash", parts={"seen": 3.0})

    found = score_all(scores_of(model, verifiers=Scorer({"emit": unsure})))[0][0]
    assert (found.outcome, found.status, found.parts) == (None, "crash", {"seen": 3.0})
    assert found.score == pytest.approx(alone(model, *[GROUPS[0][0], GROUPS[0][1][0]]), abs=1e-5)
    assert math.isnan(reward_of(GROUPS[0][0], GROUPS[0][1][0], found, ())[0])


def test_groups_that_are_ready_together_share_a_forward_pass(model, monkeypatch):
    calls = []

    def counting(network, rows, **options):
        calls.append(len(rows))
        return measure_rewards(network, rows, **options)

    monkeypatch.setattr("rlvr.training.reward_scores.measure_rewards", counting)
    scores = scores_of(model)
    together = score_all(scores)
    assert calls == [5]
    one_by_one = [score_all(scores, [group])[0] for group in GROUPS]
    assert calls == [5, 3, 2]
    flat = [[v.score for group in found for v in group] for found in (together, one_by_one)]
    assert flat[0] == pytest.approx(flat[1], abs=1e-5)


def group(*told):
    verdicts = tuple(Verdict(outcome, "ok", score=score) for outcome, score in told)
    made = tuple(completion([9, END]) for _ in told)
    return Group(task(0), 0, encode_prompt(make_tokenizer(), task(0).messages), made, verdicts, (0.0,) * len(told))


def test_scores_are_held_against_outcomes_within_a_task():
    mixed = group((1.0, 3.0), (1.0, -1.0), (0.0, 2.0), (0.0, -1.0), (None, 9.0))
    # right 3, -1 against wrong 2, -1: wins 1, 1, 0, 1/2; the mean of 3 - 1 + 2 - 1 + 9 + 4 over six is 16/6
    found = score_metrics([mixed, group((1.0, 4.0))])
    assert found == {"rollout/score_mean": 16 / 6, "rollout/score_agreement_rate": 2.5 / 4}
    assert score_metrics([group((1.0, 4.0), (1.0, 1.0))]) == {"rollout/score_mean": 2.5}
    assert score_metrics([group((1.0, None), (0.0, None))]) == {}


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("budget", [1, 16, 1000])
def test_rewards_do_not_depend_on_the_split(layout, budget, model):
    rng = np.random.default_rng(0)
    rows = [scored_row(rng.integers(5, 32, n + 3), n - 1) for n in (7, 3, 12, 5, 7)]
    assert [len(row.token_ids) for row in rows] == [7, 3, 12, 5, 7]
    assert [int(row.trainable.sum()) for row in rows] == [1] * 5
    double = model.double()
    found = measure_rewards(double, rows, microbatch_tokens=budget, layout=layout, dtype="float32")
    for row, reward in zip(rows, found, strict=True):
        tokens = torch.from_numpy(np.array(row.token_ids))[None]
        hidden = double.base_model(tokens, use_cache=False).last_hidden_state[0, -1]
        assert reward == pytest.approx(float((double.score.weight[0] * hidden).sum().detach()), abs=1e-10)
    model.float()


def test_measuring_leaves_the_model_in_training_and_without_a_gradient(model):
    model.train()
    measure_rewards(model, [scored_row(np.arange(6, 10), 3)], microbatch_tokens=9, layout="padded", dtype="float32")
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error_and_never_a_reward(bad, model, monkeypatch):
    def broken(network, rows, **options):
        return tuple(bad if len(row.token_ids) == len(ids) and row.token_ids[-2] == 24 else 1.0 for row in rows)

    ids = np.concatenate([encode_prompt(make_tokenizer(), GROUPS[1][0].messages), GROUPS[1][1][1].token_ids])
    monkeypatch.setattr("rlvr.training.reward_scores.measure_rewards", broken)
    with pytest.raises(VerifierError, match=f"the reward model gave {bad} for a completion of task 'task-1'") as caught:
        score_all(scores_of(model))
    assert "lower optimizer.learning_rate" in caught.value.hint


def test_a_reward_model_whose_weights_are_nan_is_an_error(model, tmp_path):
    ruined = create_value_model(write_base(tmp_path / "base"), head="drawn", seed=1, device=CPU)
    with torch.no_grad():
        ruined.score.weight.fill_(math.nan)
    with pytest.raises(VerifierError, match="the reward model gave nan"):
        score_all(scores_of(ruined))


def test_a_failing_forward_pass_reaches_whoever_waits(model, monkeypatch):
    def failing(network, rows, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("rlvr.training.reward_scores.measure_rewards", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        score_all(scores_of(model), GROUPS[:1])


def test_a_sequence_that_the_reward_model_cannot_read_is_an_error(model):
    long = completion([9] * 80)
    with pytest.raises(VerifierError, match="reads 64 tokens at most; task 'task-0' with its answer has 85"):
        score_all(scores_of(model), [(task(0), [long])])


def test_everything_else_is_the_verifiers_business(model):
    class Verifiers(Scorer):
        settled = 0

        async def settle(self):
            self.settled += 1
            await super().settle()

        def totals(self):
            return {"judge/calls": 4.0}

    verifiers = Verifiers({"emit": emit})
    scores = scores_of(model, verifiers=verifiers)
    score_all(scores)
    assert verifiers.settled == 1
    assert scores.totals() == {"judge/calls": 4.0}
    assert scores.check_references([task(0)]) == [None]
