"""The plan and its memory estimate: hand-worked numbers, and early refusal of what cannot work."""

import importlib
import io
import json
import struct
import sys
from pathlib import Path

import pytest

from rlvr.app import preflight
from rlvr.app.memory import ModelSize, Work, bytes_text, estimate, size_from_numbers, size_of_directory
from rlvr.app.plan import make_plan, print_plan
from rlvr.config.reading import read_recipe
from rlvr.errors import DataError, ModelError, RecipeError, UsageError

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


def test_an_algorithm_that_compares_completions_refuses_to_get_one_of_each_prompt(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="group_size = 1 leaves the group baseline nothing to compare with"):
        plan_text(tmp_path, "rlvr.group_size=1")
    assert "1 completions" in plan_text(tmp_path, "rlvr.group_size=1", 'rlvr.algorithm="reinforce_pp"')


def test_a_critic_that_nobody_asks_or_that_leaves_the_policy_no_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\[stage.critic\] is set, but dapo has no critic"):
        plan_text(tmp_path, "rlvr.critic.warmup_steps=2")
    with pytest.raises(RecipeError, match="warmup_steps is 4 of 4 steps: the policy never learns"):
        plan_text(tmp_path, 'rlvr.algorithm="ppo"', "rlvr.critic.warmup_steps=4")


def test_ppo_plans_a_critic_its_updates_and_its_memory(tmp_path: Path) -> None:
    text = plan_text(tmp_path, 'rlvr.algorithm="ppo"', "rlvr.critic.warmup_steps=2")
    # 4 steps of 1 update in 4 epochs
    assert "16 updates at most" in text
    assert "critic from the stage's first weights, adamw 9e-06, alone for the first 2 steps" in text
    size = size_from_numbers(NUMBERS)
    assert size is not None
    work = Work(10, 10, "adamw", True, 4, 32, "adamw")
    parts = estimate(size, work, bfloat16=False, gradient_checkpointing=False, workers=0)
    # weights, gradients and two moments
    assert parts["critic"] == 16 * 1992


def test_a_part_of_the_groups_for_a_kl_that_the_loss_measures_everywhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="kl_groups is 2, but grpo measures the KL on every trained token"):
        plan_text(tmp_path, "rlvr.algorithm=grpo", "rlvr.kl_groups=2")
    assert "grpo" in plan_text(tmp_path, "rlvr.algorithm=grpo")


def test_a_directory_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"exists but holds no config\.json"):
        plan_text(tmp_path, f"model.path={tmp_path}")


def test_updates_that_the_stage_does_not_make_are_not_promised(tmp_path: Path) -> None:
    text = plan_text(tmp_path, "rlvr.prompts_per_step=3")
    # 4 steps; dapo's 16 updates a step are lowered to one for each of 3 prompts
    assert "4 steps × 3 prompts × 8 completions, 12 updates at most" in text
    assert "updates_per_step lowered from 16 to 3" in text
    assert "lowered" not in plan_text(tmp_path, "rlvr.prompts_per_step=16")


@pytest.mark.parametrize(
    ("shaping", "message", "hint"),
    [
        ('"scale"', '"scale" needs the option "factor"', "factor = …"),
        ('{name = "scale", options = {facter = 2}}', 'no option "facter"', 'did you mean "factor"?'),
        ('{name = "scale", options = {factor = 2, reward = 1}}', 'no option "reward"', "it takes factor"),
        ('"math:sqrt"', "cannot be called", "def shape"),
        ('"math:pi"', "is float, expected a function", ""),
        ('"no_such_module:f"', "cannot be imported", "recipe"),
    ],
)
def test_a_shaping_that_cannot_be_called_is_refused(tmp_path: Path, shaping: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        plan_text(tmp_path, f"rlvr.shaping=[{shaping}]")
    assert hint in caught.value.hint
    plan_text(tmp_path, 'rlvr.shaping=[{name = "scale", options = {factor = 2.0}}]')


def test_functions_of_ones_own_are_found_beside_the_recipe_before_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "x", "answer": "y", "verifier": "preflight_module:verify"}\n')
    data = f'rlvr.data=["{rows}:all"]'
    with pytest.raises(UsageError, match="preflight_module:verify' cannot be imported"):
        plan_text(tmp_path, data)
    (tmp_path / "preflight_module.py").write_text("def verify(task, completion): ...\ndef rows(split): ...\n")
    importlib.invalidate_caches()
    plan_text(tmp_path, data)
    plan_text(tmp_path, 'rlvr.data=["preflight_module:rows:train"]')
    with pytest.raises(RecipeError, match='the source "preflight_module:rowz" cannot be imported'):
        plan_text(tmp_path, 'rlvr.data=["preflight_module:rowz:train"]')
    (tmp_path / "preflight_broken.py").write_text("def rows(:\n")
    with pytest.raises(RecipeError, match="cannot be imported: SyntaxError"):
        plan_text(tmp_path, 'rlvr.data=["preflight_broken:rows:train"]')
    rows.write_text('{"prompt": "x", "answer": "y"}\n')
    options = f'{{source = "file", split = "all", path = "{rows}", options = {{verifier = "maths"}}}}'
    with pytest.raises(UsageError, match="there is no verifier 'maths'"):
        plan_text(tmp_path, f"rlvr.data=[{options}]")


def test_a_sink_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(preflight.SINK_PACKAGES, "wandb", "a_package_that_is_not_there")
    with pytest.raises(RecipeError, match="the sink wandb needs a package") as caught:
        plan_text(tmp_path, 'sinks=["wandb"]')
    assert caught.value.hint == 'pip install "rlvr[wandb]"'


def test_a_model_without_a_chat_template_is_refused_where_messages_are_written(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(NUMBERS | {"model_type": "llama"}))
    with pytest.raises(ModelError, match="has no chat template, which the stage sft needs"):
        plan_text(tmp_path, f"model.path={model}")
    (model / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer_config\.json cannot be read"):
        plan_text(tmp_path, f"model.path={model}")
    (model / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    plan_text(tmp_path, f"model.path={model}")
    (model / "tokenizer_config.json").write_text("{}")
    (model / "chat_template.jinja").write_text("{{ messages }}")
    plan_text(tmp_path, f"model.path={model}")


def test_a_run_folder_or_a_damaged_checkpoint_is_refused_as_a_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "provenance.json"):
        (model / name).write_text("{}")
    with pytest.raises(ModelError, match="is a run folder"):
        plan_text(tmp_path, f"model.path={model}")
    (model / "provenance.json").unlink()
    (model / "manifest.json").write_text('{"files": {"config.json": {"bytes": 9, "sha256": ""}}}')
    with pytest.raises(ModelError, match=r"damaged checkpoint: config\.json has 2 bytes, 9 were written"):
        plan_text(tmp_path, f"model.path={model}")


def test_a_name_of_the_hub_has_no_estimate(tmp_path: Path) -> None:
    assert "memory: unknown" in plan_text(tmp_path, "model.path=someone/some-model")


@pytest.mark.parametrize(
    ("loss", "words", "reference"),
    [
        # 100 pairs in updates of 32: 4 updates; as completions 200: 7 updates
        ("sigmoid_norm", ("= 4 updates at most, 32 pairs an update", "loss sigmoid_norm, beta 5"), True),
        ("simpo", ("= 4 updates at most, 32 pairs", "loss simpo, beta 2, target_margin 1, no reference"), False),
        ("kto", ("1 epoch × 200 completions = 7 updates at most, 32 completions", "loss kto, beta 0.1"), True),
    ],
)
def test_a_preference_stage_says_its_loss_and_takes_memory_for_a_reference_only_where_it_has_one(
    loss: str, words: tuple[str, ...], reference: bool, tmp_path: Path
) -> None:
    path = tmp_path / "small.toml"
    head = RECIPE[: RECIPE.index("[[stage]]")]
    path.write_text(
        f'{head}[[stage]]\nkind = "dpo"\nloss = "{loss}"\ndata = [{{source = "arithmetic", limit = 100}}]\n'
    )
    plan = make_plan(read_recipe(path))
    assert all(part in " ".join(plan.stages[0].lines) for part in words)
    assert (plan.stages[0].memory.get("reference", 0) > 0) is reference


def test_cells_for_a_domain_that_no_source_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names 'arithmetics', of which the stage rlvr has no task") as caught:
        plan_text(tmp_path, "rlvr.algorithm.domains.arithmetics.clip_high=0.3")
    assert caught.value.hint == "did you mean arithmetic?"
    assert "; for arithmetic, with clip_high 0.3" in plan_text(
        tmp_path, "rlvr.algorithm.domains.arithmetic.clip_high=0.3"
    )
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "x", "answer": "y", "domain": "recipes"}\n')
    source = f'{{source = "file", split = "all", path = "{rows}", options = {{verifier = "exact"}}}}'
    gym = '{source = "gym/chain_sum", limit = 9}'
    with pytest.raises(RecipeError, match="names 'cooking'") as caught:
        plan_text(tmp_path, f"rlvr.data=[{source}, {gym}]", "rlvr.algorithm.domains.cooking.clip_high=0.3")
    assert "chain_sum" in str(caught.value.hint)


def test_an_evaluation_in_plain_text_needs_no_chat_template(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(NUMBERS | {"model_type": "llama"}))
    data = '{source = "arithmetic", split = "evaluation", limit = 8}'
    words = [f"model.path={model}", 'stage=[{kind = "pretrain", data = [{source = "corpus", limit = 9}]}]']
    words.append(f"evaluation.data=[{data}]")
    with pytest.raises(ModelError, match=r"no chat template, which \[evaluation\] needs"):
        plan_text(tmp_path, *words)
    assert "asked as 'Q: {problem}'" in plan_text(tmp_path, *words, 'evaluation.prompts=["Q: {problem}"]')
