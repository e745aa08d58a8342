"""From judged answers to a suite's figures, each with its interval over tasks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.data.suites import Metric
from rlvr.engines.base import Answer
from rlvr.statistics.intervals import Interval, rate_interval, share_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.statistics.votes import majority_at_k
from rlvr.statistics.wins import MATCHED_RATIO, matched_win_rate, win_rate
from rlvr.types import Task, Verdict

PASS_AT = (1, 2, 4, 8, 16, 32, 64, 128)
"""The k of pass@k, as far as there are samples."""
VOTERS = 3
"""The fewest samples of which a majority is worth a figure."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A task with its answers and their verdicts, in sample order.

    `loose` are the verdicts by the loose reading of constraints, empty where there are none. `rival` is the reference
    output that each answer was compared with; the outcome is then 1 for a win, 0.5 for a tie.
    """

    task: Task
    answers: tuple[Answer, ...]
    verdicts: tuple[Verdict, ...]
    loose: tuple[Verdict, ...] = ()
    rival: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure by its name, over `num_tasks` tasks; `note` says what it counts where its name does not."""

    name: str
    value: Interval
    num_tasks: int
    note: str = ""


def figures_of(judged: Sequence[Judged], metric: Metric, num_samples: int) -> tuple[Figure, ...]:
    """Gives the figures of a suite, the one named by `metric` first; none where no answer has an outcome.

    Answers without an outcome are in no figure, and a task without any is in none.
    """
    told = [one for one in judged if any(v.outcome is not None for v in one.verdicts)]
    if not told:
        return ()
    if metric == "win rate":
        return _wins(told)
    if metric == "prompt strict":
        return _constraint_figures(told, num_samples)
    return _pass_figures(told, num_samples)


def _pass_figures(judged: Sequence[Judged], num_samples: int) -> tuple[Figure, ...]:
    figures = []
    note = f"avg@{num_samples}" if num_samples > 1 else ""
    for k in (k for k in PASS_AT if k <= num_samples):
        full = [counts for one in judged if (counts := _counts(one))[0] >= k]
        if full:
            rates = pass_at_k([n for n, _ in full], [c for _, c in full], k=k)
            figures.append(Figure(f"pass@{k}", rate_interval(rates), len(full), note if k == 1 else ""))
    voting = [one for one in judged if one.task.check == "exact" and _counts(one)[0] == num_samples]
    if num_samples >= VOTERS and voting:
        won = [_majority(one, num_samples) for one in voting]
        figures.append(Figure(f"maj@{num_samples}", rate_interval(won), len(voting)))
    return tuple(figures)


def _counts(one: Judged) -> tuple[int, int]:
    """Gives how many answers have an outcome, and how many of these solve the task."""
    outcomes = [v.outcome for v in one.verdicts if v.outcome is not None]
    return len(outcomes), sum(outcome >= one.task.threshold for outcome in outcomes)


def _majority(one: Judged, k: int) -> float:
    """Gives maj@k; all right answers are one answer, wrong ones are one where they are spelled alike."""
    _, right = _counts(one)
    wrong = [v for v in one.verdicts if v.outcome is not None and v.outcome < one.task.threshold]
    votes = Counter("".join(v.extracted.split()) for v in wrong if v.status == "ok" and v.extracted)
    silent = len(wrong) - sum(votes.values())
    return majority_at_k(right, list(votes.values()), silent, k=k)


def _constraint_figures(judged: Sequence[Judged], num_samples: int) -> tuple[Figure, ...]:
    """IFEval's four: by prompt (all its constraints are kept) and by constraint, strictly and loosely read."""
    figures = []
    note = f"mean of {num_samples} answers" if num_samples > 1 else ""
    for level in ("prompt", "instruction"):
        for reading in ("strict", "loose"):
            counts = [_kept_of(one, one.verdicts if reading == "strict" else one.loose, level) for one in judged]
            kept, asked = zip(*(pair for pair in counts if pair[1]), strict=True)
            figures.append(Figure(f"{level} {reading}", share_interval(kept, asked), len(asked), note))
    return tuple(figures)


def _kept_of(one: Judged, verdicts: Sequence[Verdict], level: str) -> tuple[int, int]:
    """Gives over all answers how many constraints, or whole prompts, are kept, and how many were asked for."""
    parts = [kept for v in verdicts if (kept := _kept(v, len(one.task.reference["constraints"])))]
    if level == "prompt":
        return sum(all(kept) for kept in parts), len(parts)
    return sum(map(sum, parts)), sum(map(len, parts))


def _kept(verdict: Verdict, num_constraints: int) -> list[bool]:
    """Gives for each constraint whether it is kept; none is where there was no text to read, [] without an outcome."""
    if verdict.outcome is None:
        return []
    return [part == 1.0 for part in verdict.parts.values()] or [False] * num_constraints


def _wins(judged: Sequence[Judged]) -> tuple[Figure, ...]:
    pairs = [
        (one.task.id, v.outcome, len(answer.text), len(one.rival))
        for one in judged
        for answer, v in zip(one.answers, one.verdicts, strict=True)
        if v.outcome is not None
    ]
    tasks, wins, ours, theirs = (list(column) for column in zip(*pairs, strict=True))
    ties = sum(win == 0.5 for win in wins)
    note = (
        f"{ties} of {len(wins)} are ties; {sum(ours) / len(ours):.0f} characters against {sum(theirs) / len(ours):.0f}"
    )
    figures = [Figure("win rate", win_rate(tasks, wins), len(set(tasks)), note)]
    if matched := matched_win_rate(tasks, wins, ours, theirs):
        note = (
            f"{matched.num_pairs} of {len(wins)} pairs, the longer text at most {MATCHED_RATIO:g} times the shorter, "
            "ours the longer in half of the weight"
        )
        figures.append(Figure("win rate at matched length", matched.rate, matched.num_tasks, note))
    return tuple(figures)
