"""Every loss of the preference stage learns, and KTO uses all that a verifier could tell."""

import json

import numpy as np
import pytest
from tiny import make_parts, make_run, make_tokenizer, task, words, write_base

from rlvr.config.data import EvaluateConfig
from rlvr.config.preference import LOSS_ROWS
from rlvr.config.supervised import DpoConfig
from rlvr.errors import DataError
from rlvr.runs.sameness import differences
from rlvr.stages import kto as unpaired
from rlvr.stages.dpo import dpo
from rlvr.stages.evaluate import measure
from rlvr.stages.kto import mismatched_rows
from rlvr.stages.pairs import halves, policy_completions
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


def preference(index, *, prompt=None, chosen=(9, 10)):
    asked = ({"role": "user", "content": words(5 + index if prompt is None else prompt)},)
    return Preference(f"p{index}", asked, chosen=words(*chosen), rejected=words(20, 21, 22), domain="tiny")


def never(*arguments):
    raise AssertionError


# ipo and smoothing aim at a gap, here of 1 and 2.2 nats per token: far enough for so few updates
CASES = [
    {"loss": "sigmoid"},
    {"loss": "sigmoid_norm"},
    {"loss": "ipo", "beta": 0.5},
    {"loss": "hinge"},
    {"loss": "simpo"},
    {"loss": "kto", "sequences_per_update": 8},
    {"loss": "sigmoid", "label_smoothing": 0.1},
    {"loss": "sigmoid", "label_smoothing": 0.1, "robust": True},
    {"loss": "sigmoid_norm", "label_smoothing": 0.1, "beta": 1.0},
]


def test_no_loss_is_left_out_here():
    assert {case["loss"] for case in CASES} == set(LOSS_ROWS)


@pytest.mark.parametrize("changes", CASES, ids=lambda changes: " ".join(str(value) for value in changes.values()))
def test_every_loss_falls_while_its_margins_rise_until_all_pairs_are_ranked_right(changes, base, tmp_path):
    run = make_run(tmp_path / "run")
    dpo(make_parts(base, {"preference": [preference(i) for i in range(8)]}), config(**changes), run)
    first, last = run.metrics()[0], run.metrics()[-1]
    assert last["train/preference_accuracy"] == 1.0
    assert last["train/preference_margin"] > first["train/preference_margin"] + 0.1
    assert last["train/loss"] < first["train/loss"] - 0.005


def test_simpo_neither_loads_nor_measures_a_reference(base, tmp_path, monkeypatch):
    monkeypatch.setattr("rlvr.stages.pairs.measure_logprobs", never)
    run = make_run(tmp_path / "run")
    parts = make_parts(base, {"preference": [preference(i) for i in range(8)]}, make_reference=never)
    dpo(parts, config(loss="simpo"), run)
    assert len(run.metrics()) == 8


def test_kto_starts_from_a_baseline_of_zero_and_half_of_each_weight(base, tmp_path):
    run = make_run(tmp_path / "run")
    changes = {"loss": "kto", "desirable_weight": 3.0, "undesirable_weight": 1.0, "sequences_per_update": 16}
    dpo(make_parts(base, {"preference": [preference(i) for i in range(8)]}), config(**changes), run)
    first, last = run.metrics()[0], run.metrics()[-1]
    # policy = reference: z = 0 and 1 − σ(0) = 1/2; (8 · 3 · .5 + 8 · 1 · .5) / 16 = 1
    assert first["train/loss"] == pytest.approx(1.0, abs=1e-5)
    assert first["train/kl_baseline"] == pytest.approx(0.0, abs=1e-4)
    assert last["train/kl_baseline"] >= 0.0
    events = [event for event in run.events() if event["kind"] == "completions"]
    assert [(event["desirable"], event["undesirable"]) for event in events] == [(8, 8)]


def test_a_completion_that_is_too_long_leaves_alone_and_the_others_keep_their_labels(base, tmp_path):
    run = make_run(tmp_path / "run")
    given = [preference(0, chosen=[9] * 61), *(preference(i) for i in range(1, 8))]
    dpo(make_parts(base, {"preference": given}), config(loss="kto", sequences_per_update=15), run)
    events = [event for event in run.events() if event["kind"] == "completions"]
    assert [(event["desirable"], event["undesirable"]) for event in events] == [(7, 8)]
    assert run.metrics()[-1]["train/preference_accuracy"] == 1.0


def test_each_preference_gives_a_desirable_and_an_undesirable_completion():
    found = [(item.id, item.completion, item.desirable) for item in halves([preference(0), preference(1)])]
    assert found == [
        ("p0", "w9 w10", True),
        ("p0", "w20 w21 w22", False),
        ("p1", "w9 w10", True),
        ("p1", "w20 w21 w22", False),
    ]


def test_a_mismatched_row_is_the_own_prompt_with_a_completion_of_another_one():
    given = halves([preference(i, chosen=(9, 10 + i)) for i in range(6)])
    rows = mismatched_rows(make_tokenizer(), given, seed=3, max_length=64)
    again = mismatched_rows(make_tokenizer(), given, seed=3, max_length=64)
    for item, row, same in zip(given, rows, again, strict=True):
        # start user PROMPT end assistant COMPLETION end
        asked, answer = row.token_ids[2], [int(i) for i in row.token_ids[row.trainable]]
        assert words(asked) == item.messages[0]["content"]
        assert answer == [20, 21, 22, 2] or answer[:2] != [9, 10 + given.index(item) // 2]
        assert row.token_ids.tolist() == same.token_ids.tolist()


def test_a_partner_that_does_not_fit_is_passed_over_and_none_at_all_is_one_clear_error():
    given = halves([preference(i, chosen=[9] * 40) for i in range(8)])
    rows = mismatched_rows(make_tokenizer(), given, seed=3, max_length=20)
    # only the rejected ones fit: 3 words and the end of the turn
    assert {int(row.trainable.sum()) for row in rows if row is not None} == {4}
    alike = halves([preference(i, prompt=5) for i in range(4)])
    with pytest.raises(DataError, match="of 8 none fits under another one"):
        mismatched_rows(make_tokenizer(), alike, seed=3, max_length=64)


def tasks(count=12):
    return [task(i, reference=9 + i % 3) for i in range(count)]


def test_kto_learns_from_every_whole_sample_that_was_told_and_a_resumed_stage_from_the_same_ones(base, tmp_path):
    def moody(task, completion):
        if task.id == "task-0":
            return Verdict(None, "timeout")
        return Verdict(float(f"w{task.reference}" in completion.text.split()), "ok")

    run = make_run(tmp_path / "run")
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": moody}))
    found = policy_completions(parts, config(pairs="policy", loss="kto"), run)
    stored = json.loads((run.path / "pairs" / "completions.json").read_text())
    assert stored["tasks"] == 12
    # 12 tasks × 4 samples; 4 of them untold, of which some are cut too
    assert 0 < stored["cut"] < 44
    assert 44 - stored["cut"] <= len(found) <= 48 - stored["cut"]
    assert "task-0" not in {item.id for item in found}
    assert all(len(item.completion.split()) < 32 for item in found), "a sample without its end"
    references = {t.id: f"w{t.reference}" for t in tasks()}
    assert all(item.desirable == (references[item.id] in item.completion.split()) for item in found)
    assert 0 < sum(item.desirable for item in found) < len(found)
    parts = make_parts(base, {"task": tasks()}, make_engine=never)
    assert policy_completions(parts, config(pairs="policy", loss="kto"), run) == found


def test_samples_that_are_all_right_are_one_clear_error_for_kto(base, tmp_path):
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": lambda t, c: Verdict(1.0, "ok")}))
    with pytest.raises(DataError, match=r"two kinds, and (\d+) of \1 are desirable"):
        dpo(parts, config(pairs="policy", loss="kto"), make_run(tmp_path / "run"))


def test_an_update_of_kto_holds_both_kinds_whatever_their_lengths(base, tmp_path, monkeypatch):
    seen, make = [], unpaired.kto_loss

    def spy(model, config, *, desirable, **options):
        loss_for = make(model, config, desirable=desirable, **options)
        return lambda items: seen.append([desirable[i] for i in items]) or loss_for(items)

    monkeypatch.setattr(unpaired, "kto_loss", spy)
    given = [preference(i) for i in range(16)]
    dpo(
        make_parts(base, {"preference": given}),
        config(loss="kto", sequences_per_update=8, epochs=1.0),
        make_run(tmp_path / "run"),
    )
    # chosen ones have 2 words and rejected ones 3; by length two of the four updates would be of one kind each
    assert [len(kinds) for kinds in seen] == [8] * 4
    assert sum(sum(kinds) for kinds in seen) == 16
    assert all(1 <= sum(kinds) <= 7 for kinds in seen)


def test_the_same_seed_makes_the_same_completions_baselines_and_training(base, tmp_path):
    for name in ("a", "b"):
        dpo(make_parts(base, {"task": tasks()}), config(pairs="policy", loss="kto"), make_run(tmp_path / name))
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_kto_on_samples_of_the_policy_raises_the_share_of_right_answers(base, tmp_path):
    one = [task(i, reference=9) for i in range(24)]
    parts = make_parts(base, {"task": one, "held-out task": one})
    measured = EvaluateConfig.model_validate({"data": ["x"], "samples": 8, "max_completion_tokens": 32})
    before = measure(parts, measured, make_run(tmp_path / "before")).domains["tiny"].pass_at_1.mean
    changes = {"pairs": "policy", "loss": "kto", "epochs": 12.0, "sequences_per_update": 16}
    dpo(parts, config(**changes), make_run(tmp_path / "run"))
    after = measure(parts, measured, make_run(tmp_path / "after")).domains["tiny"].pass_at_1.mean
    assert np.isfinite(after)
    assert after > before + 0.1, (before, after)
