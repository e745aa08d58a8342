"""A reward model learns which of two completions is preferred, and is measured on prompts that it never saw."""

import json
import math

import numpy as np
import pytest
import torch
from test_stages_dpo import tasks
from tiny import CPU, VOCABULARY, gradients, make_parts, make_run, make_tokenizer, words, worst_gap, write_base
from transformers import AutoModelForSequenceClassification

from rlvr.config.supervised import RewardModelConfig
from rlvr.data.chat import encode_completion
from rlvr.errors import DataError, TrainingError
from rlvr.models.heads import create_value_model, load_value_model
from rlvr.runs.sameness import differences
from rlvr.stages.reward_model import (
    accuracy_line,
    accuracy_of,
    held_out,
    read_accuracy,
    reward_loss,
    reward_model,
)
from rlvr.training.batching import make_batches
from rlvr.training.reward_scores import measure_rewards, scored_row
from rlvr.training.update import accumulate
from rlvr.types import Preference

SPLITS = [("padded", 64), ("padded", 999), ("packed", 64), ("packed", 999), ("packed", 30), ("padded", 1)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.5)


def config(**changes):
    values = {
        "kind": "reward_model",
        "data": ["x"],
        "sequences_per_update": 8,
        "max_length": 64,
        "epochs": 4.0,
        "group_size": 4,
        "max_completion_tokens": 32,
        "held_out_share": 0.25,
        "optimizer": {"learning_rate": 1e-2},
    }
    return RewardModelConfig.model_validate({**values, **changes})


def preference(index, *, like=9):
    """A prompt of two words; the better of two random texts holds the word `like` somewhere."""
    rng = np.random.default_rng(index)
    texts = rng.integers(12, VOCABULARY, (2, int(rng.integers(2, 6))))
    better = texts[0].copy()
    better[rng.integers(len(better))] = like
    prompt = ({"role": "user", "content": words(5 + index % 7, 12 + index // 7)},)
    return Preference(f"p{index}", prompt, chosen=words(*better), rejected=words(*texts[1]), domain="tiny")


def pairs(count=64):
    return [preference(index) for index in range(count)]


def scored(lengths=(9, 6, 14, 5, 11, 16)):
    rng = np.random.default_rng(3)
    return [scored_row(rng.integers(5, VOCABULARY, n), n - 1) for n in lengths]


def one_update(model, rows, loss_of, *, layout, budget):
    batches = make_batches(
        rows,
        microbatch_tokens=budget,
        layout=layout,
        device=CPU,
        tokens_in_update=1.0,
        sequences_in_update=len(rows) // 2,
        unit=2,
    )
    model.zero_grad()
    loss, stats = accumulate(batches, loss_of, networks=[model], dtype="float32")
    return len(batches), loss, gradients(model), stats


@pytest.mark.parametrize(("margin", "centring"), [(0.0, 0.0), (0.7, 0.2)])
def test_the_loss_does_not_depend_on_the_split_and_equals_a_loop(margin, centring, base):
    model = create_value_model(base, head="drawn", seed=1, device=CPU).double()
    loss_of = reward_loss(model, config(margin=margin, centring_coefficient=centring))
    rows = scored()
    found = [one_update(model, rows, loss_of, layout=layout, budget=budget) for layout, budget in SPLITS]
    assert len({count for count, _, _, _ in found}) > 2, "the splits must differ for this to test anything"
    for _, loss, grads, stats in found[1:]:
        assert abs(loss - found[0][1]) < 1e-10
        assert worst_gap(found[0][2], grads) < 1e-10
        assert stats == pytest.approx(found[0][3], abs=1e-10)
    model.zero_grad()
    total, right, margins, level = torch.zeros((), dtype=torch.float64), 0, 0.0, 0.0
    for chosen, rejected in zip(rows[0::2], rows[1::2], strict=True):
        rewards = []
        for row in (chosen, rejected):
            hidden = model.base_model(torch.tensor(row.token_ids)[None], use_cache=False).last_hidden_state[0, -1]
            rewards.append(sum(w * h for w, h in zip(model.score.weight[0], hidden, strict=True)))
        difference = rewards[0] - rewards[1]
        total = total + torch.log(1 + torch.exp(margin - difference)) + centring * (rewards[0] + rewards[1]) ** 2
        right, margins = right + (float(difference.detach()) > 0), margins + float(difference.detach())
        level += float((rewards[0] + rewards[1]).detach()) / 2
    (total / 3).backward()
    assert found[0][1] == pytest.approx(float(total.detach()) / 3, abs=1e-9)
    assert worst_gap(found[0][2], gradients(model)) < 1e-9
    expected = {"pairwise_accuracy": right, "reward_margin": margins, "reward_mean": level}
    assert found[0][3] == pytest.approx(expected, abs=1e-9)


def test_a_tiny_reward_model_learns_what_is_preferred_on_prompts_that_it_never_saw(base, tmp_path):
    run = make_run(tmp_path / "run")
    parts = make_parts(base, {"preference": pairs(240)})
    made = reward_model(parts, config(sequences_per_update=16, epochs=6.0), run)
    found = read_accuracy(run)
    assert found["before"].num_pairs == found["after"].num_pairs
    assert 30 <= found["after"].num_pairs <= 90
    assert found["before"].accuracy.low < 0.6
    assert found["after"].accuracy.low > 0.75
    assert found["after"].margin > found["before"].margin + 1.0
    lines = run.child("pairwise").metrics()
    assert [line["step"] for line in lines] == [0, 1]
    assert [line["eval/pairwise_accuracy"] for line in lines] == [found[t].accuracy.mean for t in ("before", "after")]
    assert run.metrics()[-1]["train/pairwise_accuracy"] > 0.9
    assert run.metrics()[-1]["train/loss"] < 0.4 < run.metrics()[0]["train/loss"]
    assert made.domains == (), "no policy was trained on any domain"
    assert AutoModelForSequenceClassification.from_pretrained(made.path).config.num_labels == 1


def test_the_policy_stays_as_it_was(base, tmp_path):
    parts = make_parts(base, {"preference": pairs()})
    before = {name: weight.clone() for name, weight in parts.policy.state_dict().items()}
    reward_model(parts, config(epochs=1.0), make_run(tmp_path / "run"))
    assert all(torch.equal(before[name], weight) for name, weight in parts.policy.state_dict().items())


def test_the_reward_is_read_at_the_stop_token(base, tmp_path):
    parts = make_parts(base, {"preference": pairs()})
    made = reward_model(parts, config(epochs=1.0), make_run(tmp_path / "run"))
    one = preference(0)
    ids, trainable = encode_completion(parts.tokenizer, one.messages, one.chosen)
    end = int(np.flatnonzero(trainable)[-1])
    assert ids[end] == parts.tokenizer.eos_token_id
    model = load_value_model(made.path, tokenizer=parts.tokenizer, device=CPU)
    options = {"microbatch_tokens": 64, "layout": "padded", "dtype": "float32"}
    ours = measure_rewards(model, [scored_row(ids, end)], **options)[0]
    theirs = AutoModelForSequenceClassification.from_pretrained(made.path)(torch.tensor(ids)[None]).logits.item()
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_centring_keeps_the_sum_of_a_pairs_rewards_around_zero(base, tmp_path):
    squares = {}
    for coefficient in (0.0, 1.0):
        parts = make_parts(base, {"preference": pairs()})
        settings = config(centring_coefficient=coefficient, epochs=2.0)
        made = reward_model(parts, settings, make_run(tmp_path / str(coefficient)))
        model = load_value_model(made.path, tokenizer=parts.tokenizer, device=CPU)
        rows = []
        for text in (text for pair in pairs() for text in (pair.chosen, pair.rejected)):
            ids, trainable = encode_completion(parts.tokenizer, pairs()[0].messages, text)
            rows.append(scored_row(ids, int(np.flatnonzero(trainable)[-1])))
        rewards = np.array(measure_rewards(model, rows, microbatch_tokens=999, layout="padded", dtype="float32"))
        squares[coefficient] = float(np.mean((rewards[0::2] + rewards[1::2]) ** 2))
    assert squares[1.0] < 0.5 * squares[0.0]


def test_a_prompt_is_on_one_side_whatever_the_seed_and_stays_out_at_a_larger_share():
    many = [*pairs(200), *(Preference(f"again{i}", preference(i).messages, "a", "b", "tiny") for i in range(200))]
    out = held_out(many, 0.2)
    assert out[:200] == out[200:]
    assert 0.1 < sum(out) / len(out) < 0.3
    more = held_out(many, 0.5)
    assert all(later for early, later in zip(out, more, strict=True) if early)
    assert sum(more) > sum(out)
    assert held_out(many, 0.0) == [False] * 400


def test_accuracy_is_over_prompts_and_equal_rewards_count_half():
    three = [preference(0), preference(0), preference(1)]
    found = accuracy_of(three, [1.0, 0.5, 2.0], [0.0, 0.5, 3.0])
    # prompt 0: right and half: 0.75; prompt 1: 0. Margins 1, 0, -1
    assert (found.num_pairs, found.num_prompts) == (3, 2)
    assert found.accuracy.mean == 0.375
    assert 0 <= found.accuracy.low < 0.375 < found.accuracy.high <= 1
    assert found.margin == 0.0
    line = accuracy_line({"before": found})
    assert line.startswith("pairwise accuracy on 3 held-out pairs of 2 prompts: 37.5% [")
    assert line.endswith("] before")
    with pytest.raises(TrainingError, match="no finite number for the held-out pair 'p1'"):
        accuracy_of(three, [1.0, 0.5, math.nan], [0.0, 0.5, 3.0])


@pytest.mark.parametrize(("share", "count", "message"), [(0.01, 3, "to be held out"), (0.9999, 3, "to be trained on")])
def test_a_share_that_leaves_nothing_on_one_side_is_one_clear_error(share, count, message, base, tmp_path):
    parts = make_parts(base, {"preference": pairs(count)})
    with pytest.raises(DataError, match=message) as caught:
        reward_model(parts, config(held_out_share=share), make_run(tmp_path / "run"))
    assert "of 3 pairs of 3 prompts" in caught.value.message
    assert caught.value.hint


def test_with_share_zero_nothing_is_measured(base, tmp_path):
    run = make_run(tmp_path / "run")
    reward_model(make_parts(base, {"preference": pairs(8)}), config(held_out_share=0.0, epochs=1.0), run)
    assert read_accuracy(run) == {}
    assert not (run.path / "pairwise").exists()


def test_pairs_that_are_too_long_are_left_out_and_counted(base, tmp_path):
    run = make_run(tmp_path / "run")
    long = Preference("long", preference(3).messages, words(*[9] * 40), words(*[20] * 40), "tiny")
    reward_model(make_parts(base, {"preference": [*pairs(), long]}), config(max_length=20, epochs=0.5), run)
    assert [(e["what"], e["number"]) for e in run.events() if e["kind"] == "left_out"] == [("preference pair", 1)]


def test_it_learns_from_the_policys_own_samples_right_against_wrong(base, tmp_path):
    run = make_run(tmp_path / "run")
    reward_model(make_parts(base, {"task": tasks()}), config(pairs="policy", held_out_share=0.0), run)
    stored = json.loads((run.path / "pairs" / "pairs.json").read_text())
    assert stored["tasks"] == 12
    assert run.metrics()[-1]["train/pairwise_accuracy"] == 1.0


def test_the_same_seed_makes_the_same_model_and_a_stage_that_was_killed_ends_as_an_undisturbed_one(base, tmp_path):
    items = {"preference": pairs()}
    settings = config(checkpoint_every=2)
    whole = make_run(tmp_path / "whole")
    reward_model(make_parts(base, items), settings, whole)
    broken = make_run(tmp_path / "broken")

    def dies(step, metrics):
        if step == 7:
            raise KeyboardInterrupt

    broken.listeners.append(dies)
    with pytest.raises(KeyboardInterrupt):
        reward_model(make_parts(base, items), settings, broken)
    broken.listeners.clear()
    assert sorted(read_accuracy(broken)) == ["before"]
    reward_model(make_parts(base, items), settings, broken)
    left = [found for found in differences(whole.path, broken.path) if "set-aside" not in str(found)]
    assert left == []
    assert read_accuracy(broken) == read_accuracy(whole)


def test_a_checkpoint_of_another_vocabulary_is_not_gone_on_with(base, tmp_path):
    from rlvr.errors import ModelError

    run = make_run(tmp_path / "run")
    reward_model(make_parts(base, {"preference": pairs()}), config(epochs=1.0), run)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["more"])
    parts = make_parts(base, {"preference": pairs()}, tokenizer=tokenizer)
    with pytest.raises(ModelError, match="the policy's tokenizer has 33 tokens"):
        reward_model(parts, config(epochs=1.0), run)
