import numpy as np
import pytest

from rlvr.statistics.intervals import Interval, paired_difference_interval
from rlvr.statistics.noninferiority import decide, tasks_for_gate, tasks_needed


def simulated(loss, *, tasks, margin, runs=4000, changed=0.2, error=0.05):
    """How often, of `runs` evaluations, is what said: a share `changed` turns, half each way, and `loss` more to wrong.

    Interval by interval what paired_difference_interval gives, from the counts of tasks that turned.
    """
    rng = np.random.default_rng(0)
    counts = rng.multinomial(tasks, [changed / 2 + loss, changed / 2, 1 - changed - loss], size=runs)
    found = []
    for (worse, better, _), times in zip(*np.unique(counts, axis=0, return_counts=True), strict=True):
        after = np.repeat([0.0, 1.0, 0.5], [worse, better, tasks - worse - better])
        before = np.repeat([1.0, 0.0, 0.5], [worse, better, tasks - worse - better])
        found += [decide(paired_difference_interval(before, after, confidence=1 - 2 * error), margin=margin)] * times
    return {said: found.count(said) / runs for said in ("kept", "lost", "not told")}


def test_an_interval_is_kept_above_the_margin_lost_below_it_and_else_not_told():
    assert decide(Interval(0.0, -0.019, 0.02), margin=0.02) == "kept"
    assert decide(Interval(-0.05, -0.08, -0.021), margin=0.02) == "lost"
    assert decide(Interval(-0.05, -0.08, -0.02), margin=0.02) == "not told"
    assert decide(Interval(0.0, -0.02, 0.02), margin=0.02) == "not told"


@pytest.mark.parametrize(("margin", "changed"), [(0.02, 0.0), (0.02, 0.1), (0.05, 0.02), (0.05, 0.2), (0.1, 0.3)])
def test_at_the_number_of_tasks_it_asks_for_twice_the_margin_is_caught_and_harmless_runs_pass(margin, changed):
    tasks = tasks_for_gate(margin, deviation=changed**0.5)
    harmless = simulated(0.0, tasks=tasks, margin=margin, changed=changed)
    harmful = simulated(2 * margin, tasks=tasks, margin=margin, changed=changed)
    # Standard error 0.0034. Of both rules, to reject what is lost and what is not kept, the one that tells less counts.
    assert harmless["kept"] >= 0.95
    assert harmful["lost"] >= 0.95 - 0.0034


def test_as_many_figures_as_are_judged_share_the_error():
    tasks = tasks_for_gate(0.05, deviation=0.2**0.5, num_figures=5)
    assert tasks > 1.8 * tasks_for_gate(0.05, deviation=0.2**0.5)
    harmless = simulated(0.0, tasks=tasks, margin=0.05, error=0.01)
    harmful = simulated(0.1, tasks=tasks, margin=0.05, error=0.01)
    assert harmless["kept"] >= 0.99
    assert harmful["lost"] >= 0.99 - 0.0016


def test_the_number_of_tasks_is_that_of_the_loss_whose_answers_deviate_more():
    # A loss of 0.04 deviates by 0.1 + 0.04 * 0.96 = 0.1384; (1.645 + 1.645)² 0.1384 / 0.02² = 3745, two in a hundred
    # more are 3820, and a few for the t quantile and the pseudo-pairs
    assert tasks_for_gate(0.02, deviation=0.1**0.5) == pytest.approx(3830, abs=8)
    assert tasks_needed(0.02, spread=0.1384**0.5) == pytest.approx(3745, abs=1)


def test_a_loss_of_just_the_margin_counts_as_kept_as_seldom_as_promised():
    found = simulated(0.03, tasks=800, margin=0.03)
    # standard error 0.0034
    assert found["kept"] < 0.06
    assert found["lost"] < 0.06


def test_too_few_tasks_tell_neither():
    change = paired_difference_interval([1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0], confidence=0.9)
    assert decide(change, margin=0.02) == "not told"


@pytest.mark.parametrize(
    "make",
    [
        lambda: decide(Interval(0.0, -0.1, 0.1), margin=0.0),
        lambda: tasks_for_gate(0.0, deviation=0.1),
        lambda: tasks_for_gate(0.5, deviation=0.1),
        lambda: tasks_for_gate(0.1, deviation=-0.1),
        lambda: tasks_for_gate(0.1, deviation=0.1, error=0.5),
        lambda: tasks_for_gate(0.1, deviation=0.1, num_figures=0),
        lambda: tasks_for_gate(1e-5, deviation=0.4),
        lambda: tasks_needed(0.0, spread=0.4),
        lambda: tasks_needed(0.01, spread=0.0),
        lambda: tasks_needed(0.01, spread=0.4, power=1.0),
        lambda: tasks_needed(1e-6, spread=0.4),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match=r"must lie|needs"):
        make()
