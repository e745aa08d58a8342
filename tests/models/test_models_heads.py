"""A network with one number per token: made from a language model, saved as Hugging Face does, loaded or refused."""

import json
import math
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import CPU, END, SHAPES, VOCABULARY, make_tokenizer, write_base
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from rlvr.errors import ModelError
from rlvr.models.checkpoint import save_checkpoint
from rlvr.models.heads import create_value_model, load_value_model, token_values
from rlvr.models.optim import Optimizer
from rlvr.models.policy import load_policy


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base")


def make(base, *, head="drawn", seed=3):
    return create_value_model(base, head=head, seed=seed, device=CPU)


def ids(*shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).integers(5, VOCABULARY, shape))


def everywhere(model, token_ids):
    positions = torch.arange(token_ids.shape[1]).expand(token_ids.shape)
    return token_values(model, token_ids, positions, torch.ones_like(token_ids, dtype=torch.bool))


def test_the_number_of_a_position_is_the_head_on_the_hidden_state_after_its_token(base):
    model, tokens = make(base).double(), ids(2, 7)
    found = everywhere(model, tokens)
    assert found.dtype == torch.float64
    hidden = load_policy(base, device=CPU).model.double().model(tokens, use_cache=False).last_hidden_state
    weight = model.score.weight[0].tolist()
    for row in range(2):
        for t in range(7):
            expected = sum(w * h for w, h in zip(weight, hidden[row, t].tolist(), strict=True))
            assert found[row, t].item() == pytest.approx(expected, abs=1e-12)
    # The number of position 3 has read token 3 and no later one.
    changed = tokens.clone()
    changed[:, 4:] = ids(2, 3, seed=2)
    assert torch.equal(everywhere(model, changed)[:, :4].round(decimals=12), found[:, :4].round(decimals=12))
    changed[:, 3] = 5 + (changed[:, 3] - 4) % (VOCABULARY - 5)
    assert (everywhere(model, changed)[:, 3] - found[:, 3]).abs().min() > 1e-3


def test_only_wanted_positions_have_a_number_and_a_gradient(base):
    model, tokens = make(base), ids(1, 6)
    wanted = torch.tensor([[False, False, True, False, False, True]])
    found = token_values(model, tokens, torch.arange(6)[None], wanted)
    assert found.dtype == torch.float32
    assert found[0, [0, 1, 3, 4]].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert found[0, [2, 5]].tolist() == pytest.approx(everywhere(model, tokens)[0, [2, 5]].tolist(), abs=1e-6)
    found.sum().backward()
    hidden = model.base_model(tokens, use_cache=False).last_hidden_state.detach()
    expected = (hidden[0, 2] + hidden[0, 5]).tolist()
    assert model.score.weight.grad[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_critic_reads_the_state_before_a_token_at_the_place_before_it(base):
    model, tokens = make(base).double(), ids(1, 8)
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2]])
    trainable = torch.tensor([[False, False, True, True, True, False, True, True]])
    before = token_values(model, tokens, positions, trainable.roll(-1, dims=1)).roll(1, dims=1)
    assert before[0, [0, 1, 5]].tolist() == [0.0, 0.0, 0.0]
    first, second = everywhere(model, tokens[:, :5]), everywhere(model, tokens[:, 5:])
    expected = [*first[0, 1:4].tolist(), *second[0, 0:2].tolist()]
    assert before[trainable].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_padded_and_packed_rows_give_the_numbers_of_each_sequence_alone(shape, tmp_path):
    model = make(write_base(tmp_path / shape, shape=shape, vocab_size=VOCABULARY + 1)).double()
    parts = [ids(1, n, seed=n) for n in (5, 8, 3)]
    alone = [everywhere(model, part)[0] for part in parts]
    padded = torch.zeros((3, 8), dtype=torch.int64)
    for line, part in zip(padded, parts, strict=True):
        line[: part.shape[1]] = part[0]
    together = everywhere(model, padded)
    positions = torch.cat([torch.arange(part.shape[1]) for part in parts])[None]
    packed = torch.cat(parts, dim=1)
    line = token_values(model, packed, positions, torch.ones_like(packed, dtype=torch.bool))[0]
    assert max(value.abs().max() for value in alone) > 0.1
    # Gemma 2 takes the softmax of its attention in float32, whatever the model is in.
    most = 1e-6 if shape == "gemma2" else 1e-12
    for row, (one, piece) in enumerate(zip(alone, line.split([5, 8, 3]), strict=True)):
        assert (together[row, : len(one)] - one).abs().max() < most
        assert (piece - one).abs().max() < most


def test_under_autocast_the_head_is_not_rounded(base):
    model, tokens = make(base), ids(4, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = everywhere(model, tokens)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())
    assert (found - everywhere(model, tokens)).abs().max() < 0.2


def test_the_head_is_a_keyed_draw_of_variance_one_over_h_plus_one_or_zero(base, tmp_path):
    first, again, other = make(base), make(base), make(base, seed=4)
    assert torch.equal(first.score.weight, again.score.weight)
    assert (first.score.weight - other.score.weight).abs().min() > 1e-3
    assert first.score.weight.shape == (1, 16)
    assert make(base, head="zero").score.weight.tolist() == [[0.0] * 16]
    assert everywhere(make(base, head="zero"), ids(2, 5)).abs().max() == 0.0
    wide = make(write_base(tmp_path / "wide", hidden_size=1024, num_hidden_layers=1)).score.weight.detach()
    assert float(wide.var()) * 1025 == pytest.approx(1.0, abs=0.1)
    assert float(wide.abs().max()) <= math.sqrt(3 / 1025)


def test_making_a_head_draws_nothing_from_the_global_generator(base):
    before = torch.random.get_rng_state()
    make(base)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_saved_loads_bit_for_bit_here_and_in_transformers(tied, tmp_path):
    model = make(write_base(tmp_path / "base", tie_word_embeddings=tied))
    folder = save_checkpoint(tmp_path / "out", 3, model=model, tokenizer=make_tokenizer(), trainer_state={"step": 3})
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert len(config.get("id2label", {"0": ""})) == 1
    assert sorted(load_file(folder / "model.safetensors"))[-1] == "score.weight"
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    loaded = load_value_model(folder, tokenizer=make_tokenizer(), device=CPU)
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    theirs = AutoModelForSequenceClassification.from_pretrained(folder)
    assert theirs.config.num_labels == 1
    tokens = ids(3, 6)
    tokens[:, -1] = END
    # transformers reads its one number at the last token that is no padding
    assert theirs(tokens).logits[:, 0].tolist() == pytest.approx(everywhere(model, tokens)[:, -1].tolist(), abs=1e-6)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == make_tokenizer().get_vocab()


@pytest.fixture(scope="module")
def saved(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "rm"
    make(base).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def two_labels(folder):
    edit(folder / "config.json", id2label={"0": "bad", "1": "good"}, label2id={"bad": 0, "good": 1})


def head_of_two(folder):
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.cat([weights["score.weight"]] * 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def no_head(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def more_tokens(folder):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["more1", "more2"])
    tokenizer.save_pretrained(folder)


def swapped_tokens(folder):
    file = folder / "tokenizer.json"
    text = file.read_text().replace('"w7"', '"w_"').replace('"w8"', '"w7"').replace('"w_"', '"w8"')
    file.write_text(text)


def other_end(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = "<|user|>"
    tokenizer.save_pretrained(folder)


def truncated(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


BROKEN = {
    "two labels": (two_labels, "gives 2 numbers per token, one was expected"),
    "a head of two rows": (head_of_two, "cannot be loaded as a network with one number per token"),
    "a head that is missing": (no_head, "holds no weights for 1 tensors of LlamaForSequenceClassification"),
    "a tokenizer with more tokens": (more_tokens, "the policy's tokenizer has 32 tokens, .* 34; 2 differ.*'more1'"),
    "a tokenizer with other ids": (swapped_tokens, "2 differ, first: 'w7' is 7 here and 8 there"),
    "a tokenizer that ends elsewhere": (other_end, "the policy ends a text with token 2, .* with 3"),
    "truncated weights": (truncated, "cannot be loaded as a network with one number per token"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "exists but holds no config.json"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_directory_that_cannot_score_the_policys_tokens_is_one_clear_error(what, saved, tmp_path):
    harm, message = BROKEN[what]
    folder = copytree(saved, tmp_path / "rm")
    harm(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_value_model(folder, tokenizer=make_tokenizer(), device=CPU)
    assert caught.value.hint


def test_a_language_model_and_a_missing_directory_are_no_reward_model(base, tmp_path):
    with pytest.raises(ModelError, match="is LlamaForCausalLM, which gives no number per token") as caught:
        load_value_model(base, tokenizer=make_tokenizer(), device=CPU)
    assert 'kind = "reward_model"' in caught.value.hint
    with pytest.raises(ModelError, match=r"does not exist; a network with one number per token was expected"):
        load_value_model(tmp_path / "nowhere", tokenizer=make_tokenizer(), device=CPU)


def test_an_encoder_with_a_head_of_another_name_is_refused(tmp_path):
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=VOCABULARY, num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    make_tokenizer().save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match="no linear map to one number called score"):
        load_value_model(tmp_path / "bert", tokenizer=make_tokenizer(), device=CPU)


@pytest.mark.parametrize(("tied", "message"), [(True, "which writes no text"), (False, "holds no weights for 1 ten")])
def test_a_reward_model_is_no_policy(tied, message, tmp_path):
    make(write_base(tmp_path / "base", tie_word_embeddings=tied)).save_pretrained(tmp_path / "rm")
    make_tokenizer().save_pretrained(tmp_path / "rm")
    with pytest.raises(ModelError, match=message):
        load_policy(tmp_path / "rm", device=CPU)


def test_muon_leaves_the_head_to_adamw(base):
    model = make(base)
    values = {"learning_rate": 0.1, "adamw_rate": 0.01, "weight_decay": 0.0, "start_pull": 0.0}
    values |= {"betas": (0.9, 0.95), "epsilon": 1e-8}
    shape = {"schedule": "constant", "warmup_share": 0.0, "decay_share": 1.0, "final_share": 0.0}
    optimizer = Optimizer(model, name="muon", frozen=(), clip_norm=1.0, updates=4, **values, **shape)
    before = model.score.weight.detach().clone()
    everywhere(model, ids(2, 5)).sum().backward()
    optimizer.step()
    # AdamW's first step moves every number by its learning rate: 0.1 · 0.01
    assert (model.score.weight - before).abs().flatten().tolist() == pytest.approx([0.001] * 16, rel=1e-3)
