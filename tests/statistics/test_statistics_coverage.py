"""A few cells of benchmarks/interval_coverage.py: those in which few tasks tell anything."""

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def held_rate(monkeypatch):
    """A way to say how often the interval of a cell holds the truth, over 600 evaluations."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_cells
    import interval_coverage

    def of(estimator, said):
        (cell,) = (cell for cell in coverage_cells.ESTIMATORS[estimator]() if cell.said == said)
        return interval_coverage.held(cell, count=600, key=(2, 3)).rate

    return of


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        ("rate_interval (avg@n)", "rate 0.98, 64 tasks, 16 samples, own 0.5"),
        ("rate_interval of pass@k", "pass@8, rate 0.5, 64 tasks, 16 samples, own 4"),
        ("rate_interval of maj@k", "rate 0.05, 64 tasks, 8 samples, own 4"),
        ("bootstrap_interval", "rate 0.98, 64 tasks, 1 samples, own 0.5"),
        ("mean_of", "rate 0.98, 64 tasks, 4 samples, own 0.5"),
        ("paired_difference_interval", "rate 0.02, 64 tasks, 1 samples, own 0.5"),
        ("anytime_lower_bounds, all looks", "rate 0.98, 1024 tasks, 16 samples, own 0.5"),
    ],
)
def test_where_few_tasks_tell_anything_an_interval_still_holds_the_truth(held_rate, estimator, said):
    # Standard error 0.9 points; without the tasks and pairs more, the first is 0.85 and that of the bootstrap 0.48.
    assert held_rate(estimator, said) >= 0.93


def test_the_truth_of_a_cell_is_what_its_estimates_are_on_average(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_cells

    for estimator in ("rate_interval of pass@k", "rate_interval of maj@k", "paired_difference_interval", "mean_of"):
        cell = next(cell for cell in coverage_cells.ESTIMATORS[estimator]() if "0.3, 256" in cell.said)
        means = [one.mean for one in cell.draw(np.random.default_rng(0), 400)]
        assert np.mean(means) == pytest.approx(cell.truth, abs=4 * np.std(means) / 20), estimator
