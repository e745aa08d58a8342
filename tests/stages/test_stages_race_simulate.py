"""Simulated races: what each rule costs and loses, against what can be known by hand."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from rlvr.stages.race.policy import Policy, halving, safe
from rlvr.stages.race.simulate import Race, World, asha_goes_on, break_even, gain_over, run_asha, run_fewer, simulate

TWO, THREE = (0.5, 0.7), (0.5, 0.6, 0.7)


def test_a_world_is_what_it_says():
    world, rng = World(0.05, (0.3, 0.9), task_spread=0.0, num_tasks=4000, samples=4), np.random.default_rng(1)
    races = [world.race(8, rng) for _ in range(150)]
    ends = np.concatenate([race.ends for race in races])
    assert np.std(ends) == pytest.approx(0.05, abs=0.004)
    early = [np.concatenate([race.rungs[rung].mean(axis=1) for race in races]) for rung in (0, 1)]
    # 4,000 tasks with 4 samples: the noise has deviation 0.004 beside 0.05
    assert [np.corrcoef(e, ends)[0, 1] for e in early] == pytest.approx([0.3, 0.9], abs=0.08)
    assert np.mean(early[0]) == pytest.approx(0.6, abs=0.01)


def test_halving_spends_its_share_and_beats_fewer_seeds_where_rungs_tell():
    told = World(0.03, (0.7, 0.9))
    found = simulate(halving(8), told, num_races=400)
    assert found.cost == pytest.approx(0.375)
    fewer = simulate("fewer", told, num_races=400, budget=found.cost)
    assert fewer.cost == pytest.approx(found.cost, abs=0.01)
    assert found.regret.high < fewer.regret.low
    nothing = World(0.03, (0.0, 0.0))
    assert (
        simulate(halving(8), nothing, num_races=400).regret.mean
        > simulate("fewer", nothing, num_races=400, budget=0.375).regret.mean
    )


def test_a_gain_on_recorded_curves_counts_the_curves_and_not_the_races():
    base = simulate(halving(8), World(0.03, TWO), num_races=3)
    drawn = ((0, 1), (0, 2), (1, 2)) * 100
    own = replace(base, regrets=(0.0,) * 300, curves=drawn)
    other = replace(base, regrets=(0.1, 0.2, 0.6) * 100, curves=drawn)
    # Without curve 0, 1, 2: 0.6, 0.2, 0.1, mean 0.3; 2/3 · (0.3² + 0.1² + 0.2²) = 0.0933, root 0.30551, t of 2 degrees
    assert astuple(gain_over(other, own)) == pytest.approx((0.3, 0.3 - 4.302653 * 0.305505, 0.3 + 4.302653 * 0.305505))
    # Where every race has all curves none can be left out.
    own, other = (replace(one, curves=((0, 1, 2),) * 300) for one in (own, other))
    assert astuple(gain_over(other, own)) == pytest.approx((0.3, -1.0, 1.0))


def test_a_gain_is_that_of_single_races_by_hand():
    # 0.03 - 0.01, 0.02 - 0.02, 0.05 - 0.01: mean 0.02, deviation 0.02, of the mean 0.02 / sqrt(3) = 0.011547
    own, other = (simulate(halving(8), World(0.03, TWO), num_races=3) for _ in range(2))
    own, other = replace(own, regrets=(0.01, 0.02, 0.01)), replace(other, regrets=(0.03, 0.02, 0.05))
    found = gain_over(other, own)
    assert (found.mean, found.low) == (pytest.approx(0.02), pytest.approx(0.02 - 4.302653 * 0.011547, abs=1e-6))
    assert gain_over(own, own).mean == 0.0


def test_keeping_all_loses_nobody_and_running_fewer_loses_as_many_as_it_leaves_out():
    world = World(0.03, TWO)
    everyone = simulate(Policy("halving", (0.1, 0.3), (8, 8)), world, num_races=100)
    assert (everyone.cost, everyone.lost_rate, everyone.paused_rate) == (pytest.approx(1.0), 0.0, 0.0)
    fewer = simulate("fewer", world, num_races=800, budget=0.25)
    # the best is one of 8; standard error 0.015
    assert fewer.lost_rate == pytest.approx(0.75, abs=0.05)


def test_safe_loses_the_best_as_seldom_as_it_says_and_pauses_where_seeds_lie_far_apart():
    apart = World(0.15, (0.9, 0.95, 0.99))
    found = simulate(safe(0.1), apart, num_races=300)
    assert found.paused_rate > 0.5
    assert found.cost < 0.95
    assert found.lost_rate <= 0.1


def test_safe_pauses_nobody_where_seeds_do_not_differ():
    alike = World(1e-9, (0.99, 0.99, 0.99))
    assert simulate(safe(0.1), alike, num_races=500).paused_rate <= 0.1


def test_asha_stops_who_is_below_the_quantile_so_far():
    world, rng = World(0.05, TWO), np.random.default_rng(0)
    race = world.race(8, rng)
    ended, cost = run_asha((0.1, 0.3), race, rng)
    assert 1 <= len(ended) <= 8
    assert 0.1 < cost < 1
    same = Race(race.ends, np.zeros_like(race.rungs), race.measured)
    everyone, full = run_asha((0.1, 0.3), same, rng)
    assert (sorted(everyone), full) == (list(range(8)), 1.0)  # nobody is below the rest


def test_asha_decides_by_the_quantile_of_those_before():
    # Of 0.1, 0.2, 0.3, 0.4 the quantile 0.75 lies at 0.3 + 0.25 x 0.1 = 0.325
    recorded = [0.4, 0.1, 0.3, 0.2]
    assert asha_goes_on(0.33, recorded)
    assert not asha_goes_on(0.32, recorded)
    assert asha_goes_on(0.0, [])
    assert asha_goes_on(0.26, recorded, reduction=2)


@pytest.mark.parametrize(("share", "known"), [(0.05, 0.10), (0.1, 0.20), (0.3, 0.45), (0.5, 0.65)])
def test_from_the_known_correlation_on_halving_beats_fewer_racers_in_full(share, known):
    # 8 racers of which 2 are kept, against a table that another simulation made, on a grid and rounded up
    assert break_even(Policy("halving", (share,), (2,)), num_racers=8) == pytest.approx(known, abs=0.07)


def test_a_budget_between_two_numbers_is_met_on_average():
    race, rng = World(0.05, TWO).race(8, np.random.default_rng(0)), np.random.default_rng(3)
    counts = [len(run_fewer(0.3, race, rng)[0]) for _ in range(2000)]
    assert set(counts) == {2, 3}
    assert np.mean(counts) == pytest.approx(2.4, abs=0.05)


def test_equal_seeds_give_equal_results():
    world = World(0.03, THREE)
    assert simulate(safe(), world, num_races=30, seed=5) == simulate(safe(), world, num_races=30, seed=5)
