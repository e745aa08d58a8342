"""What a race's report says of the winner beside the others, worked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from rlvr.app.race.result import RacerResult, _foretold, _over_others, _selection
from rlvr.app.race.telling import _said_of_policies, _said_of_rung
from rlvr.statistics.intervals import Interval

UNKNOWN = Interval(0.5, 0.0, 1.0)


def test_selection_is_a_difference_of_leads_with_the_chance_of_both_halves() -> None:
    race = {"a": np.array([1.0, 1.0, 0.5, 0.5]), "b": np.array([0.0, 1.0, 0.5, 0.5])}
    fresh = {"a": np.array([0.5, 0.5, 1.0]), "b": np.array([0.5, 1.0, 0.5])}
    # leads over the mean of both: 0.5 0 0 0, mean 0.125, variance 0.0625; 0 -0.25 0.25, mean 0, variance 0.0625
    # error: sqrt(0.0625 / 4 + 0.0625 / 3) = 0.190941; Student's t with 2 degrees of freedom 4.302653
    found = _selection(race, fresh, "a")
    assert found.mean == pytest.approx(0.125)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.190941, abs=1e-5)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_one_task_tells_nothing_of_selection() -> None:
    one = {"a": np.array([1.0]), "b": np.array([0.0])}
    found = _selection(one, one, "a")
    assert (found.mean, found.low, found.high) == (0.0, -2.0, 2.0)


def test_of_one_that_alone_ended_selection_is_what_its_rate_loses() -> None:
    found = _selection({"a": np.array([1.0, 0.5, 0.5])}, {"a": np.array([0.5, 0.0, 0.5])}, "a")
    # 0.6667 - 0.3333, each with variance 0.0833 over 3 tasks: error 0.2357, t with 2 degrees of freedom 4.302653
    assert found.mean == pytest.approx(1 / 3)
    assert found.high - found.mean == pytest.approx(4.302653 * (2 * 0.0833333 / 3) ** 0.5, abs=1e-4)


def test_a_rung_that_four_racers_left_together_tells_the_end_with_an_interval() -> None:
    early = {name: np.array([rate]) for name, rate in zip("abcde", (0.1, 0.2, 0.3, 0.4, 0.9), strict=True)}
    late = {name: np.array([0.0]) for name in "abcd"}
    fresh = {name: np.array([rate]) for name, rate in zip("abcd", (0.3, 0.4, 0.45, 0.65), strict=True)}
    found = _foretold(8, {8: early, 80: late}, fresh)
    # over the four, worked in tests/stages/test_stages_race_curves.py: .055 / sqrt(.05 x .065)
    assert (found.step, found.num_racers) == (80, 4)
    assert found.correlation is not None
    assert found.correlation.mean == pytest.approx(0.964764, abs=1e-6)
    table = {n: RacerResult(1, (), {8: UNKNOWN, 80: UNKNOWN}, 9, None, False, "", 1.0, 1.0) for n in "abcde"}
    said = _said_of_rung(8, found, SimpleNamespace(racers=table))  # type: ignore[arg-type]
    assert said.startswith("Correlation of step 8 with the end: 0.96 [")
    assert said.endswith("] over the 4 that came so far, which were kept for being high and so tell less.")


def test_the_winner_is_set_against_the_mean_of_the_others_task_by_task() -> None:
    fresh = {"a": np.array([1.0, 1.0, 0.5]), "b": np.array([0.0, 1.0, 0.5]), "c": np.array([1.0, 0.5, 0.0])}
    # the others: 0.5 0.75 0.25; above them 0.5 0.25 0.25
    found = _over_others(fresh, "a")
    assert found.mean == pytest.approx(1 / 3)
    # with a pair up and down by a half of a pseudo-task each and one that stayed: sum 1 of 5, 0.2
    assert (found.low + found.high) / 2 == pytest.approx(0.2)


def racers(count: int, *, paused_at: int | None = None) -> dict[str, RacerResult]:
    whole = {f"seed-{n}": RacerResult(n, (), {}, 9, None, False, "", 1.0, 1.0) for n in range(1, count)}
    return {**whole, "seed-0": RacerResult(0, (), {}, 3, paused_at, False, "", 1.0, 1.0)}


def test_only_a_race_of_4_that_all_ended_can_tell_which_policy_suits() -> None:
    assert "with this race's folder" in _said_of_policies(racers(4))
    assert "does not tell, as 3 racers are too few;" in _said_of_policies(racers(3))
    assert "does not tell, as of those that were paused" in _said_of_policies(racers(4, paused_at=3))
