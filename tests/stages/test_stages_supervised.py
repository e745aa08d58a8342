"""Pretraining and SFT: what is learned, what is left out, and that a stage goes on where it stopped."""

import logging

import numpy as np
import pytest
import torch
from tiny import make_parts, make_run, words, write_base

from rlvr.config.supervised import PretrainConfig, SftConfig
from rlvr.errors import DataError
from rlvr.runs.publish import latest_whole
from rlvr.runs.sameness import differences
from rlvr.stages import supervised
from rlvr.stages.pretrain import pretrain
from rlvr.stages.sft import sft
from rlvr.types import Demonstration, Document

OPTIMIZER = {"name": "adamw", "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base")


def sft_config(**changes):
    values = {"kind": "sft", "data": ["x"], "sequences_per_update": 4, "max_length": 64, "optimizer": OPTIMIZER}
    return SftConfig.model_validate({**values, **changes})


def pretrain_config(**changes):
    values = {"kind": "pretrain", "data": ["x"], "sequences_per_update": 4, "max_length": 64, "optimizer": OPTIMIZER}
    return PretrainConfig.model_validate({**values, **changes})


def demonstration(index, question=(5, 6), answer=(9, 10)):
    turns = ({"role": "user", "content": words(*question)}, {"role": "assistant", "content": words(*answer)})
    return Demonstration(f"d{index}", turns, "tiny")


def seen_batches(monkeypatch):
    """The batches that training sees."""
    seen, accumulate = [], supervised.accumulate

    def spy(batches, *arguments, **options):
        seen.extend(batches)
        return accumulate(batches, *arguments, **options)

    monkeypatch.setattr(supervised, "accumulate", spy)
    return seen


def test_sft_learns_the_assistants_tokens_and_the_end_of_its_turn_only(base, tmp_path, monkeypatch):
    seen = seen_batches(monkeypatch)
    parts = make_parts(base, {"demonstration": [demonstration(0, (5, 6, 7), (9, 10))]})
    sft(parts, sft_config(), make_run(tmp_path / "run"))
    # start user w5 w6 w7 end assistant w9 w10 end
    assert seen[0].token_ids.tolist() == [[1, 3, 5, 6, 7, 2, 4, 9, 10, 2]]
    assert seen[0].trainable.tolist() == [[False] * 7 + [True] * 3]
    assert seen[0].tokens_in_update == 3


def test_the_loss_of_sft_is_the_mean_over_the_assistants_tokens(base, tmp_path):
    parts = make_parts(base, {"demonstration": [demonstration(0), demonstration(1, (7,), (11, 12, 13))]})
    ids = [[1, 3, 5, 6, 2, 4, 9, 10, 2], [1, 3, 7, 2, 4, 11, 12, 13, 2]]
    starts = [6, 5]
    terms = []
    with torch.no_grad():
        for tokens, start in zip(ids, starts, strict=True):
            table = torch.log_softmax(parts.policy(input_ids=torch.tensor([tokens])).logits[0], -1)
            terms += [-float(table[t - 1, tokens[t]]) for t in range(start, len(tokens))]
    run = make_run(tmp_path / "run")
    sft(parts, sft_config(), run)
    assert len(terms) == 7
    assert run.metrics()[0]["train/loss"] == pytest.approx(np.mean(terms), rel=1e-5)


def test_what_the_user_says_is_context_and_no_target(base, tmp_path):
    """Making a prompt token likely must not be learned: its own log-prob, given what stands before, is no loss term."""
    losses = []
    for question in ((5, 6), (5, 20)):
        parts = make_parts(base, {"demonstration": [demonstration(0, question)]})
        with torch.no_grad():
            # the last word of the question no longer reaches the answer, so only its label can matter
            parts.policy.model.embed_tokens.weight[20] = parts.policy.model.embed_tokens.weight[6]
        run = make_run(tmp_path / f"run-{question[1]}")
        sft(parts, sft_config(), run)
        losses.append(run.metrics()[0]["train/loss"])
    assert losses[0] == losses[1]


def test_pretraining_learns_every_token_but_the_first(base, tmp_path, monkeypatch):
    seen = seen_batches(monkeypatch)
    parts = make_parts(base, {"document": [Document("a", words(5, 6, 7), "tiny"), Document("b", words(9), "tiny")]})
    pretrain(parts, pretrain_config(batching="packed"), make_run(tmp_path / "run"))
    assert seen[0].token_ids.tolist() == [[5, 6, 7, 2, 9, 2]]
    assert seen[0].trainable.tolist() == [[False, True, True, True, False, True]]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_training_on_one_answer_teaches_it(layout, base, tmp_path):
    parts = make_parts(base, {"demonstration": [demonstration(i, (5 + i,)) for i in range(8)]})
    run = make_run(tmp_path / "run")
    sft(parts, sft_config(epochs=10.0, batching=layout), run)
    losses = [line["train/loss"] for line in run.metrics()]
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 5


def test_padding_and_packing_train_the_same_model(base, tmp_path):
    weights = []
    for layout in ("padded", "packed"):
        items = [demonstration(i, (5 + i,) * (1 + i % 4)) for i in range(8)]
        parts = make_parts(base, {"demonstration": items})
        sft(parts, sft_config(batching=layout, epochs=2.0), make_run(tmp_path / layout))
        weights.append({k: v.clone() for k, v in parts.policy.state_dict().items()})
    assert all(torch.allclose(weights[0][k], weights[1][k], atol=1e-3) for k in weights[0])


def test_items_that_are_too_long_are_left_out_counted_and_the_first_is_named(base, tmp_path, caplog):
    items = [demonstration(0), demonstration(1, (5,) * 40), demonstration(2), demonstration(3, (5,) * 60)]
    run = make_run(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        sft(make_parts(base, {"demonstration": items}), sft_config(max_length=32), run)
    assert "2 of 4 demonstrations left out, longer than 32 tokens" in caplog.text
    assert "first: number 2 with 47 tokens" in caplog.text
    (event,) = [event for event in run.events() if event["kind"] == "left_out"]
    assert (event["number"], event["first"]) == (2, 1)
    assert run.metrics()[0]["train/tokens"] == 18.0


def test_a_sequence_longer_than_the_model_can_read_is_left_out_whatever_max_length_says(base, tmp_path, caplog):
    items = [demonstration(0), demonstration(1, (5,) * 70)]
    with caplog.at_level(logging.WARNING):
        sft(make_parts(base, {"demonstration": items}), sft_config(max_length=2048), make_run(tmp_path / "run"))
    assert "1 of 2 demonstrations left out, longer than 64 tokens" in caplog.text


def test_nothing_left_to_train_on_is_one_clear_error(base, tmp_path):
    parts = make_parts(base, {"demonstration": [demonstration(0, (5,) * 40)]})
    with pytest.raises(DataError, match="no demonstration is left to train on: 1 given, the longest has 47"):
        sft(parts, sft_config(max_length=32), make_run(tmp_path / "run"))


class StopError(Exception):
    """Ends a stage in the middle."""


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_stage_that_stopped_ends_as_if_it_had_not(optimizer, base, tmp_path):
    config = pretrain_config(
        epochs=3.0, checkpoint_every=2, optimizer={"name": optimizer, "learning_rate": 1e-2, "schedule": "cosine"}
    )
    documents = [Document(str(i), words(*[5 + (i * k) % 27 for k in range(1, 4 + i % 5)]), "tiny") for i in range(10)]
    whole = make_run(tmp_path / "whole")
    made = pretrain(make_parts(base, {"document": documents}), config, whole)
    stopped = make_run(tmp_path / "stopped")

    def stop(step, metrics):
        if step == 4:
            raise StopError

    stopped.listeners.append(stop)
    with pytest.raises(StopError):
        pretrain(make_parts(base, {"document": documents}), config, stopped)
    stopped.listeners.clear()
    announced = []
    start, _ = latest_whole(stopped.checkpoints)
    parts = make_parts(
        base, {"document": documents}, start=start, announce=lambda steps, first: announced.append((steps, first))
    )
    again = pretrain(parts, config, stopped)
    assert announced == [(9, 4)]
    assert (again.step, again.path.name) == (made.step, made.path.name)
    assert differences(whole.path, stopped.path) == []


def test_bfloat16_and_gradient_checkpointing_run_and_learn(base, tmp_path):
    losses = {}
    for name in ("plain", "bfloat16", "checkpointing"):
        items = [demonstration(i, (5 + i,)) for i in range(8)]
        parts = make_parts(base, {"demonstration": items}, dtype="bfloat16" if name == "bfloat16" else "float32")
        if name == "checkpointing":
            parts.policy.activation_checkpointing_enable()
        run = make_run(tmp_path / name)
        sft(parts, sft_config(epochs=4.0), run)
        losses[name] = [line["train/loss"] for line in run.metrics()]
        assert {p.dtype for p in parts.policy.parameters()} == {torch.float32}
    assert losses["checkpointing"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["bfloat16"] != losses["plain"]
    assert losses["bfloat16"] == pytest.approx(losses["plain"], rel=0.1)
