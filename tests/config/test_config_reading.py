"""Recipes: overrides, origins, and one clear error for each way to write one wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.config.lines import key_lines, line_of
from rlvr.config.reading import Resolved, from_json, read_evaluation, read_recipe, resolved_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.config.supervised import DpoConfig, PretrainConfig, SftConfig
from rlvr.errors import RecipeError

RECIPE = """\
name = "small"
[model]
path = "models/base"
[[stage]]
kind = "sft"
data = ["gsm8k:train"]
optimizer = {learning_rate = 1e-4}
[[stage]]
kind = "rlvr"
algorithm = {preset = "dapo", clip_high = 0.3}
steps = 10
data = ["gsm8k:train", {source = "math", limit = 10}]
[[stage]]
kind = "rlvr"
name = "polish"
algorithm = "grpo"
steps = 3
data = ["gsm8k:train"]
"""


def read(tmp_path: Path, *overrides: str, text: str = RECIPE) -> Resolved:
    path = tmp_path / "small.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides)


def complaint(tmp_path: Path, *overrides: str, text: str = RECIPE) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, *overrides, text=text)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_value_comes_from_default_then_recipe_then_override(tmp_path: Path) -> None:
    resolved = read(tmp_path, "stage.2.steps=20", "seed=7")
    stage = resolved.recipe.stage[1]
    assert isinstance(stage, RlvrConfig)
    assert (stage.steps, stage.group_size, resolved.recipe.seed) == (20, 8, 7)
    assert resolved.origins["stage.2.steps"] == "override"
    assert resolved.origins["stage.3.steps"] == "recipe"
    assert resolved.origins["stage.2.group_size"] == "default"
    assert resolved.origins["stage.2.algorithm.cells.clip_high"] == "recipe"
    assert resolved.origins["stage.1.data.1.split"] == "recipe"


def test_every_leaf_has_an_origin(tmp_path: Path) -> None:
    resolved = read(tmp_path, "polish.temperature=0.7", "model.device=cpu")
    overridden = {key for key, origin in resolved.origins.items() if origin == "override"}
    assert overridden == {"stage.3.temperature", "model.device"}
    assert set(resolved.origins.values()) == {"default", "recipe", "override"}


def test_a_stage_is_named_by_number_kind_or_name(tmp_path: Path) -> None:
    recipe = read(tmp_path, "sft.epochs=2", "stage.2.steps=11", "polish.steps=4", "stage.polish.group_size=4").recipe
    assert isinstance(recipe.stage[0], SftConfig)
    assert isinstance(recipe.stage[1], RlvrConfig)
    assert isinstance(recipe.stage[2], RlvrConfig)
    assert (recipe.stage[0].epochs, recipe.stage[1].steps, recipe.stage[2].steps) == (2.0, 11, 4)
    assert recipe.stage[2].group_size == 4


def test_an_ambiguous_kind_names_both_stages(tmp_path: Path) -> None:
    error = complaint(tmp_path, "rlvr.steps=4")
    assert "stage.2 (rlvr) or stage.3 (rlvr, polish)" in error.message
    assert error.hint == "say which: stage.2.steps=…"


def test_short_forms_take_overrides_of_their_parts(tmp_path: Path) -> None:
    recipe = read(tmp_path, "polish.algorithm.clip_high=0.4", "stage.1.data.1.limit=5").recipe
    polish, sft = recipe.stage[2], recipe.stage[0]
    assert isinstance(polish, RlvrConfig)
    assert isinstance(sft, SftConfig)
    assert (polish.algorithm.preset, dict(polish.algorithm.cells)) == ("grpo", {"clip_high": 0.4})
    assert (sft.data[0].source, sft.data[0].split, sft.data[0].limit) == ("gsm8k", "train", 5)


def test_text_that_looks_like_a_number_stays_text_where_the_key_holds_text(tmp_path: Path) -> None:
    assert read(tmp_path, "name=2026").recipe.name == "2026"
    assert read(tmp_path, 'name="2026"').recipe.name == "2026"
    assert read(tmp_path, "model.path=~/a b").recipe.model.path == "~/a b"


def test_a_device_by_number_and_an_empty_stage_name_are_taken(tmp_path: Path) -> None:
    recipe = read(tmp_path, "model.device=cuda:3", 'polish.name=""').recipe
    assert (recipe.model.device, recipe.stage[2].name) == ("cuda:3", "")


def test_a_value_cannot_smuggle_in_another_key(tmp_path: Path) -> None:
    assert "expected an integer" in complaint(tmp_path, "seed=3\nname = 'x'").message


def test_a_stage_keeps_its_own_optimizer_defaults_when_one_key_is_set(tmp_path: Path) -> None:
    stage = read(tmp_path, "polish.optimizer.learning_rate=1e-3").recipe.stage[2]
    assert isinstance(stage, RlvrConfig)
    assert (stage.optimizer.learning_rate, stage.optimizer.schedule, stage.optimizer.warmup_share) == (
        1e-3,
        "constant",
        0.0,
    )
    text = RECIPE.replace('kind = "sft"', 'kind = "pretrain"')
    first = read(tmp_path, text=text).recipe.stage[0]
    assert isinstance(first, PretrainConfig)
    assert (first.optimizer.name, first.optimizer.learning_rate) == ("muon", 1e-4)


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("seeed=3", 'unknown key "seeed"', "did you mean seed?"),
        ("steps=3", 'unknown key "steps"', "did you mean rlvr.steps?"),
        ("dtype=bfloat16", 'unknown key "dtype"', "did you mean model.dtype?"),
        ("sft.epoch=2", 'unknown key "epoch" in the override "sft.epoch"', 'did you mean "sft.epochs"?'),
        ("sft.schedule=linear", 'unknown key "schedule"', 'did you mean "sft.optimizer.schedule"?'),
        ("stage.9.steps=3", 'stage has 3 items, found "9"', "stage.1 (sft), stage.2 (rlvr), stage.3 (rlvr, polish)"),
        ("seed=three", 'override: seed = "three"; expected an integer, at least 0', ""),
        ("polish.steps=0", "steps = 0 in stage.3 (rlvr, polish); expected an integer, at least 1", ""),
        ("polish.steps=true", "steps = true", ""),
        ("sft.optimizer.schedule=cosin", "expected one of constant, linear, cosine", 'did you mean "cosine"?'),
        ("seed.x=3", 'there is no key "x" below seed', ""),
        ("seed", 'override "seed" is not of the form key=value', "for example: seed=3 or rlvr.steps=10"),
        ("stage.2.data=a", 'expected a list such as ["gsm8k:train"]', 'write a list: data = ["a"]'),
        ("sft.optimizer.betas=[0.9, 1.0]", "betas.2 = 1.0", ""),
        ("sft.optimizer.betas=[-0.1, 0.9]", "expected a number, at least 0, below 1", ""),
        ("sft.optimizer.learning_rate=inf", "learning_rate = Infinity in optimizer of stage.1 (sft)", ""),
        ("sft.epochs=nan", "epochs = NaN in stage.1 (sft)", ""),
        ("polish.temperature=1e-300", "temperature = 1e-300", ""),
        ("threads=100000", "threads = 100000; expected an integer, at least 0, at most 4096", ""),
        ("model.device=foo", 'device = "foo" in model; expected text, auto, cpu, cuda or cuda:N', ""),
        ("sft.name=../x", 'name = "../x" in stage.1', ""),
    ],
)
def test_a_wrong_override_gets_one_clear_error(tmp_path: Path, override: str, message: str, hint: str) -> None:
    error = complaint(tmp_path, override)
    assert message in error.message
    assert error.hint == hint


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("steps = 10", "stepz = 10", 'small.toml:11: unknown key "stepz" in stage.2 (rlvr)', 'did you mean "steps"?'),
        ("steps = 10", "", 'small.toml:8: stage.2 (rlvr) needs the key "steps"', "add steps = … (an integer, at least 1)"),  # noqa: E501
        ("steps = 10", "steps = 1.5", "small.toml:11: steps = 1.5 in stage.2 (rlvr)", ""),
        ('kind = "sft"', 'kind = "sfd"', 'small.toml:5: kind = "sfd" in stage.1 (sfd)', 'did you mean "sft"?'),
        ('kind = "sft"', "", 'small.toml:4: stage.1 needs the key "kind"', None),
        ('= ["gsm8k:train"]', '= "gsm8k:train"', "small.toml:6: data =", 'write a list: data = ["gsm8k:train"]'),
        ("limit = 10", "limt = 10", 'toml:12: unknown key "limt" in data.2 of stage.2 (rlvr)', 'did you mean "limit"?'),
        ('name = "small"', 'name = "a/b"', 'small.toml:1: name = "a/b"', ""),
        ("1e-4", '"fast"', 'small.toml:7: learning_rate = "fast" in optimizer of stage.1 (sft)', ""),
    ],
)  # fmt: skip
def test_a_wrong_recipe_names_file_line_and_nearest_name(
    tmp_path: Path, old: str, new: str, message: str, hint: str | None
) -> None:
    error = complaint(tmp_path, text=RECIPE.replace(old, new, 1))
    assert message in error.message
    assert hint is None or error.hint == hint


def test_the_origin_of_the_model_that_an_override_gives_replaces_the_recipes(tmp_path: Path) -> None:
    model = read(tmp_path, "model.new.architecture=qwen2").recipe.model
    assert model.path == ""
    assert model.new is not None
    assert model.new.architecture == "qwen2"
    both = RECIPE.replace('path = "models/base"', 'path = "models/base"\nnew = {}')
    assert "small.toml:2: model: give exactly one of model.path" in complaint(tmp_path, text=both).message
    assert read(tmp_path, "model.path=other", text=both).recipe.model.path == "other"


def test_many_mistakes_are_cut_to_the_first_three(tmp_path: Path) -> None:
    text = RECIPE.replace("steps = 10", "a = 1\nb = 2\nc = 3\nd = 4\nsteps = 10")
    error = complaint(tmp_path, text=text)
    assert error.message.count("unknown key") == 3
    assert error.message.endswith("… and 1 more")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 2" in complaint(tmp_path, text='name = "x"\nseed = three\n').message


def test_a_missing_file_names_the_nearest_recipe(tmp_path: Path) -> None:
    (tmp_path / "laptop.toml").write_text(RECIPE)
    with pytest.raises(RecipeError) as caught:
        read_recipe(tmp_path / "labtop.toml")
    assert "there is no recipe" in caught.value.message
    assert caught.value.hint == f"did you mean {tmp_path / 'laptop.toml'}?"


def test_a_directory_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is a directory"):
        read_recipe(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match="no UTF-8"):
        read_recipe(tmp_path / "x.toml")


def test_config_json_gives_the_same_recipe_back(tmp_path: Path) -> None:
    resolved = read(tmp_path, "polish.optimizer.betas=[0.8, 0.9]", "evaluation.samples=4")
    assert from_json(json.loads(json.dumps(resolved_json(resolved)))) == resolved


def test_a_config_json_without_a_recipe_is_refused() -> None:
    with pytest.raises(RecipeError, match="holds no recipe"):
        from_json({"origins": {}})


def test_evaluation_settings_take_overrides_of_their_own() -> None:
    config = read_evaluation({"data": ["gsm8k:test"]}, ["samples=4", "data.1.limit=10"])
    assert (config.samples, config.data[0].source, config.data[0].limit) == (4, "gsm8k", 10)
    with pytest.raises(RecipeError) as caught:
        read_evaluation({"data": ["gsm8k:test"]}, ["sample=4"])
    assert caught.value.hint == 'did you mean "samples"?'


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ('prompts=["chat", "Q: what?"]', "'Q: what?' is neither \"chat\" nor a text with {problem} in it"),
        ('prompts=["chat", "chat"]', "each prompt may stand there once"),
        ("low_temperature=1.0", "low_temperature 1 must lie below temperature 1"),
    ],
)
def test_ways_of_asking_that_make_no_sense_are_refused(word: str, complaint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_evaluation({"data": ["gsm8k:test"]}, [word])
    assert complaint in caught.value.message


def test_prompts_are_read_as_written() -> None:
    config = read_evaluation({"data": ["gsm8k:test"]}, [r'prompts=["chat", "Q: {problem}\nA:"]', "low_temperature=0.3"])
    assert (config.prompts, config.low_temperature) == (("chat", "Q: {problem}\nA:"), 0.3)
    assert (read_evaluation({}, []).prompts, read_evaluation({}, []).low_temperature) == (("chat",), 0.0)


def test_lines_are_found_in_tables_lists_and_inline_tables() -> None:
    text = '''# comment
name = """
[model]
seed = 3
"""
[a.b]
c = {d = 1}
[[stage]]
data = [
  "x",
  {source = "y"},
]
[[stage]]
[[stage.data]]
source = "z"
'''
    lines = key_lines(text)
    assert lines[("name",)] == 2
    assert ("seed",) not in lines
    assert lines[("a", "b", "c", "d")] == 7
    assert lines[("stage", 0, "data", 1, "source")] == 9
    assert lines[("stage", 1)] == 13
    assert lines[("stage", 1, "data", 0, "source")] == 15
    assert line_of(lines, ("stage", 1, "data", 0, "limit")) == 14
    assert line_of(lines, ("seed",)) is None


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.floats(1e-6, 10.0), st.sampled_from(["constant", "linear", "cosine"]))
def test_written_values_are_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rate: float, shape: str
) -> None:
    path = tmp_path_factory.mktemp("recipe") / "r.toml"
    path.write_text(RECIPE)
    recipe = read_recipe(
        path, [f"seed={seed}", f"sft.optimizer.learning_rate={rate!r}", f"sft.optimizer.schedule={shape}"]
    ).recipe
    stage = recipe.stage[0]
    assert not isinstance(stage, DpoConfig)
    assert (recipe.seed, stage.optimizer.learning_rate, stage.optimizer.schedule) == (seed, rate, shape)  # type: ignore[union-attr]
