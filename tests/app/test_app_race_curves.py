"""Curves in files: both forms are read, what is none is refused, and a simulation says what they tell."""

import json
from pathlib import Path

import numpy as np
import pytest

from rlvr.app.cli import main
from rlvr.app.race.command import _foresight, _words
from rlvr.app.race.curves import as_json, read_curves
from rlvr.app.race.simulating import verdict
from rlvr.errors import DataError, UsageError
from rlvr.stages.race.curves import Curve, records_of
from rlvr.stages.race.policy import Foresight
from rlvr.stages.race.simulate import Result, World
from rlvr.statistics.intervals import Interval

TASKS = tuple(f"words/{n}" for n in range(64))


def curves_of(world: World, count: int) -> list[Curve]:
    race = world.race(count, np.random.default_rng(3))
    steps = dict(zip((40, 120, 400), (*race.rungs, race.measured), strict=True))
    return [
        Curve(f"seed-{n}", TASKS, {step: tuple(map(float, rates[n])) for step, rates in steps.items()})
        for n in range(count)
    ]


def stored(path: Path, curves: list[Curve]) -> Path:
    path.write_text("".join(json.dumps(as_json(curve)) + "\n" for curve in curves))
    return path


def test_what_is_written_is_read_again_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    curves = curves_of(World(0.05, (0.5, 0.9), num_tasks=64), 4)
    assert read_curves(stored(tmp_path / "all.jsonl", curves)) == curves
    assert read_curves(tmp_path) == curves
    (tmp_path / "one.json").write_text('{"racer": "x", "scores": {"80": 0.5, "40": 0.25}}')
    assert read_curves(tmp_path)[-1] == Curve("x", (), {40: (0.25,), 80: (0.5,)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no curves"),
        ("{", "is no curve"),
        ("[1]", "is no curve"),
        ('{"scores": {"1": 0.5}}', "is no curve"),
        ('{"racer": "a", "scores": {"1": 50}}', "outside 0 to 1"),
        ('{"racer": "a", "scores": {"one": 0.5}}', "is no curve"),
        ('{"racer": "a", "tasks": ["t", "u"], "rates": {"1": [0.5]}}', "a rate for each of its tasks"),
    ],
)
def test_what_is_no_curve_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        read_curves(tmp_path / "bad.jsonl")


def test_a_simulation_says_what_recorded_curves_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["race", "--simulate", "--seeds", "8", "--races", "300", "--curves"]
    apart = stored(tmp_path / "apart.jsonl", curves_of(World(0.15, (0.95, 0.97), num_tasks=64), 24))
    assert main([*words, str(apart)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "halving at 40, 120" in said
    assert "Correlation of step 120 with the end, over 24 curves: 0.9" in said
    assert "Break-even: halving beats fewer seeds from a correlation of its last rung with the end of 0." in said
    assert "is larger than the noise of evaluation" in said
    assert "Halving pays on these curves: beside fewer seeds for the same steps it gains +" in said
    assert "For safe" not in said  # its rungs are not among the steps
    assert "What safe would do is not known" in said
    assert said.index("These curves suit halving.") > said.index("Halving pays")
    alike = stored(tmp_path / "alike.jsonl", curves_of(World(1e-9, (0.5, 0.5), num_tasks=64), 24))
    assert main([*words, str(alike)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is not larger than the noise of evaluation" in said
    assert "train fewer of them, longer" in said


def test_halving_does_not_pay_where_the_rungs_tell_nothing_though_it_is_the_last_that_would(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # the first rung, where 6 become 3, points the wrong way, and the last one tells the end almost exactly
    world = World(0.15, (-0.9, 0.97), num_tasks=64)
    path = stored(tmp_path / "wrong.jsonl", curves_of(world, 24))
    assert main(["race", "--simulate", "--seeds", "6", "--races", "1000", "--curves", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Correlation of step 120 with the end, over 24 curves: 0.8" in said
    assert "Halving does not pay on these curves: beside fewer seeds it gains -" in said
    assert "These curves suit fewer seeds in full: halving is not shown to pay." in said


def result_with(regrets: tuple[float, ...], *, cost: float) -> Result:
    return Result(Interval(0.0, 0.0, 0.0), 0.01, 0.3, cost, regrets, curves=((), (), ()))


WORSE, EQUAL, BETTER = (0.03, 0.04, 0.03), (0.02, 0.03, 0.02), (0.0, 0.01, 0.0)


@pytest.mark.parametrize(
    ("halved", "careful", "cost", "said"),
    [
        (BETTER, EQUAL, 0.99, "These curves suit halving."),
        (BETTER, BETTER, 0.8, "These curves suit halving, or safe where the best one must not be lost."),
        (
            WORSE,
            BETTER,
            0.8,
            "These curves suit safe: it pays and saves 20% of the steps, and halving is not shown to pay.",
        ),
        (
            EQUAL,
            BETTER,
            0.99,
            "Which rule suits is not told: 8 curves are too few to tell halving from fewer seeds in full. More "
            "recorded curves narrow the interval, and more held-out tasks the noise of the end.",
        ),
        (
            WORSE,
            BETTER,
            0.99,
            "These curves suit fewer seeds in full: halving is not shown to pay and safe saves less than 5% of the "
            "steps.",
        ),
        (
            WORSE,
            WORSE,
            0.8,
            "These curves suit fewer seeds in full: halving is not shown to pay and safe is not shown to pay.",
        ),
    ],
)
def test_the_rule_is_recommended_that_gains_over_fewer_seeds_in_full(
    halved: tuple[float, ...], careful: tuple[float, ...], cost: float, said: str
) -> None:
    records = records_of(curves_of(World(0.15, (0.95, 0.97), num_tasks=64), 8))
    fewer = result_with(EQUAL, cost=0.4)
    lines = verdict(
        records,
        {
            "halving": {"halving": result_with(halved, cost=0.4), "fewer seeds": fewer},
            "safe": {"safe": result_with(careful, cost=cost), "fewer seeds": fewer},
        },
    )
    assert lines[-1] == said
    assert lines[-2] == (
        f"Safe pauses somebody in 30.0% of these races and the best one in 1.0%, and saves {100 * (1 - cost):.1f}% of "
        "the steps."
    )


def test_of_means_alone_nothing_is_said_of_safe() -> None:
    records = records_of([Curve(f"seed-{n}", (), {40: (0.1 * n,), 400: (0.1 * n,)}) for n in range(4)])
    found = {
        rule: {rule: result_with(BETTER, cost=0.4), "fewer seeds": result_with(EQUAL, cost=0.4)}
        for rule in ("halving", "safe")
    }
    first, *_, last = verdict(records, found)
    assert first.endswith("the noise of evaluation is not known, nor what safe would do.")
    assert last == "These curves suit halving."


def test_foresight_is_said_for_each_rung_of_safe_and_is_read_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    race = World(0.1, (0.3, 0.6, 0.9), num_tasks=64).race(8, np.random.default_rng(3))
    by_step = dict(zip((20, 40, 60, 100), (*race.rungs, race.measured), strict=True))
    curves = [
        Curve(f"seed-{n}", TASKS, {step: tuple(map(float, rates[n])) for step, rates in by_step.items()})
        for n in range(8)
    ]
    words = ["race", "--simulate", "--policy", "safe", "--seeds", "4", "--races", "20", "--curves"]
    assert main([*words, str(stored(tmp_path / "eight.jsonl", curves))]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "For safe with rungs at steps 20, 40, 60, fitted on these same curves: --rungs 0.2,0.4,0.6" in said
    text = said.partition('--foresight "')[2].partition('"')[0]
    records = records_of(curves)
    for place, found in enumerate(_foresight(text, num_rungs=3)):
        ahead = records.foresight(place)
        assert (found.slope, found.degrees) == (pytest.approx(ahead.slope, abs=0.005), 6)
        assert found.spread == pytest.approx(ahead.spread, abs=5e-5)
        assert found.square_sum == pytest.approx(ahead.square_sum, rel=0.05)


def test_one_foresight_holds_for_all_rungs() -> None:
    assert _foresight("0.8,0.02", num_rungs=2) == (Foresight(0.8, 0.02),) * 2
    assert _foresight("", num_rungs=2) == (Foresight(),) * 2
    assert _foresight("0.8,0.02,22,0.05", num_rungs=1) == (Foresight(0.8, 0.02, 22, 0.05),)
    with pytest.raises(UsageError, match="2 pairs for 3 rungs"):
        _foresight("0.8,0.02;0.9,0.01", num_rungs=3)


@pytest.mark.parametrize(
    "text",
    [
        "nan,0.1",
        "0.8,inf",
        "0.8",
        "0.8,-1",
        "0.8,0.1,2",
        "0.8,0.1,2.5,1",
        "0.8,0.1,-2,1",
        "0.8,0.1,2,-1",
        "a,b",
        "0.8,0.1;",
    ],
)
def test_a_foresight_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--foresight"):
        _foresight(text, num_rungs=2)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--simulate", "--seeds", "6"], "4 curves give no race of 6"),
        (["--simulate", "--seeds", "4", "--rungs", "0.05,0.1,0.15"], "too few for rungs"),
        (["--seeds", "4"], "--curves is for --simulate"),
        (["--simulate", "--seeds", "4", "--spread", "0.02"], "--spread is of races that are made up"),
        (["--simulate", "--seeds", "4", "--tasks", "256"], "--tasks is of races that are made up"),
        (["--simulate", "--seeds", "4", "--races", "1"], "2 races at least"),
    ],
)
def test_a_simulation_that_curves_do_not_allow_is_refused(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path / "few.jsonl", curves_of(World(0.05, (0.5, 0.9), num_tasks=64), 4))
    assert main(["race", *more, "--curves", str(path)]) != 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["recipe.toml"], "a RECIPE says nothing to --simulate"),
        (["--alternative", "rlvr.steps=3"], "--alternative says nothing"),
        (["--policy", "safe", "--margin", "0.05"], "--margin says nothing"),
        (["--policy", "safe", "--foresight", "nan,1"], "--foresight says nothing"),
        (["--budget", "9steps"], "--budget says nothing"),
        (["--cook", "10%"], "--cook says nothing"),
        (["--jobs", "2"], "--jobs says nothing"),
        (["--keep", "inf,2"], "--keep inf,2 are no numbers"),
        (["--keep", "nan"], "--keep nan are no numbers"),
        (["--keep", "1.5,1"], "are no whole numbers"),
        (["--rungs", "nan"], "--rungs nan are no numbers"),
        (["--spread", "nan"], "must lie between 0 and 1"),
    ],
)
def test_a_simulation_refuses_what_it_would_not_heed(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["race", "--simulate", "--races", "2", *more]) != 0
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_alternative_with_an_unclosed_quote_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read: No closing quotation"):
        _words("rlvr.algorithm='grpo")
