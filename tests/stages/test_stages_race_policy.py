"""Who goes on in a race: ranks by hand, what safe needs to be sure of, faults, and what is refused."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from rlvr.errors import RecipeError
from rlvr.stages.race.policy import (
    FAULT_STEPS,
    Foresight,
    Policy,
    _tail,
    check,
    decide,
    fault,
    first_fault,
    halving,
    safe,
    smallest_lead,
    tasks_for_lead,
)

KNOWN = Foresight(slope=1.0, spread=0.01)


def rates(**chances):
    """Rates over 400 tasks that differ in difficulty, alike for all, with 4 samples each."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.2, size=400)
    return {name: rng.binomial(4, np.clip(chance + hard, 0, 1)) / 4 for name, chance in chances.items()}


def kept(found):
    return [name for name, decision in found.items() if decision.goes_on]


def test_halving_keeps_the_best_and_of_equals_the_first():
    policy = Policy("halving", (0.1, 0.3), (2, 1))
    scores = {
        "a": np.array([0.0, 0.5]),
        "b": np.array([1.0, 0.0]),
        "c": np.array([0.5, 0.5]),
        "d": np.array([1.0, 1.0]),
    }
    found = decide(policy, 0, scores, num_racers=4)
    assert kept(found) == ["b", "d"]
    assert (found["d"].reason, found["a"].reason) == ("1 of 4 with 100.0%", "4 of 4 with 25.0%")
    assert kept(decide(policy, 1, {name: scores[name] for name in ("b", "d")}, num_racers=4)) == ["d"]


def test_the_default_halving_of_8_costs_3_runs_in_full():
    policy = halving(8)
    assert (policy.shares, policy.keep) == ((0.1, 0.3), (4, 2))
    assert (halving(2).keep, halving(4).keep) == ((1, 1), (2, 1))
    # 6: (6 x 0.1 + 3 x 0.2 + 2 x 0.7) / 6
    assert halving(6).keep == (3, 2)
    costs = [(0.1 * n + 0.2 * halving(n).keep[0] + 0.7 * halving(n).keep[1]) / n for n in range(4, 40)]
    assert costs[2] == pytest.approx(2.6 / 6)
    assert max(costs) < 0.45


def test_safe_pauses_only_who_is_surely_behind_and_would_stay_there():
    scores = rates(a=0.7, b=0.69, c=0.3)
    assert kept(decide(safe(), 0, scores, num_racers=3, foresight=KNOWN)) == ["a", "b"]
    # without records a rung tells nothing of the end
    assert kept(decide(safe(), 0, scores, num_racers=3)) == ["a", "b", "c"]
    # and where the end is far off, it may still turn
    assert kept(decide(safe(), 0, scores, num_racers=3, foresight=Foresight(1.0, 0.5))) == ["a", "b", "c"]
    said = decide(safe(), 0, scores, num_racers=3, foresight=KNOWN)
    assert said["a"].reason.startswith("leads with")
    assert said["b"].reason == "not surely behind the leader"
    assert "points behind, ends best with a chance of" in said["c"].reason


def test_the_error_is_shared_by_every_ordered_pair_at_every_rung_and_by_lack_and_future(monkeypatch):
    asked = []

    def bounds(rows, *, error):
        asked.append(error)
        return np.full(rows.shape, 0.2)

    monkeypatch.setattr("rlvr.stages.race.policy.anytime_lower_bounds", bounds)
    policy = Policy("safe", (0.2, 0.4, 0.6), error=0.12)
    # a lack of 0.2 foretells 0.2 with deviation 0.05: the chance to end best is that of 4 deviations, 3.2e-5
    found = decide(policy, 0, rates(a=0.7, b=0.6), num_racers=5, foresight=Foresight(1.0, 0.05))
    assert asked == [pytest.approx(0.12 / (5 * 4 * 3) / 2)]
    assert kept(found) == ["a"]
    assert "chance of 0.0032%" in found["b"].reason
    # with as many more racers the part is 1.3e-5, and 4 deviations are not sure enough
    assert kept(decide(policy, 0, rates(a=0.7, b=0.6), num_racers=40, foresight=Foresight(1.0, 0.05))) == ["a", "b"]


def test_few_records_leave_a_larger_chance_that_the_last_becomes_the_best():
    policy = Policy("safe", (0.5,))
    # a lead of 4 deviations: 3.2e-5 where it is known; Student's t with 2 degrees is beyond it with a chance of
    # 1/2 - 4 / (2 sqrt(18)) = 0.0286, above the part 0.1 / 2 / 2 = 0.025
    lack = -Foresight(1.0, 0.05).spread * 4
    assert _tail(-lack, Foresight(1.0, 0.05)) == pytest.approx(3.167e-5, rel=1e-3)
    assert _tail(-lack, Foresight(1.0, 0.05, 2)) == pytest.approx(0.5 - 4 / (2 * 18**0.5))
    assert _tail(-lack, Foresight(1.0, 0.0, 2)) == 0.0
    # the slope that records of square sum 0.02 told is off by 0.05 / sqrt(2) / sqrt(0.02) = 0.25, so a lead of 0.2 by
    # 0.05 more: the spread is sqrt(2) times 0.05
    assert _tail(-lack, Foresight(1.0, 0.05, 0, 0.02)) == pytest.approx(NormalDist().cdf(-4 / 2**0.5))
    scores = {"a": np.full(4000, 1.0), "b": np.full(4000, 0.79)}
    assert kept(decide(policy, 0, scores, num_racers=2, foresight=Foresight(1.0, 0.05))) == ["a"]
    assert kept(decide(policy, 0, scores, num_racers=2, foresight=Foresight(1.0, 0.05, 2))) == ["a", "b"]


def test_the_smallest_lead_shrinks_with_tasks_and_the_number_asked_for_shows_it():
    policy = safe()
    leads = [smallest_lead(policy, num_racers=8, num_tasks=count) for count in (50, 200, 1000, 4000)]
    assert leads == sorted(leads, reverse=True)
    assert leads[-1] < 0.05 < leads[0]
    assert smallest_lead(policy, num_racers=8, num_tasks=1) == 1.0
    needed = tasks_for_lead(policy, 0.1, num_racers=8)
    assert smallest_lead(policy, num_racers=8, num_tasks=needed) <= 0.1
    with pytest.raises(ValueError, match="no number of tasks"):
        tasks_for_lead(policy, 0.0, num_racers=8)


def test_one_racer_left_goes_on():
    for policy in (halving(4), safe()):
        assert kept(decide(policy, 0, rates(a=0.1), num_racers=4, foresight=KNOWN)) == ["a"]


@pytest.mark.parametrize("scores", [{}, {"a": np.zeros(3), "b": np.zeros(4)}, {"a": np.zeros(0)}])
def test_racers_that_were_asked_other_tasks_are_refused(scores):
    with pytest.raises(ValueError, match="same tasks, at least one"):
        decide(safe(), 0, scores, num_racers=2)


def test_rungs_fall_on_steps():
    assert check(halving(8), num_racers=8, steps=80) == (8, 24)
    assert check(safe(), num_racers=2, steps=10) == (2, 4, 6)


@pytest.mark.parametrize(
    ("policy", "racers", "steps", "said"),
    [
        (halving(8), 1, 80, "at least 2 racers"),
        (Policy("safe", ()), 4, 80, "without rungs"),
        (Policy("safe", (0.5, 0.2)), 4, 80, "must rise"),
        (Policy("safe", (0.5, 1.0)), 4, 80, "between 0 and 1"),
        (Policy("safe", (0.0, 0.5)), 4, 80, "between 0 and 1"),
        (Policy("halving", (0.1, 0.3), (4, 5)), 8, 80, "at most the one before"),
        (Policy("halving", (0.1, 0.3), (9, 2)), 8, 80, "at most the one before"),
        (Policy("halving", (0.1, 0.3), (4, 0)), 8, 80, "at most the one before"),
        (Policy("halving", (0.1, 0.3), (4,)), 8, 80, "as many numbers to keep"),
        (halving(8), 8, 4, "more steps"),
        (Policy("safe", (0.99,)), 4, 10, "fall on steps"),
        (safe(error=0.5), 4, 80, "error"),
    ],
)
def test_a_race_that_cannot_be_is_refused(policy, racers, steps, said):
    with pytest.raises(RecipeError, match=said) as caught:
        check(policy, num_racers=racers, steps=steps)
    assert said in caught.value.message or said == caught.value.hint


def lines(count=60, **last):
    usual = {"train/loss": 0.1, "train/grad_norm": 1.0, "train/entropy": 0.5, "train/kl": 0.01}
    found = [{"step": step, **usual, "rollout/informative_rate": 0.5} for step in range(count)]
    return [*found[:-1], {**found[-1], **last}]


def test_a_sound_racer_has_no_fault():
    assert fault([]) == ""
    assert fault(lines()) == ""
    assert fault(lines(3)) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lines(**{"train/loss": math.nan}), "train/loss is nan at step 60"),
        (lines(2, **{"train/kl": math.inf}), "train/kl is inf at step 2"),
        (lines(**{"train/kl": 6.0}), "above 5"),
        (lines(**{"train/grad_norm": 150.0}), "100 times its median"),
        ([{**line, "rollout/informative_rate": 0.0} if line["step"] >= 40 else line for line in lines()], "no group"),
        ([{**line, "train/entropy": 1e-4} if line["step"] >= 40 else line for line in lines()], "train/entropy fell"),
    ],
)
def test_a_fault_is_named(found, said):
    assert said in fault(found)


def test_a_fault_is_found_where_it_was_however_late_one_looks():
    spike = [{**line, "train/grad_norm": 150.0} if line["step"] == 30 else line for line in lines()]
    assert fault(spike) == ""
    assert first_fault(spike) == (31, fault(spike[:31]))
    assert first_fault(spike, known=30) == first_fault(spike)
    assert first_fault(spike, known=31) == (0, "")
    assert first_fault(lines()) == (0, "")


def test_idle_steps_do_not_hide_a_gradient_that_blows_up():
    idle = [{**line, "train/grad_norm": 0.0} if line["step"] % 3 else line for line in lines()]
    assert fault(idle) == ""
    assert "100 times" in fault([*idle[:-1], {**idle[-1], "train/grad_norm": 150.0}])


def test_a_racer_that_gets_all_right_has_no_signal_and_no_fault():
    easy = [{**line, "rollout/informative_rate": 0.0, "rollout/all_right_rate": 1.0} for line in lines()]
    assert fault(easy) == ""
    # half of the groups all right, half all wrong: the rungs decide on it
    assert fault([{**line, "rollout/all_right_rate": 0.5} for line in easy]) == ""
    assert "none was all right for 20 steps, at step 60" in fault([{**e, "rollout/all_right_rate": 0.0} for e in easy])
    # a step without a signal measures no entropy
    silent = [{key: line[key] for key in line if key != "train/entropy"} for line in easy]
    assert fault([*lines(), *({**line, "step": 60 + line["step"]} for line in silent)]) == ""
    assert fault(silent) == ""


def test_a_row_that_compares_no_groups_is_hopeless_where_none_is_right_at_all():
    alone = [{key: line[key] for key in line if key != "rollout/informative_rate"} for line in lines()]
    none = [{**line, "rollout/all_right_rate": 0.0, "rollout/all_wrong_rate": 1.0} for line in alone]
    assert "no group had a signal" in fault(none)
    assert fault([{**line, "rollout/all_wrong_rate": 0.9} for line in none]) == ""


def test_safe_pauses_from_the_lead_on_that_it_says():
    policy, size = safe(), 400
    lead = smallest_lead(policy, num_racers=3, num_tasks=size)
    noise = np.random.default_rng(0).normal(0.0, 0.35, size=size)
    noise = np.clip(noise - noise.mean(), -1.0, 1.0)
    for share, left in ((0.9, ["a", "b", "c"]), (1.1, ["a", "c"])):
        off = np.clip(noise + share * lead, -1.0, 1.0) / 2  # the rates 0.5 + off and 0.5 - off differ by twice that
        scores = {"a": 0.5 + off, "b": 0.5 - off, "c": 0.5 + off}
        assert kept(decide(policy, 0, scores, num_racers=3, foresight=Foresight(1.0, 1e-6))) == left


def test_a_fault_that_just_begins_is_none():
    silent = [
        {**line, "rollout/informative_rate": 0.0} if line["step"] > 60 - FAULT_STEPS else line for line in lines()
    ]
    assert fault(silent) == ""
