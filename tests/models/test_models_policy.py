"""Models come from a directory or from scratch, whole or not at all, and hold still."""

import json
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import CPU, VOCABULARY, make_run, make_tokenizer, write_base
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from rlvr.errors import ModelError
from rlvr.models.policy import check_attention, context_length, create_model, load_policy, load_reference, pick_device
from rlvr.runs.publish import publish

SETTINGS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = {**SETTINGS, "num_key_value_heads": 2, "max_position_embeddings": 48}


def make(architecture="llama", settings=LLAMA, seed=3):
    return create_model(architecture, settings, tokenizer=make_tokenizer(), seed=seed, device=CPU)


SETTINGS_OF = {"gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4}}


@pytest.fixture
def base(tmp_path):
    return write_base(tmp_path / "base")


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def garble(folder):
    (folder / "model.safetensors").write_bytes(b"not a safetensors file at all" * 100)


def drop_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def grow_tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["more1", "more2"])
    tokenizer.save_pretrained(folder)


BROKEN = {
    "truncated weights": (truncate, "cannot be loaded"),
    "weights that are none": (garble, "cannot be loaded"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
    "a tensor missing": (drop_a_tensor, r"no weights for 1 tensors .* first: model.layers.1.self_attn.q_proj.weight"),
    "weights of another size": (lambda f: edit(f / "config.json", intermediate_size=24), "cannot be loaded"),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "a config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
    "a config without a type": (lambda f: (f / "config.json").write_text("{}"), "cannot be loaded"),
    "a config with a wrong value": (lambda f: edit(f / "config.json", hidden_size="wide"), "cannot be loaded"),
    "an encoder-decoder": (lambda f: edit(f / "config.json", model_type="t5"), "cannot be loaded"),
    "a broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "cannot be loaded"),
    "a tokenizer too large": (grow_tokenizer, f"has {VOCABULARY + 2} tokens, the model only {VOCABULARY} embeddings"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_directory_that_is_no_whole_model_is_refused_with_one_clear_error(case, base):
    damage, message = BROKEN[case]
    damage(base)
    with pytest.raises(ModelError, match=message) as caught:
        load_policy(base, device=CPU)
    assert str(base) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_missing_directory_is_refused_without_asking_the_hub(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_policy(tmp_path / "nothing", device=CPU)
    with pytest.raises(ModelError, match="does not exist"):
        load_policy("./nothing", device=CPU)


def test_a_loaded_model_is_the_saved_one_in_float32(base):
    policy = load_policy(base, device=CPU)
    saved = load_file(base / "model.safetensors")
    for name, weight in policy.model.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, saved[name]), name
    assert policy.tokenizer("w9 w10")["input_ids"] == [9, 10]
    assert context_length(policy.model) == 64


def test_half_precision_weights_are_loaded_in_float32(tmp_path):
    base = write_base(tmp_path / "half", dtype=torch.bfloat16)
    weight = load_policy(base, device=CPU).model.lm_head.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, weight.bfloat16().float())


def test_a_reference_has_no_gradient_and_is_in_evaluation_mode(base):
    reference = load_reference(base, device=CPU)
    assert not reference.training
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_the_seed_alone_decides_a_new_model():
    torch.manual_seed(1)
    first = make().state_dict()
    torch.manual_seed(2)
    second, other = make().state_dict(), make(seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_making_a_model_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    make()
    assert torch.equal(torch.rand(4), expected)


def test_vocabulary_and_special_tokens_of_a_new_model_come_from_the_tokenizer():
    model = make()
    assert model.get_input_embeddings().weight.shape == (VOCABULARY, 16)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (1, 2, 0)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma", "gemma2", "gpt2"])
def test_every_promised_architecture_can_be_made_saved_and_loaded(architecture, tmp_path):
    model = make(
        architecture,
        {**LLAMA, "head_dim": 4} if architecture.startswith("gemma") else SETTINGS_OF.get(architecture, LLAMA),
    )
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    loaded = load_policy(tmp_path, device=CPU).model
    ids = torch.arange(5, 15)[None]
    assert torch.equal(loaded.eval()(input_ids=ids).logits, model.eval()(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("architecture", "settings", "message"),
    [
        ("lama", {}, "'lama'"),
        ("t5", {}, "'t5'"),
        ("llama", {**LLAMA, "hiden_size": 8}, "hiden_size is no setting"),
        ("llama", {**LLAMA, "hidden_size": "wide"}, "hidden_size"),
        ("llama", {**LLAMA, "hidden_size": -16}, "-16"),
        ("llama", {**LLAMA, "num_hidden_layers": 2.5}, "num_hidden_layers"),
        ("llama", {**LLAMA, "num_attention_heads": 0}, "'num_attention_heads': 0"),
        ("llama", {**LLAMA, "num_attention_heads": 3}, "multiple"),
    ],
)
def test_settings_that_make_no_model_are_refused(architecture, settings, message):
    with pytest.raises(ModelError, match=message):
        make(architecture, settings)


DROPOUTS = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4, "attn_pdrop": 0.5, "resid_pdrop": 0.5, "embd_pdrop": 0.5},
    "opt": {**SETTINGS, "ffn_dim": 32, "word_embed_proj_dim": 16, "dropout": 0.5, "layerdrop": 0.5},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 4, "hidden_dropout": 0.5, "attention_dropout": 0.5},
    "llama": {**LLAMA, "attention_dropout": 0.5},
}
DROPOUTS["opt"].pop("intermediate_size")


@pytest.mark.parametrize("architecture", DROPOUTS)
def test_dropout_is_off_in_training_mode_wherever_the_network_keeps_its_rate(architecture):
    model = make(architecture, DROPOUTS[architecture]).train()
    ids = torch.arange(5, 25)[None]
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_a_model_trains_in_a_directory_that_transformers_itself_can_load(base):
    ours = load_policy(base, device=CPU).model.eval()
    theirs = AutoModelForCausalLM.from_pretrained(base).eval()
    ids = torch.arange(5, 15)[None]
    assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)


def test_a_checkpoint_with_a_flipped_bit_is_refused_and_its_file_named(base, tmp_path):
    checkpoint = publish(tmp_path / "checkpoints", "step-000001", lambda to: copytree(base, to, dirs_exist_ok=True))
    load_policy(checkpoint, device=CPU)
    weights = checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged checkpoint: model\.safetensors does not have the hash"):
        load_policy(checkpoint, device=CPU)
    (checkpoint / "manifest.json").unlink()
    load_policy(checkpoint, device=CPU)


def test_a_run_folder_is_refused_with_the_last_whole_checkpoint_inside(base, tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(ModelError, match="is a run folder") as caught:
        load_policy(run.path, device=CPU)
    assert caught.value.hint == "it holds no whole checkpoint yet"
    for name, step in (("2-sft", "step-000003"), ("10-rlvr", "step-000004"), ("10-rlvr", "step-000008")):
        publish(run.child(name).checkpoints, step, lambda to: copytree(base, to, dirs_exist_ok=True))
    run.child("11-evaluate")
    (run.path / "10-rlvr/checkpoints/step-000008/config.json").write_text("{}")
    with pytest.raises(ModelError, match="is a run folder") as caught:
        load_policy(run.path, device=CPU)
    assert caught.value.hint.endswith("10-rlvr/checkpoints/step-000004")


def test_loading_and_long_texts_print_nothing(base, capfd):
    logging.enable_progress_bar()
    edit(base / "tokenizer_config.json", model_max_length=4)
    tokenizer = load_policy(base, device=CPU).tokenizer
    assert len(tokenizer("w9 w9 w9 w9 w9 w9")["input_ids"]) == 6
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert logging.is_progress_bar_enabled()


@pytest.mark.parametrize("name", ["foo", "cuda:x", "", "mps", "cuda:-1"])
def test_a_device_of_an_unknown_name_is_refused(name):
    with pytest.raises(ModelError, match="expected auto, cpu, cuda or cuda:N"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert pick_device("auto").type == "cpu"
        with pytest.raises(ModelError, match="no CUDA"):
            pick_device("cuda:1")


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma", "gemma2", "gpt2"])
def test_decoders_that_tell_packed_sequences_apart_may_be_packed(architecture):
    settings = {**LLAMA, "head_dim": 4} if architecture.startswith("gemma") else SETTINGS_OF.get(architecture, LLAMA)
    model = make(architecture, settings).train()
    check_attention(model, packed=True)
    assert model.training


@pytest.mark.parametrize("architecture", ["opt", "bloom"])
def test_decoders_whose_packed_sequences_would_see_each_other_are_refused_for_packing_only(architecture):
    model = make(architecture, DROPOUTS[architecture])
    check_attention(model, packed=False)
    with pytest.raises(ModelError, match="packed sequences see each other") as caught:
        check_attention(model, packed=True)
    assert "padded" in caught.value.hint


def test_an_encoder_that_reads_both_ways_is_refused():
    settings = {**SETTINGS, "max_position_embeddings": 48}
    with pytest.raises(ModelError, match=r"BertLMHeadModel.*its tokens see those after them"):
        check_attention(make("bert", settings), packed=False)
