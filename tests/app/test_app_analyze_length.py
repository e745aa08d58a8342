"""`rlvr analyze length` reads a stage's rollouts, prints what lengths count for, and draws it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tiny import completion, task

from rlvr.app.analyze.length import sentences
from rlvr.app.cli import main
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.runs.folder import Run
from rlvr.training.length import LengthReport
from rlvr.types import Group, Verdict, read_only

RECIPE = """
name = "run"
[model]
path = "base"
[[stage]]
kind = "rlvr"
algorithm = {algorithm}
data = ["gsm8k:train"]
steps = 2
max_completion_tokens = 16
[[stage]]
kind = "rlvr"
name = "later"
algorithm = "dr_grpo"
data = ["gsm8k:train"]
steps = 2
"""


def group(index: int, *made: tuple[int, float | None, str]) -> Group:
    completions = tuple(completion([5] * tokens, finish=finish) for tokens, _, finish in made)
    verdicts = tuple(Verdict(outcome, "ok" if outcome is not None else "timeout") for _, outcome, _ in made)
    rewards = tuple(math.nan if outcome is None else outcome for _, outcome, _ in made)
    return Group(task(index), index, read_only([1, 3], "int64"), completions, verdicts, rewards)


def write_run(folder: Path, *others: Group, algorithm: str = '"dr_grpo"') -> Path:
    """A run whose first RLVR stage has taken two steps; one completion has no outcome, one was cut."""
    (folder / "recipe.toml").write_text(RECIPE.format(algorithm=algorithm))
    config = resolved_json(read_recipe(folder / "recipe.toml"))
    run = Run.create(folder / "run", config=config, provenance={})
    child = run.child("1-rlvr")
    for step in range(2):
        with child.step(step) as record:
            mixed = group(2 * step, (4, 1.0, "stop"), (4, 0.0, "stop"), (9, None, "stop"), (16, 0.0, "length"))
            record.rollouts([mixed, *others])
            record.metrics({"rollout/outcome_mean": 0.5})
    return run.path


def found(run: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["analyze", "length", str(run), "--stage", "rlvr", "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_what_has_no_outcome_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = found(write_run(tmp_path), capsys)
    assert report["own"] == "constant"
    assert report["bins"] == [[4, 4], [16, 16]]
    assert report["counts"] == {"right": [2, 0], "wrong": [2, 2]}
    # advantages 2/3, -1/3, -1/3: by tokens 4 and 16 of 20
    assert report["shares"]["constant"]["wrong"] == pytest.approx([0.2, 0.8])
    assert report["weights"]["constant"]["right"] == [1.0, None]


def test_what_the_row_does_not_learn_from_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = group(9, (7, 0.0, "stop"), (7, 0.0, "stop"))
    for name, algorithm in (("cut", '{ preset = "dr_grpo", drop_truncated = true }'), ("refilled", '"dapo"')):
        (tmp_path / name).mkdir()
        report = found(write_run(tmp_path / name, silent, algorithm=algorithm), capsys)
        assert report["bins"] == ([[4, 4], [7, 7]] if name == "cut" else [[4, 4], [16, 16]]), name


def test_the_page_is_drawn_beside_the_stage_and_needs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path)
    assert main(["analyze", "length", str(run), "--stage", "1-rlvr"]) == 0
    said = capsys.readouterr().out
    assert (
        "This run uses constant: of all that pushes wrong answers down, 80 % falls on those of 16 to 16 tokens" in said
    )
    assert "With sequence_mean it would be 50 %: long wrong answers would be held back less, and could grow" in said
    page = (run / "1-rlvr" / "length.html").read_text()
    assert page.count("<svg") == 5
    assert "http" not in page.split("<style>")[0].replace("http-equiv", "")


def test_the_rounds_of_an_iterate_stage_follow_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = RECIPE.replace('name = "later"', "rounds = 11").replace(
        'kind = "rlvr"\nrounds', 'kind = "iterate"\nrounds'
    )
    (tmp_path / "recipe.toml").write_text(recipe.format(algorithm='"dr_grpo"'))
    config = resolved_json(read_recipe(tmp_path / "recipe.toml"))
    stage = Run.create(tmp_path / "run", config=config, provenance={}).child("2-iterate")
    for number in range(12):  # the first holds only what was measured before the rounds
        child = stage.child(f"round-{number}")
        for step in range(2 if number else 0):
            with child.step(step) as record:
                record.rollouts([group(step, (number, 1.0, "stop"), (2 * number, 0.0, "stop"))])
                record.metrics({"rollout/outcome_mean": 0.5})
    assert main(["analyze", "length", str(tmp_path / "run"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["windows"][-1] == 22
    # as many tokens as the round has, in the order of the rounds: 10 and 11 come last
    assert report["lengths"]["right"][-1] == 11
    assert report["lengths"]["wrong"][0] == 2
    # every group is compared on its own, though the rounds number theirs alike
    assert sum(map(sum, report["counts"].values())) == 44
    assert sum(report["shares"]["sequence_mean"]["wrong"]) == pytest.approx(1)


def test_a_stage_that_is_not_there_or_took_no_step_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path)
    assert main(["analyze", "length", str(run), "--stage", "dpo"]) != 0
    assert "has no stage 'dpo': those that learn from rewards are 1-rlvr, 2-later" in capsys.readouterr().err
    Run.open(run).child("2-later")
    assert main(["analyze", "length", str(run)]) != 0
    assert "holds no training rollouts" in capsys.readouterr().err


def test_where_nothing_is_pushed_down_that_is_said() -> None:
    nothing = {"right": (1.0,), "wrong": (math.nan,)}
    report = LengthReport(
        own="constant",
        bins=((3, 3),),
        counts={"right": (2,), "wrong": (0,)},
        weights={"constant": nothing},
        shares={"constant": nothing},
        windows=(1, 2),
        lengths={"right": (3.0, 5.0), "wrong": (math.nan, math.nan)},
    )
    assert sentences(report) == [
        "Right answers went from 3 to 5 tokens on average.",
        "No wrong answer stood beside a right one, so none was pushed down.",
    ]
