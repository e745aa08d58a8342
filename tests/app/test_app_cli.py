"""The command line: what goes to stdout and stderr, exit codes, and one clear error for each kind of trouble."""

import errno
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlvr import __version__
from rlvr.app import cli
from rlvr.app.measuring import evaluation_settings
from rlvr.errors import RecipeError, RunError, TrainingError, UsageError

RECIPE = """\
name = "small"
runs = "RUNS"
[model.new]
settings = {hidden_size = 64, intermediate_size = 128, num_hidden_layers = 2, num_attention_heads = 4}
[evaluation]
data = [{source = "arithmetic", split = "evaluation", limit = 20}]
[[stage]]
kind = "sft"
data = [{source = "arithmetic", limit = 100}]
[[stage]]
kind = "rlvr"
algorithm = "dapo"
steps = 4
data = [{source = "arithmetic", limit = 50}]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.replace("RUNS", str(tmp_path / "runs")))
    return path


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts functions in the place of what runs a recipe or asks a checkpoint, so that no torch is needed."""

    def put(**functions: Any) -> None:
        module = types.ModuleType("a_pipeline")
        module.__dict__.update(functions)
        for name in ("rlvr.app.pipeline", "rlvr.app.single"):
            monkeypatch.setitem(sys.modules, name, module)

    return put


def fails(error: BaseException) -> Callable[..., Any]:
    def function(*args: Any, **named: Any) -> Any:
        raise error

    return function


def test_the_version_goes_to_stdout() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlvr.app.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"rlvr {__version__}\n"


def test_no_verb_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "VERB" in capsys.readouterr().err


def test_a_dry_run_prints_the_plan_and_starts_nothing(
    recipe: Path, pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline(start=fails(AssertionError("started")))
    assert cli.main(["train", str(recipe), "rlvr.steps=6", "--dry-run", "seed=3"]) == 0
    out = capsys.readouterr().out
    assert "small: base → sft → rlvr; seed 3" in out
    assert "6 steps × 32 prompts × 8 completions" in out
    assert "overridden: seed, stage.2.steps" in out
    assert "memory: about" in out
    assert not (recipe.parent / "runs").exists()


def test_train_prints_the_plan_to_stderr_and_the_run_folder_to_stdout(
    recipe: Path, pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    pipeline(start=lambda resolved: seen.append(resolved.recipe.seed) or Path("runs/small"))
    assert cli.main(["train", str(recipe), "--", "seed=5"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "runs/small\n"
    assert "algorithm dapo" in printed.err
    assert seen == [5]


def test_an_unknown_key_is_exit_code_2_with_a_hint(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(recipe), "rlvr.stepz=6"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith('error: unknown key "stepz"')
    assert 'hint: did you mean "rlvr.steps"?' in printed.err


def test_words_that_are_no_override_are_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", str(recipe), "--dry-rum"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --dry-rum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TrainingError("no finite loss", hint="lower the rate"), 1, "error: no finite loss\nhint: lower the rate\n"),
        (RecipeError("bad"), 2, "error: bad\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (OSError(errno.ENOSPC, "No space left", "runs/x"), 1, "error: the disk is full: runs/x\nhint: free some space"),
        (OSError(errno.EROFS, "Read-only", "runs/x"), 1, "error: the file system is read-only: runs/x"),
        (PermissionError(errno.EACCES, "denied", "runs/x"), 1, "error: no permission: runs/x\nhint: check the owner"),
        (ModuleNotFoundError("No module", name="torch.nn"), 1, "needs the package torch"),
        (MemoryError("Unable to allocate"), 1, "error: out of memory: Unable to allocate\nhint: a smaller micro"),
        (RuntimeError("CUDA out of memory. Tried\nmore"), 1, "error: out of memory: CUDA out of memory. Tried\nhint:"),
    ],
)  # fmt: skip
def test_trouble_gives_one_clear_error(
    recipe: Path,
    pipeline: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    pipeline(start=fails(error))
    assert cli.main(["train", str(recipe)]) == code
    assert message in capsys.readouterr().err


def test_a_missing_package_names_its_extra(
    recipe: Path, pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline(start=fails(ModuleNotFoundError("No module", name="wandb")))
    assert cli.main(["train", str(recipe)]) == 1
    assert 'hint: pip install "rlvr[wandb]"' in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on(
    recipe: Path, pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recipe.parent / "runs" / "small"

    def start(resolved: Any) -> Path:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    pipeline(start=start)
    assert cli.main(["train", str(recipe)]) == 130
    assert capsys.readouterr().err.endswith(f"hint: rlvr resume {folder}\n")


def test_warnings_of_the_libraries_go_to_stderr_in_our_words(recipe: Path, tmp_path: Path) -> None:
    code = (
        "import sys, types, logging\nfrom rlvr.app import cli\n"
        "module = types.ModuleType('rlvr.app.pipeline')\n"
        "module.start = lambda resolved: logging.getLogger('rlvr.x').warning('3 rows left out') or 'runs/x'\n"
        "sys.modules['rlvr.app.pipeline'] = module\n"
        f"sys.exit(cli.main(['train', {str(recipe)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "runs/x\n"
    assert done.stderr.endswith("warning: 3 rows left out\n")


def test_a_mistake_of_ours_keeps_its_traceback(recipe: Path, pipeline: Callable[..., None]) -> None:
    pipeline(start=fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", str(recipe)])


def test_resume_needs_a_run_folder(
    tmp_path: Path, pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline(resume=lambda path, *, more_steps, evaluate_every: f"{path} +{more_steps} {evaluate_every}")
    assert cli.main(["resume", str(tmp_path / "none")]) == 2
    assert "is no folder; a run folder was expected" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert cli.main(["resume", str(tmp_path)]) == 0
    assert cli.main(["resume", str(tmp_path), "steps=+20"]) == 0
    assert cli.main(["resume", str(tmp_path), "steps=+20", "evaluate_every=5"]) == 0
    said = ["+0 None", "+20 None", "+20 5"]
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path} {words}" for words in said]


def test_generate_prints_completions_only(pipeline: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {}

    def generate_text(path: str, prompt: str, **settings: Any) -> list[str]:
        asked.update(settings, path=path, prompt=prompt)
        return [f"answer {i}" for i in range(settings["samples"])]

    pipeline(generate_text=generate_text)
    assert cli.main(["generate", "model", "2+2?", "--temperature", "0", "--max-completion-tokens", "9"]) == 0
    assert capsys.readouterr().out == "answer 0\n"
    assert asked == {"path": "model", "prompt": "2+2?", "samples": 1, "temperature": 0.0, "max_tokens": 9, "seed": 0}
    assert cli.main(["generate", "model", "x", "--samples", "2"]) == 0
    assert capsys.readouterr().out == "--- 1 of 2 ---\nanswer 0\n--- 2 of 2 ---\nanswer 1\n"


@pytest.mark.parametrize(
    "words", [["--samples", "0"], ["--temperature", "-1"], ["--temperature", "nan"], ["--seed", "x"]]
)
def test_numbers_out_of_range_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["generate", "model", "x", *words])
    assert caught.value.code == 2
    assert f'found "{words[1]}"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("rlvr.steps", "takes: an integer, at least 1"),
        ("dapo", "arXiv:2503.14476"),
        ("clip_high", "in dapo: 0.28"),
        ("rlvr.algorithm.domains", "takes: advantage, loss, ratio, clip_low"),
        ("rollout/informative_rate", "only they carry a signal"),
        ("eval/pass_at_1/arithmetic", "one sample solves a task"),
        ("eval/pass_at_1/reasoning-gym/simple_equations", "one sample solves a task"),
        ("rollout/conditions_mixed_rate/arithmetic", "right and wrong samples"),
    ],
)
def test_explain_knows_keys_algorithms_cells_and_metrics(
    key: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", key]) == 0
    assert line in capsys.readouterr().out


def test_explain_names_the_value_of_a_cell_in_the_rows_that_have_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "clip_high"]) == 0
    said = capsys.readouterr().out
    assert "  in dapo: 0.28\n" in said
    assert "in cispo" not in said
    assert "in rloo" not in said


@pytest.mark.parametrize(("key", "near"), [("dapp", "dapo"), ("clip_hig", "clip_high"), ("train/kll", "train/kl")])
def test_explain_names_the_nearest(key: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", key]) == 2
    assert f"hint: did you mean {near}?" in capsys.readouterr().err


def test_evaluation_settings_come_from_the_run_around_a_checkpoint(recipe: Path) -> None:
    from rlvr.config.reading import read_recipe, resolved_json

    run = recipe.parent / "runs" / "small"
    checkpoint = run / "1-sft" / "checkpoints" / "step-000004"
    checkpoint.mkdir(parents=True)
    (run / "1-sft" / "config.json").write_text("{}")
    (run / "config.json").write_text(json.dumps(resolved_json(read_recipe(recipe, ["seed=9"]))))
    (run / "provenance.json").write_text("{}")
    config, seed = evaluation_settings(
        str(checkpoint), data=[], text=[], limit=5, samples=4, overrides=["temperature=0.5"]
    )
    assert (seed, config.samples, config.temperature) == (9, 4, 0.5)
    assert [(entry.source, entry.limit) for entry in config.data] == [("arithmetic", 5)]


def test_a_damaged_config_of_the_run_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"recipe": ')
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        evaluation_settings(
            str(tmp_path / "checkpoints/step-000004"), data=[], text=[], limit=None, samples=None, overrides=[]
        )


def test_evaluation_settings_come_from_the_command_line() -> None:
    config, seed = evaluation_settings(
        "model", data=["gsm8k:test", "math:test"], text=[], limit=None, samples=None, overrides=[]
    )
    assert seed == 0
    assert [(entry.source, entry.split) for entry in config.data] == [("gsm8k", "test"), ("math", "test")]


def test_an_evaluation_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        evaluation_settings(str(tmp_path), data=[], text=[], limit=None, samples=None, overrides=[])
    assert "--data gsm8k:test" in caught.value.hint
