import numpy as np
import pytest

from rlvr.statistics.noninferiority import kept, tasks_needed


def simulated(loss, *, tasks, runs=300, seed=0, changed=0.2):
    """How often of `runs` evaluations of right or wrong answers, of which a share changes, it is kept and lost."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(runs):
        change = rng.choice([-1, 0, 1], size=tasks, p=[(changed + loss) / 2, 1 - changed, (changed - loss) / 2])
        before = np.where(change == 0, rng.random(tasks) < 0.7, change < 0).astype(float)
        found.append(kept(before, before + change, margin=0.03))
    return np.mean([one.is_kept for one in found]), np.mean([one.is_lost for one in found])


def test_at_the_number_of_tasks_it_asks_for_harm_is_caught_and_harmless_runs_pass():
    tasks = tasks_needed(0.03, spread=0.2**0.5)
    # (1.645 + 1.645)² 0.2 / 0.0009
    assert tasks == pytest.approx(2405, abs=1)
    is_kept, _ = simulated(0.0, tasks=tasks)
    # standard error 0.013
    assert is_kept > 0.92
    is_kept, is_lost = simulated(0.06, tasks=tasks)
    assert is_kept < 0.02
    assert is_lost > 0.92


def test_a_loss_of_just_the_margin_counts_as_kept_as_seldom_as_promised():
    is_kept, is_lost = simulated(0.03, tasks=800, runs=600)
    # standard error 0.009
    assert is_kept < 0.08
    assert is_lost < 0.08


def test_too_few_tasks_tell_neither():
    found = kept([1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0], margin=0.02)
    assert (found.is_kept, found.is_lost) == (False, False)
    assert found.change.mean == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: kept([1.0], [1.0], margin=0.0),
        lambda: kept([1.0], [1.0], margin=0.1, error=0.5),
        lambda: tasks_needed(0.0, spread=0.4),
        lambda: tasks_needed(0.01, spread=0.0),
        lambda: tasks_needed(0.01, spread=0.4, power=1.0),
        lambda: tasks_needed(1e-6, spread=0.4),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match=r"must lie|needs"):
        make()
