"""Elicitation: pass@k of parent and child on the same tasks, where the lines cross, and what that is called."""

import numpy as np
import pytest

from rlvr.stages.elicitation import (
    FEW_SAMPLES,
    Crossover,
    DomainElicitation,
    Point,
    SideCounts,
    crossover_of,
    domain_elicitation,
    ks_up_to,
    overall_of,
    verdict_of,
)
from rlvr.statistics.intervals import Interval, paired_difference_interval, proportion_interval


def side(*right: int, samples: int = 4, greedy: tuple[int, ...] = (), low: tuple[int, ...] = ()) -> SideCounts:
    """Counts of tasks t0, t1, …: so many of `samples` are right; greedy 0 or 1 of 1, low of 2."""
    return SideCounts(
        {f"t{i}": (samples, count) for i, count in enumerate(right)},
        {f"t{i}": (1, count) for i, count in enumerate(greedy)},
        {f"t{i}": (2, count) for i, count in enumerate(low)},
    )


def found(parent: SideCounts, child: SideCounts, samples: int = 4) -> DomainElicitation:
    made = domain_elicitation(parent, child, samples=samples)
    assert made is not None
    return made


def point(k: int, mean: float, half: float = 0.01) -> Point:
    rate = Interval(0.5, 0.4, 0.6)
    return Point(k, rate, rate, Interval(mean, mean - half, mean + half))


def test_k_goes_in_powers_of_two_and_ends_with_all_samples() -> None:
    assert ks_up_to(1) == (1,)
    assert ks_up_to(8) == (1, 2, 4, 8)
    assert ks_up_to(12) == (1, 2, 4, 8, 12)
    assert ks_up_to(128) == (1, 2, 4, 8, 16, 32, 64, 128)


def test_pass_at_k_and_its_difference_are_those_of_the_same_tasks() -> None:
    # 4 samples. parent right: 2, 1, 0; child right: 4, 0, 0
    made = found(side(2, 1, 0), side(4, 0, 0))
    assert [p.k for p in made.points] == [1, 2, 4]
    # pass@1: parent (1/2 + 1/4 + 0) / 3 = 0.25; child (1 + 0 + 0) / 3
    assert (made.points[0].parent.mean, made.points[0].child.mean) == pytest.approx((0.25, 1 / 3))
    # pass@2 of the parent: 1 - C(2,2)/C(4,2) = 5/6; 1 - C(3,2)/C(4,2) = 1/2; 0
    assert made.points[1].parent.mean == pytest.approx((5 / 6 + 1 / 2) / 3)
    assert made.points[1].difference == paired_difference_interval([5 / 6, 1 / 2, 0], [1, 0, 0])
    # pass@4: two tasks against one
    assert made.points[2].difference.mean == pytest.approx(-1 / 3)
    assert made.only_parent == proportion_interval(1, 3)
    assert made.only_child == proportion_interval(0, 3)
    assert made.neither == proportion_interval(1, 3)


def test_a_task_with_a_completion_that_nobody_could_judge_is_left_out_of_both() -> None:
    parent, child = side(2, 1, 0), side(4, 0, 0)
    short = SideCounts({**parent.samples, "t0": (3, 2)}, {}, {})
    made = found(short, child)
    assert (made.num_tasks, made.left_out) == (2, 1)
    assert made.points[0].child.mean == 0.0
    assert domain_elicitation(SideCounts({"t0": (3, 2)}, {}, {}), child, samples=4) is None


def test_greedy_and_low_readouts_are_paired_by_task() -> None:
    parent = side(2, 1, 0, greedy=(1, 0, 0), low=(2, 1, 0))
    child = side(4, 0, 0, greedy=(1, 1, 0))
    readout = found(parent, child).readout
    assert readout is not None
    assert readout.parent_greedy == proportion_interval(1, 3)
    assert readout.parent_low.mean == pytest.approx(0.5)  # (1 + 1/2 + 0) / 3
    assert readout.child_greedy == proportion_interval(2, 3)
    assert readout.over_greedy == paired_difference_interval([1, 0, 0], [1, 1, 0])
    assert readout.over_low == paired_difference_interval([1, 0.5, 0], [1, 1, 0])
    assert found(side(1), side(2)).readout is None


def test_the_lines_cross_where_the_child_is_never_ahead_again() -> None:
    assert crossover_of([point(1, 0.2), point(2, 0.1), point(4, -0.02), point(8, -0.03)]) == Crossover(4, 4, True)
    # equal at 4: not worse from there, better from 8 only
    assert crossover_of([point(1, 0.2), point(2, 0.1), point(4, 0.0), point(8, -0.03)]) == Crossover(4, 8, True)
    # behind at 2, but ahead again at 4: no crossing before 8
    assert crossover_of([point(1, 0.2), point(2, -0.1), point(4, 0.1), point(8, -0.005)]) == Crossover(8, 8, False)
    # behind at 4 and even again at 8: better from nowhere on
    assert crossover_of([point(1, 0.2), point(4, -0.1), point(8, 0.0)]) == Crossover(4, None, False)
    assert crossover_of([point(1, 0.2), point(8, 0.1)]) == Crossover(None, None, False)


@pytest.mark.parametrize(
    ("first", "last", "word"),
    [
        ((0.1, 0.3), (0.01, 0.2), "taught"),
        ((-0.1, 0.1), (0.01, 0.2), "taught"),
        ((0.1, 0.3), (-0.2, -0.01), "lost reach"),
        ((0.1, 0.3), (-0.1, 0.1), "sharpened"),
        ((-0.3, -0.1), (-0.1, 0.1), "lost sureness"),
        ((-0.1, 0.1), (-0.1, 0.1), "no change"),
    ],
)
def test_the_intervals_at_both_ends_decide_the_word(
    first: tuple[float, float], last: tuple[float, float], word: str
) -> None:
    def interval(ends: tuple[float, float]) -> Interval:
        return Interval(sum(ends) / 2, *ends)

    assert verdict_of(interval(first), interval(last), k=FEW_SAMPLES) == word
    of_few = {"taught": "higher", "lost reach": "lower"}
    assert verdict_of(interval(first), interval(last), k=FEW_SAMPLES - 1) == of_few.get(word, word)


def test_a_child_that_is_only_surer_is_called_sharpened_and_one_that_can_do_more_taught() -> None:
    rng = np.random.default_rng(3)
    samples, tasks = 64, 200
    within = rng.random(tasks) < 0.6  # these the parent can solve, one time in ten
    parent = side(*rng.binomial(samples, np.where(within, 0.1, 0.0)), samples=samples)
    surer = side(*rng.binomial(samples, np.where(within, 0.8, 0.0)), samples=samples)
    wider = side(*rng.binomial(samples, np.where(rng.random(tasks) < 0.9, 0.1, 0.0)), samples=samples)
    narrow = side(*rng.binomial(samples, np.where(rng.random(tasks) < 0.4, 0.9, 0.0)), samples=samples)
    assert found(parent, surer, samples).verdict == "sharpened"
    assert found(parent, wider, samples).verdict == "taught"
    lost = found(parent, narrow, samples)
    assert lost.verdict == "lost reach"
    assert lost.points[0].difference.low > 0
    assert lost.crossover.is_told


def test_the_whole_is_the_mean_over_the_domains_that_were_trained_on() -> None:
    domains = {"a": found(side(0, 0), side(4, 0)), "b": found(side(0, 0), side(0, 0)), "seen": found(side(4), side(0))}
    overall = overall_of(domains, ["a", "b", "other"])
    assert overall is not None
    assert (overall.domains, overall.trained) == (("a", "b"), True)
    assert overall.first.mean == pytest.approx(0.25)  # (1/2 + 0) / 2
    assert overall.k == 4
    whole = overall_of(domains, ["other"])
    assert whole is not None
    assert (whole.domains, whole.trained) == (("a", "b", "seen"), False)
    assert overall_of({}, []) is None
