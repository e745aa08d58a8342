"""Win rates of pairs: of all, and of those whose two texts are about as long."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.statistics.intervals import Interval, mean_of, rate_interval

MATCHED_RATIO = 1.25
"""Two texts are about as long where the longer has at most so many times the characters of the shorter."""


def win_rate(tasks: Sequence[str], wins: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Gives the mean of wins (1, 0.5 for a tie, 0) over tasks; `tasks` names that of each pair, the unit of chance.

    Raises ValueError for no pair, and for a win outside [0, 1].
    """
    by_task: dict[str, list[float]] = {}
    for task, win in zip(tasks, wins, strict=True):
        by_task.setdefault(task, []).append(win)
    return rate_interval([sum(won) / len(won) for won in by_task.values()], confidence=confidence)


@dataclass(frozen=True, slots=True)
class MatchedRate:
    """A win rate at matched length, from `num_pairs` pairs of so many tasks."""

    rate: Interval
    num_pairs: int
    num_tasks: int


def matched_win_rate(
    tasks: Sequence[str],
    wins: Sequence[float],
    ours: Sequence[int],
    theirs: Sequence[int],
    *,
    confidence: float = 0.95,
) -> MatchedRate | None:
    """Gives the win rate over pairs whose lengths match, those where ours is the longer counting as much as the others.

    A judge that goes by length alone gives 0.5 here, however often ours is the longer; a model whose longer answers are
    really better cannot show it. None where one of the two kinds is missing. The two are taken as independent, which
    they nearly are: a task with pairs of both kinds is rare. Lengths are in characters.
    """
    sides: tuple[list[int], list[int]] = [], []
    for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if max(a, b) <= MATCHED_RATIO * min(a, b):
            sides[a > b].append(place)
    if not all(sides):
        return None
    rates = [win_rate([tasks[i] for i in side], [wins[i] for i in side], confidence=confidence) for side in sides]
    pairs = [*sides[0], *sides[1]]
    return MatchedRate(mean_of(rates), len(pairs), len({tasks[i] for i in pairs}))
