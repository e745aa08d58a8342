"""Recorded curves: what they have in common, how far a rung tells the end, and the races drawn from them."""

import hashlib

import numpy as np
import pytest

from rlvr.errors import DataError
from rlvr.stages.race.curves import Curve, Recorded, in_race_order, records_of
from rlvr.stages.race.policy import halving
from rlvr.stages.race.simulate import World, simulate


def scored(name, **scores):
    return Curve(name, (), {int(step[1:]): (score,) for step, score in scores.items()})


TASKS = tuple(in_race_order(("t0", "t1", "t2", "t3")))
FOUR = [
    scored("a", s10=0.1, s20=0.1, s40=0.30),
    scored("b", s10=0.2, s40=0.40),
    scored("c", s10=0.3, s20=0.2, s40=0.45),
    scored("d", s10=0.4, s20=0.2, s40=0.65),
]


def test_only_what_all_were_measured_at_counts():
    records = records_of(FOUR)
    assert records.steps == (10, 40)
    assert records.rates.shape == (4, 2, 1)
    assert records.judging == pytest.approx([0.3, 0.4, 0.45, 0.65])
    assert (records.place(0.1), records.place(0.9)) == (0, 0)
    assert records.spread() is None


def test_the_foresight_is_the_line_of_least_squares_by_hand():
    # early - .25: -.15 -.05 .05 .15, squares .05; late - .45: -.15 -.05 0 .2, products .0225 + .0025 + .03 = .055:
    # slope 1.1. Left: .015 .005 -.055 .035, squares .0045, over 2: .00225, deviation .047434, of a difference .067082.
    found = records_of(FOUR).foresight(0)
    assert (found.slope, found.spread) == (pytest.approx(1.1), pytest.approx(0.067082, abs=1e-6))
    assert found.degrees == 2  # 4 racers less 2
    assert found.square_sum == pytest.approx(0.05)
    told = records_of(FOUR).foretold(0)
    # .055 / sqrt(.05 x .065)
    assert told is not None
    assert told.mean == pytest.approx(0.964764, abs=1e-6)


def test_one_half_of_the_tasks_decides_and_the_other_judges():
    curves = [Curve(f"s{n}", TASKS, {10: (0.0, 1.0, 0.0, 1.0), 20: (n / 10, 0.5, 0.0, 1.0)}) for n in range(5)]
    records = records_of(curves)
    assert records.deciding.shape == (5, 2, 2)
    assert records.judging == pytest.approx([0.75] * 5)
    race = Recorded(records, (0.5,)).race(3, np.random.default_rng(0))
    assert race.rungs.shape == (1, 3, 2)
    assert set(race.measured[:, 0]) < {n / 10 for n in range(5)}
    assert records.foretold(0) is None
    assert records.foresight(0).slope == 0.0


def test_the_tasks_of_records_come_in_the_order_of_a_race_whatever_that_of_the_file():
    names = tuple(f"{domain}/{n}" for domain in ("arithmetic", "words") for n in range(8))
    curves = [Curve(f"s{n}", names, {10: tuple(range(16)), 20: tuple(range(16))}) for n in range(4)]
    order = sorted(range(16), key=lambda place: hashlib.blake2b(names[place].encode()).digest())
    assert records_of(curves).rates[0, 0].tolist() == order
    assert order != sorted(order)


def test_tasks_are_matched_by_name():
    first = Curve("a", ("x", "y"), {1: (0.1, 0.2), 2: (0.3, 0.4)})
    others = [Curve(n, ("y", "z", "x"), {1: (0.5, 0.0, 0.6), 2: (0.7, 0.0, 0.8)}) for n in "bcd"]
    records = records_of([first, *others])
    assert records.rates[0].tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert records.rates[1].tolist() == [[0.6, 0.5], [0.8, 0.7]]


def test_races_of_many_recorded_curves_are_like_those_of_their_world():
    world = World(0.05, (0.6, 0.8))
    drawn = world.race(400, np.random.default_rng(1))
    tasks = tuple(map(str, range(world.num_tasks)))
    steps = zip((10, 30, 100), (*drawn.rungs, drawn.measured), strict=True)
    by_step = {step: rates.tolist() for step, rates in steps}
    curves = [Curve(str(n), tasks, {step: tuple(rates[n]) for step, rates in by_step.items()}) for n in range(400)]
    records = records_of(curves)
    made = simulate(halving(8), Recorded(records, (0.1, 0.3)), num_races=400)
    assert made.cost == pytest.approx(0.375)
    # 4 samples of 128 tasks at rates around 0.6: noise of variance 0.22 / 512, beside 0.0025 the share 0.147 of all, so
    # that a rung tells 0.8 x 0.853 = 0.68; standard error 0.035
    assert records.foresight(1).slope == pytest.approx(0.68, abs=0.1)
    again = simulate(halving(8), world, num_races=400)
    assert made.lost_rate == pytest.approx(again.lost_rate, abs=0.15)


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        (FOUR[:3], "3 curves tell nothing"),
        ([*FOUR, scored("e", s10=0.5, s50=0.5)], "end at steps"),
        ([*FOUR, scored("e", s40=0.5)], "in common"),
        ([Curve(n, (n,), {1: (0.5,), 2: (0.5,)}) for n in "abcd"], "no task was asked of all"),
        ([*FOUR, Curve("e", ("t",), {10: (0.5,), 40: (0.5,)})], "no task was asked of all"),
    ],
)
def test_curves_that_have_nothing_in_common_are_refused(curves, said):
    with pytest.raises(DataError, match=said):
        records_of(curves)
