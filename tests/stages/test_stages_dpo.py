"""DPO prefers what it is told to, on given pairs and on pairs that a verifier made."""

import json
import math

import pytest
from tiny import make_parts, make_run, task, words, write_base

from rlvr.config.supervised import DpoConfig
from rlvr.errors import DataError, VerifierError
from rlvr.runs.sameness import differences
from rlvr.stages.dpo import dpo
from rlvr.stages.pairs import policy_pairs
from rlvr.types import Preference, Verdict
from rlvr.verifiers.scorer import Scorer


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.5)


def config(**changes):
    values = {
        "kind": "dpo",
        "data": ["x"],
        "sequences_per_update": 4,
        "max_length": 64,
        "epochs": 4.0,
        "group_size": 4,
        "max_completion_tokens": 32,
        "optimizer": {"learning_rate": 1e-2},
    }
    return DpoConfig.model_validate({**values, **changes})


def preference(index):
    prompt = ({"role": "user", "content": words(5 + index)},)
    return Preference(f"p{index}", prompt, chosen=words(9, 10), rejected=words(20, 21, 22), domain="tiny")


@pytest.mark.parametrize(("loss", "beta"), [("sigmoid", 0.1), ("sigmoid_norm", 1.0)])
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_margin_rises_from_zero_and_the_loss_falls_from_ln_2(loss, beta, layout, base, tmp_path):
    run = make_run(tmp_path / "run")
    parts = make_parts(base, {"preference": [preference(i) for i in range(8)]})
    dpo(parts, config(loss=loss, beta=beta, batching=layout), run)
    first, last = run.metrics()[0], run.metrics()[-1]
    # policy = reference: every log-ratio is 0 and -log σ(0) = ln 2
    assert first["train/loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert first["train/preference_margin"] == pytest.approx(0.0, abs=1e-5)
    assert last["train/preference_margin"] > 0.1
    assert last["train/preference_accuracy"] == 1.0
    assert last["train/loss"] < 0.6


def test_the_reference_stays_where_the_stage_began(base, tmp_path):
    kept = []
    parts = make_parts(base, {"preference": [preference(i) for i in range(4)]})
    make = parts.make_reference

    def remember():
        kept.append(make())
        return kept[-1]

    parts = make_parts(base, {"preference": [preference(i) for i in range(4)]}, make_reference=remember)
    before = parts.policy.lm_head.weight.clone()
    dpo(parts, config(), make_run(tmp_path / "run"))
    assert len(kept) == 1
    assert kept[0].lm_head.weight.equal(before)
    assert not parts.policy.lm_head.weight.equal(before)


def tasks(count=12):
    return [task(i, reference=9 + i % 3) for i in range(count)]


def test_pairs_of_the_policy_are_right_against_wrong_samples_of_one_task(base, tmp_path):
    run = make_run(tmp_path / "run")
    pairs = policy_pairs(make_parts(base, {"task": tasks()}), config(pairs="policy"), run)
    assert 2 <= len(pairs) <= 12
    references = {t.id: f"w{t.reference}" for t in tasks()}
    for pair in pairs:
        assert references[pair.id] in pair.chosen.split()
        assert references[pair.id] not in pair.rejected.split()
        assert list(pair.messages) == [dict(m) for m in next(t for t in tasks() if t.id == pair.id).messages]
        assert max(len(pair.chosen.split()), len(pair.rejected.split())) < 32, "a sample without its end"
    stored = json.loads((run.path / "pairs" / "pairs.json").read_text())
    assert stored["tasks"] == 12
    assert 0 < stored["cut"] < 48
    assert len(list((run.path / "pairs" / "rollouts").glob("*.parquet"))) == 1


def test_a_resumed_stage_uses_the_stored_pairs_and_asks_no_engine(base, tmp_path):
    run = make_run(tmp_path / "run")
    first = policy_pairs(make_parts(base, {"task": tasks()}), config(pairs="policy"), run)

    def no_engine(max_length):
        raise AssertionError

    again = policy_pairs(make_parts(base, {"task": tasks()}, make_engine=no_engine), config(pairs="policy"), run)
    assert [(p.id, p.chosen, p.rejected, p.domain) for p in again] == [
        (p.id, p.chosen, p.rejected, p.domain) for p in first
    ]
    assert [[dict(m) for m in p.messages] for p in again] == [[dict(m) for m in p.messages] for p in first]


def test_the_same_seed_makes_the_same_pairs_and_training(base, tmp_path):
    for name in ("a", "b"):
        dpo(make_parts(base, {"task": tasks()}), config(pairs="policy"), make_run(tmp_path / name))
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_no_task_with_both_kinds_of_answers_is_one_clear_error(base, tmp_path):
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": lambda t, c: Verdict(1.0, "ok")}))
    with pytest.raises(DataError, match="no preference pair: on none of 12 tasks"):
        dpo(parts, config(pairs="policy"), make_run(tmp_path / "run"))


def test_a_broken_verifier_is_named_in_place_of_missing_pairs(base, tmp_path):
    def broken(task, completion):
        raise RuntimeError

    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": broken}))
    with pytest.raises(VerifierError, match="could not tell on 48 of 48"):
        dpo(parts, config(pairs="policy"), make_run(tmp_path / "run"))


def test_training_on_pairs_of_the_policy_raises_the_share_of_right_answers(base, tmp_path):
    from rlvr.config.data import EvaluateConfig
    from rlvr.stages.evaluate import measure

    one = [task(i, reference=9) for i in range(24)]
    parts = make_parts(base, {"task": one, "held-out task": one})
    measured = EvaluateConfig.model_validate({"data": ["x"], "samples": 8, "max_completion_tokens": 6})
    before = measure(parts, measured, make_run(tmp_path / "before")).domains["tiny"].pass_at_1.mean
    dpo(parts, config(pairs="policy", epochs=12.0), make_run(tmp_path / "run"))
    after = measure(parts, measured, make_run(tmp_path / "after")).domains["tiny"].pass_at_1.mean
    assert after > before + 0.15
