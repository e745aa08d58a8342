"""The plan and its memory estimate: hand-worked numbers, and early refusal of what cannot work."""

import io
import json
import struct
from pathlib import Path

import pytest

from rlvr.app.memory import ModelSize, Work, bytes_text, estimate, size_from_numbers, size_of_directory
from rlvr.app.plan import make_plan, print_plan
from rlvr.config.reading import read_recipe
from rlvr.errors import DataError, ModelError, RecipeError

NUMBERS = {
    "vocab_size": 100,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
RECIPE = """\
name = "small"
[model.new]
[model.new.settings]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 2
num_attention_heads = 4
max_position_embeddings = 512
[[stage]]
kind = "sft"
data = [{source = "arithmetic", limit = 100}]
epochs = 1.5
[[stage]]
kind = "rlvr"
algorithm = {preset = "dapo", clip_high = 0.25}
steps = 4
data = [{source = "arithmetic", limit = 50}]
"""


def plan_text(tmp_path: Path, *overrides: str) -> str:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    stream = io.StringIO()
    print_plan(make_plan(read_recipe(path, overrides)), stream)
    return stream.getvalue()


def test_parameters_are_counted_as_transformers_makes_them() -> None:
    # d = 8/4 = 2; attention 8·2·(4+2+2+4) = 192, MLP 3·8·16 = 384: 576 a layer, 1152 in two layers;
    # norms 2·2·8 + 8 = 40; embeddings 100·8 = 800, counted once because they are tied.
    size = size_from_numbers(NUMBERS)
    assert size == ModelSize(1152 + 40 + 800, 1152, 100, 8, 16, 2, 4, 2, 2, 512)
    untied = size_from_numbers(NUMBERS | {"tie_word_embeddings": False})
    assert untied is not None
    assert untied.parameters == 1992 + 800


def test_a_size_is_unknown_where_a_number_is_missing() -> None:
    assert size_from_numbers({"hidden_size": 8}, "some-new-thing") is None
    assert size_from_numbers(NUMBERS | {"hidden_size": "many"}) is None


def test_memory_follows_the_formula() -> None:
    size = size_from_numbers(NUMBERS)
    assert size is not None
    parts = estimate(size, Work(10, 10, "muon", True, 4, 32), bfloat16=False, gradient_checkpointing=False, workers=2)
    # A = 8·8 + 3·4·2 + 2·2·2 + 4·16 = 160 numbers a token and layer
    assert parts == {
        "weights": 4 * 1992,
        "gradients": 4 * 1992,
        "optimizer": 8 * 1992 - 4 * 1152,
        "reference": 4 * 1992,
        "activations": 10 * 4 * 3 * 160,
        "logits": 16 * 10 * 100,
        "cache": 4 * 4 * 32 * 2 * 2 * 2 * 2,
        "process": 800_000_000,
    }
    checkpointed = estimate(
        size, Work(10, 10, "adamw", False, 0, 0), bfloat16=True, gradient_checkpointing=True, workers=0
    )
    # bfloat16 copies of the weights: 2 more bytes each; activations 10·2·(2·8 + 3·160)
    assert checkpointed["weights"] == 6 * 1992
    assert checkpointed["activations"] == 10 * 2 * (16 + 480)
    assert "cache" not in checkpointed
    assert "reference" not in checkpointed


def test_a_directory_is_counted_by_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(NUMBERS | {"model_type": "llama"}))
    header = json.dumps({"__metadata__": {}, "a": {"shape": [3, 5]}, "b": {"shape": [7]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    size = size_of_directory(tmp_path)
    assert size is not None
    assert size.parameters == 3 * 5 + 7
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    size = size_of_directory(tmp_path)
    assert size is not None
    assert size.parameters == 1992
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        size_of_directory(tmp_path)


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 bytes"), (1_500, "1.5 kB"), (23_400_000, "23 MB"), (1_340_000_000, "1.3 GB")]
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_the_plan_says_updates_completions_and_the_algorithm(tmp_path: Path) -> None:
    text = plan_text(tmp_path, "pool_workers=2")
    # ceil(100 / 32) = 4 updates an epoch, 1.5 epochs: 6
    assert "1.5 epochs × 100 demonstrations = 6 updates" in text
    # 4 steps × 16 updates of dapo; 4·32·8·256 sampled tokens
    assert "4 steps × 32 prompts × 8 completions, 64 updates at most" in text
    assert "at most 262,144 sampled tokens, up to 10× as many with refill" in text
    assert "algorithm dapo, with clip_high 0.25" in text
    # 600 MB for the process and 2 · 100 MB for its workers
    assert "process 800 MB" in text


def test_an_unknown_number_of_items_is_not_guessed(tmp_path: Path) -> None:
    assert "1.5 epochs × demonstrations of hub:train" in plan_text(tmp_path, 'sft.data=["hub:train"]')


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("rlvr.algorithm=dapp", RecipeError, 'no algorithm "dapp"'),
        ("rlvr.algorithm.clip_hi=1", RecipeError, 'no cell "clip_hi"'),
        ("rlvr.algorithm.clip_low=-1", RecipeError, "clip_low is -1"),
        ('rlvr.shaping=["format_bonu"]', RecipeError, 'no shaping "format_bonu"'),
        ('rlvr.data=["arithmetik:train"]', DataError, "arithmetik"),
        ('rlvr.data=["arithmetic:train"]', DataError, "limit"),
        ('rlvr.data=["none.jsonl:train"]', DataError, "none.jsonl"),
        ("rlvr.max_completion_tokens=512", RecipeError, "the model reads 512 tokens"),
        ("model.path=./none", ModelError, "does not exist"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_loaded(
    tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_text(tmp_path, override)


def test_a_directory_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"exists but holds no config\.json"):
        plan_text(tmp_path, f"model.path={tmp_path}")


def test_a_name_of_the_hub_has_no_estimate(tmp_path: Path) -> None:
    assert "memory: unknown" in plan_text(tmp_path, "model.path=someone/some-model")
