import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from rlvr.errors import CheckpointError, RunError
from rlvr.models.checkpoint import checkpoint_name, load_trainer_state, save_checkpoint
from rlvr.runs.publish import damages, latest_whole, manifest

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
READ_ELSEWHERE = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for path in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    ids = tokenizer("abc ja", return_tensors="pt").input_ids
    read = (ids, model(input_ids=ids).logits, model.dtype, model.generation_config.eos_token_id)
    torch.save(read, path + ".read")
"""


def make_tokenizer(*more: str) -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<s>", "</s>", *"abcdefghij ", *more])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=TEMPLATE
    )


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def tiny_llama(*, tied: bool = True, dtype: torch.dtype = torch.float32, seed: int = 0) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
            tie_word_embeddings=tied,
        )
        return LlamaForCausalLM(config).to(dtype).eval()


def learn(model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        ids = torch.arange(8)[None] + step % 4
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def state_of(optimizer: torch.optim.Optimizer, step: int) -> dict[str, object]:
    return {"step": step, "optimizer": optimizer.state_dict(), "stream": {"cursor": 3, "solved": {"a": 0.5}}}


def test_a_fresh_process_loads_the_folder_with_the_same_logits(tmp_path, tokenizer):
    kinds = [(True, torch.float32), (False, torch.float32), (True, torch.bfloat16)]
    written = [tiny_llama(tied=tied, dtype=dtype) for tied, dtype in kinds]
    paths = [
        save_checkpoint(tmp_path / str(index), 123, model=model, tokenizer=tokenizer, trainer_state={})
        for index, model in enumerate(written)
    ]
    assert paths[0] == tmp_path / "0" / "step-000123"
    # Bit-equal at equal threads: one row of six tokens is rounded differently when two threads share it.
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(
        [sys.executable, "-c", READ_ELSEWHERE, *map(str, paths)], check=True, capture_output=True, env=threads
    )
    for path, model, (_, dtype) in zip(paths, written, kinds, strict=True):
        ids, logits, read_dtype, stop = torch.load(f"{path}.read")
        assert ids.tolist() == [[3, 4, 5, 13, 12, 3]]
        assert (read_dtype, stop) == (dtype, tokenizer.eos_token_id)
        assert torch.equal(logits, model(input_ids=ids).logits)
        assert AutoTokenizer.from_pretrained(path).chat_template == TEMPLATE


def test_the_trainer_state_comes_back_as_it_was(tmp_path, tokenizer):
    state = {
        "step": 7,
        "lr": 0.1 + 0.2,
        "seen": True,
        "nothing": None,
        "betas": (0.9, 0.999),
        "epsilon": 1e-8,
        "frozen": (),
        "by_index": {0: "a", 1: [1, 2]},
        "hash": b"\x00\xff",
        "big": 2**70,
        "weights": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).T,
    }
    save_checkpoint(tmp_path, 7, model=tiny_llama(), tokenizer=tokenizer, trainer_state=state)
    found = latest_whole(tmp_path)
    assert found is not None
    loaded = load_trainer_state(found[0])
    weights, expected = loaded.pop("weights"), state.pop("weights")
    assert (weights.dtype, weights.tolist()) == (torch.bfloat16, [[0, 3], [1, 4], [2, 5]])
    assert torch.equal(weights, expected)
    assert loaded == state
    assert isinstance(loaded["betas"], tuple)


def test_a_view_is_stored_without_the_tensor_that_it_looks_into(tmp_path, tokenizer):
    sizes = []
    for name, tensor in (("view", torch.zeros(100_000)[:10]), ("whole", torch.zeros(10))):
        path = save_checkpoint(tmp_path / name, 1, model=tiny_llama(), tokenizer=tokenizer, trainer_state={"x": tensor})
        sizes.append(manifest(path)["trainer.pt"])
    assert sizes[0] == sizes[1]


def test_training_resumed_from_a_checkpoint_saves_the_same_bytes_as_undisturbed_training(tmp_path, tokenizer):
    model = tiny_llama()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    learn(model, optimizer, 4)
    half = save_checkpoint(tmp_path / "a", 4, model=model, tokenizer=tokenizer, trainer_state=state_of(optimizer, 4))
    learn(model, optimizer, 4)
    whole = save_checkpoint(tmp_path / "a", 8, model=model, tokenizer=tokenizer, trainer_state=state_of(optimizer, 8))

    resumed = AutoModelForCausalLM.from_pretrained(half)
    second = torch.optim.AdamW(resumed.parameters(), lr=1e-2)
    second.load_state_dict(load_trainer_state(half)["optimizer"])
    learn(resumed, second, 4)
    again = save_checkpoint(
        tmp_path / "b",
        8,
        model=resumed,
        tokenizer=AutoTokenizer.from_pretrained(half),
        trainer_state=state_of(second, 8),
    )
    assert manifest(again) == manifest(whole)


def test_a_state_that_only_pickle_could_hold_is_refused_with_its_place(tmp_path, tokenizer):
    for value in (np.zeros(2), {1, 2}, object(), np.float64(1)):
        with pytest.raises(TypeError, match=r"trainer_state\['a'\]\[1\] is a "):
            save_checkpoint(tmp_path, 1, model=tiny_llama(), tokenizer=tokenizer, trainer_state={"a": [0, value]})
    assert list(tmp_path.iterdir()) == []


def test_loading_a_state_runs_no_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    torch.save({"x": Hostile()}, tmp_path / "trainer.pt")
    with pytest.raises(CheckpointError, match=r"trainer\.pt cannot be read"):
        load_trainer_state(tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"\x80\x02garbage"])
def test_a_corrupt_state_is_a_checkpoint_error(tmp_path, content):
    (tmp_path / "trainer.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"trainer\.pt cannot be read"):
        load_trainer_state(tmp_path)


def test_a_model_without_trainer_state_says_how_to_start_from_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"(?s)not resumed.*rlvr train RECIPE model\.path="):
        load_trainer_state(tmp_path)


def test_a_corrupt_checkpoint_is_passed_over_and_none_whole_is_an_error(tmp_path, tokenizer):
    paths = [
        save_checkpoint(tmp_path, step, model=tiny_llama(seed=step), tokenizer=tokenizer, trainer_state={"step": step})
        for step in (1, 2, 3)
    ]
    assert not paths[0].exists()
    weights = bytearray((paths[2] / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (paths[2] / "model.safetensors").write_bytes(weights)
    found = latest_whole(tmp_path)
    assert found is not None
    path, messages = found
    assert path == paths[1]
    assert "model.safetensors does not have the hash" in messages[0]
    assert load_trainer_state(path) == {"step": 2}
    (paths[1] / "trainer.pt").unlink()
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints"):
        latest_whole(tmp_path)
    assert latest_whole(tmp_path / "elsewhere") is None


def test_the_exported_model_stops_where_the_chat_template_ends_a_turn(tmp_path):
    chat = make_tokenizer("<|im_end|>")
    chat.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    chat.chat_template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    path = save_checkpoint(tmp_path, 1, model=tiny_llama(), tokenizer=chat, trainer_state={})
    stops = GenerationConfig.from_pretrained(path).eos_token_id
    assert stops == [chat.eos_token_id, chat.convert_tokens_to_ids("<|im_end|>")]


def test_published_sampling_settings_beside_greedy_do_not_stop_a_save(tmp_path, tokenizer):
    model = tiny_llama()
    original = GenerationConfig(eos_token_id=9, early_stopping=True, do_sample=False, temperature=0.7, top_k=20)
    model.generation_config = original
    path = save_checkpoint(tmp_path, 1, model=model, tokenizer=tokenizer, trainer_state={})
    assert model.generation_config is original
    saved = GenerationConfig.from_pretrained(path)
    assert (saved.eos_token_id, saved.pad_token_id, saved.bos_token_id) == ([9, 2], 0, 1)
    assert (saved.do_sample, saved.temperature, saved.top_k) == (True, 0.7, 20)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Lets the kernel refuse every byte beyond `size` of a file, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 2_000, 10_000, 100_000, 200_500])
def test_a_disk_that_refuses_more_loses_nothing_whichever_file_it_hits(tmp_path, tokenizer, size):
    model = tiny_llama()
    first = save_checkpoint(tmp_path, 1, model=model, tokenizer=tokenizer, trainer_state={"step": 1})
    state = {"x": torch.zeros(50_000)}
    with (
        pytest.raises(RunError, match=r"(?s)step-000002 cannot be written: File too large.*make room"),
        no_file_beyond(size),
    ):
        save_checkpoint(tmp_path, 2, model=model, tokenizer=tokenizer, trainer_state=state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-000001"]
    assert damages(first) == []


def test_a_disk_that_is_full_when_the_tokenizer_comes_loses_nothing(tmp_path):
    large = make_tokenizer(*(f"word-{index}" for index in range(20_000)))
    with (
        pytest.raises(RunError, match="step-000002 cannot be written: File too large"),
        no_file_beyond(200_000),
    ):
        save_checkpoint(tmp_path, 2, model=tiny_llama(), tokenizer=large, trainer_state={})
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_a_run_error(tmp_path, tokenizer, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"(?s)step-000001 cannot be written: Read-only file system.*chmod"):
        save_checkpoint(tmp_path / "c", 1, model=tiny_llama(), tokenizer=tokenizer, trainer_state={})


def test_saving_shows_no_progress_bars(tmp_path, tokenizer, capfd):
    save_checkpoint(tmp_path, 1, model=tiny_llama(), tokenizer=tokenizer, trainer_state={})
    assert capfd.readouterr() == ("", "")


def test_nothing_in_a_checkpoint_says_where_the_model_came_from(tmp_path, tokenizer):
    first = save_checkpoint(tmp_path / "first", 1, model=tiny_llama(), tokenizer=tokenizer, trainer_state={})
    second = save_checkpoint(
        tmp_path / "second",
        1,
        model=AutoModelForCausalLM.from_pretrained(first),
        tokenizer=AutoTokenizer.from_pretrained(first),
        trainer_state={},
    )
    assert manifest(first) == manifest(second)
    assert str(tmp_path) not in "".join(path.read_text() for path in second.glob("*.json"))
    assert json.loads((second / "config.json").read_text())["dtype"] == "float32"


def test_names_sort_by_step():
    assert [checkpoint_name(step) for step in (0, 123, 1_000_000)] == ["step-000000", "step-000123", "step-1000000"]
