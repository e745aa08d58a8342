"""What thinking longer buys at inference: accuracy against the tokens that a task costs, for a stage and its parent.

Modes of spending: one sample; the majority vote of k; the best of k by verifier, which is pass@k and needs a verifier
at test time, or by reward model; a smaller or larger budget of tokens; thinking that is ended, or made to go on. All
begin with the same samples, so that modes differ in how the tokens are spent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlvr.statistics.best_of import best_of_k
from rlvr.statistics.intervals import Interval, mean_of, paired_difference_interval, rate_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.statistics.votes import majority_at_k

Mode = Literal[
    "one sample", "majority", "best by verifier", "best by reward model", "budget", "end forced", "go on", "not forced"
]
MODES: tuple[Mode, ...] = (
    "one sample", "majority", "best by verifier", "best by reward model", "budget", "end forced", "go on",
)  # fmt: skip
"""Those that are drawn; "not forced" is what "end forced" and "go on" are held against: the same samples, cut."""
ONE: Mode = "one sample"
MAJORITY: Mode = "majority"


@dataclass(frozen=True, slots=True)
class Spending:
    """Samples of one task in one mode: the tokens of each and whether it is right, None where nobody could tell."""

    tokens: tuple[int, ...]
    right: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TaskThinking:
    """What a side did with one task.

    `budgets` holds its samples by their limit of tokens, `answers` for the ordinary limit which samples give the same
    answer: equal numbers, below 0 without one. `scores` are a reward model's, empty without. `forced` holds the first
    samples by the budget after which their thinking was ended, `again` with their thinking made to go on; those that do
    not think stay as they are, and `num_thinking` do.
    """

    budgets: Mapping[int, Spending]
    answers: tuple[int, ...]
    scores: tuple[float, ...]
    forced: Mapping[int, Spending]
    again: Spending
    num_thinking: int


@dataclass(frozen=True, slots=True)
class ThinkingPoint:
    """One way of spending. `setting` is k, a budget in tokens, or 1; `tokens` is the mean a task.

    `over_child` is what its accuracy has over the child's one sample, paired by task.
    """

    mode: Mode
    setting: int
    tokens: float
    accuracy: Interval
    over_child: Interval


@dataclass(frozen=True, slots=True)
class Tokens:
    """A price in tokens a task, and the range in which it lies; None where no setting reaches the accuracy.

    At `low` the accuracy is no longer shown to be lower, at `high` it is first shown to be no lower. So the range
    misses the true price as seldom as the paired interval of the accuracies does; what a token costs is taken as known.
    """

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Price:
    """The tokens a task that each side needs in a mode for `accuracy`, that of the child's one sample."""

    mode: Mode
    accuracy: float
    parent: Tokens
    child: Tokens


@dataclass(frozen=True, slots=True)
class Choice:
    """Train longer or think longer: the child's one sample against the parent's majority of `votes`.

    `gain` is what its one sample has over the parent's, `lead` what it has over that majority, paired by task.
    `equal` are the tokens with which the parent votes itself up to the child. `cpu_seconds_saved` a question is what
    the child then costs less, and after `questions` of them training has paid for itself, at the ends of the range of
    `equal` after `questions_low` or `questions_high`; None where it never does, or where no gain can be told from
    chance.
    """

    votes: int
    parent: ThinkingPoint
    voted: ThinkingPoint
    child: ThinkingPoint
    gain: Interval
    lead: Interval
    equal: Tokens
    cpu_seconds_saved: float | None
    questions: int | None
    questions_low: int | None
    questions_high: int | None


@dataclass(frozen=True, slots=True)
class Thinking:
    """A domain, or the mean of several: the points of both sides, prices at the child's one-sample accuracy, choice."""

    num_tasks: int
    left_out: int
    parent: tuple[ThinkingPoint, ...]
    child: tuple[ThinkingPoint, ...]
    prices: tuple[Price, ...]
    choice: Choice


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU-seconds: of the stage's training, and of a sampled token of each side."""

    training: float
    parent_token: float
    child_token: float


Tasks = Mapping[str, TaskThinking]
Rates = dict[tuple[Mode, int], tuple[list[float], list[float]]]
"""By mode and setting: for each task its accuracy and the tokens that it took."""


def domain_thinking(parent: Tasks, child: Tasks, *, limit: int, costs: Costs) -> Thinking | None:
    """Gives one domain; `limit` is the ordinary one of tokens. None where no task has an outcome for all samples.

    Tasks on which the verifier could not tell, on either side, are left out of both.
    """
    common = [id_ for id_ in parent if id_ in child]
    full = [id_ for id_ in common if _told(parent[id_]) and _told(child[id_])]
    if not full:
        return None
    rates = [_rates([side[id_] for id_ in full], limit) for side in (parent, child)]
    target = rates[1][ONE, 1][0]
    points = [_points(rates[0], target), _points(rates[1], target, own=((ONE, 1), ("budget", limit)))]
    votes = max(setting for mode, setting in rates[0] if mode in (ONE, MAJORITY))
    before = rates[0][(MAJORITY, votes) if votes > 1 else (ONE, 1)][0]
    after = rates[1][ONE, 1][0]
    gain, lead = (paired_difference_interval(other, after) for other in (rates[0][ONE, 1][0], before))
    return _thinking(points[0], points[1], len(full), len(common) - len(full), (gain, lead), costs)


def mean_thinking(domains: Sequence[Thinking], *, costs: Costs) -> Thinking:
    """Gives the mean over domains, each counting alike; a mode that only some of them have is left out."""
    sides = [[domain.parent for domain in domains], [domain.child for domain in domains]]
    gain, lead = (mean_of([getattr(domain.choice, name) for domain in domains]) for name in ("gain", "lead"))
    size, lost = sum(domain.num_tasks for domain in domains), sum(domain.left_out for domain in domains)
    return _thinking(_mean_points(sides[0]), _mean_points(sides[1]), size, lost, (gain, lead), costs)


def curve(points: Sequence[ThinkingPoint], mode: Mode) -> list[ThinkingPoint]:
    """Gives the points of a mode by what they cost; one sample is the first of those that take several."""
    own = [point for point in points if point.mode == mode]
    if own and mode not in ("budget", ONE):
        own += [point for point in points if point.mode == ONE]
    return sorted(own, key=lambda point: point.tokens)


def price_of(points: Sequence[ThinkingPoint]) -> Tokens:
    """Gives the tokens with which a curve has the accuracy of the child's one sample."""
    lead = [(point.tokens, point.over_child) for point in points]
    return Tokens(
        mean=_reached([(tokens, over.mean) for tokens, over in lead]),
        low=_reached([(tokens, over.high) for tokens, over in lead]),
        high=_reached([(tokens, over.low) for tokens, over in lead]),
    )


def _reached(curve: Sequence[tuple[float, float]]) -> float | None:
    """Gives the tokens with which a lead is first no longer below 0, between points by their logarithm; or None."""
    for place, (tokens, lead) in enumerate(curve):
        if lead < -1e-12:
            continue
        if place == 0 or tokens <= curve[place - 1][0]:
            return tokens
        before, behind = curve[place - 1]
        share = -behind / (lead - behind)
        return math.exp((1 - share) * math.log(max(before, 1e-9)) + share * math.log(tokens))
    return None


def voted_right(answers: Sequence[int], right: Sequence[float], *, k: int) -> float:
    """Gives the chance that the most frequent answer of k samples is right, over all choices of k.

    Samples with one number among `answers` give the same answer, and those below 0 none. An answer that the verifier
    takes from some samples and not from others is right as often as it is taken.
    """
    size = {answer: answers.count(answer) for answer in set(answers) if answer >= 0}
    silent = len(answers) - sum(size.values())
    chance = 0.0
    for answer, count in size.items():
        taken = sum(value for own, value in zip(answers, right, strict=True) if own == answer) / count
        if taken:
            others = [number for other, number in size.items() if other != answer]
            chance += taken * majority_at_k(count, others, silent, k=k)
    return min(1.0, chance)


def _thinking(
    parent: Sequence[ThinkingPoint],
    child: Sequence[ThinkingPoint],
    num_tasks: int,
    left_out: int,
    over: tuple[Interval, Interval],
    costs: Costs,
) -> Thinking:
    target = _one(child).accuracy.mean
    modes = [mode for mode in MODES[1:] if any(point.mode == mode for point in parent)]
    prices = tuple(Price(mode, target, price_of(curve(parent, mode)), price_of(curve(child, mode))) for mode in modes)
    return Thinking(num_tasks, left_out, tuple(parent), tuple(child), prices, _choice(parent, child, over, costs))


def _choice(
    parent: Sequence[ThinkingPoint], child: Sequence[ThinkingPoint], over: tuple[Interval, Interval], costs: Costs
) -> Choice:
    voting = curve(parent, MAJORITY) or [_one(parent)]
    ours = _one(child)
    equal, (gain, lead) = price_of(voting), over

    def saved(tokens: float | None) -> float | None:
        return None if tokens is None else tokens * costs.parent_token - ours.tokens * costs.child_token

    def questions(tokens: float | None) -> int | None:
        each = saved(tokens)
        return math.ceil(costs.training / each) if gain.low > 0 and each is not None and each > 0 else None

    return Choice(
        votes=max((point.setting for point in voting if point.mode == MAJORITY), default=1),
        parent=_one(parent),
        voted=voting[-1],
        child=ours,
        gain=gain,
        lead=lead,
        equal=equal,
        cpu_seconds_saved=saved(equal.mean),
        questions=questions(equal.mean),
        questions_low=questions(equal.high),
        questions_high=questions(equal.low),
    )


def _one(points: Sequence[ThinkingPoint]) -> ThinkingPoint:
    return next(point for point in points if point.mode == ONE)


def _told(task: TaskThinking) -> bool:
    everything = [*task.budgets.values(), *task.forced.values(), task.again]
    return all(value is not None for spending in everything for value in spending.right)


def _points(rates: Rates, target: Sequence[float], *, own: Sequence[tuple[Mode, int]] = ()) -> list[ThinkingPoint]:
    """Gives the points of a side. `target` are the rates of the child's one sample; those in `own` are these, so that
    there is no lead to be unsure of."""
    return [
        ThinkingPoint(
            *way,
            tokens=float(np.mean(tokens)),
            accuracy=rate_interval(accuracy),
            over_child=Interval(0.0, 0.0, 0.0) if way in own else paired_difference_interval(target, accuracy),
        )
        for way, (accuracy, tokens) in rates.items()
    ]


def _mean_points(sides: Sequence[Sequence[ThinkingPoint]]) -> list[ThinkingPoint]:
    by_way: dict[tuple[Mode, int], list[ThinkingPoint]] = {}
    for points in sides:
        for point in points:
            by_way.setdefault((point.mode, point.setting), []).append(point)
    return [
        ThinkingPoint(
            mode,
            setting,
            sum(p.tokens for p in found) / len(found),
            mean_of([p.accuracy for p in found]),
            mean_of([p.over_child for p in found]),
        )
        for (mode, setting), found in by_way.items()
        if len(found) == len(sides)
    ]


def _rates(tasks: Sequence[TaskThinking], limit: int) -> Rates:
    """Gives each mode's accuracy and tokens by task. Without a task that is thought about no thinking is forced."""
    thinks = any(task.num_thinking for task in tasks)
    each = [_ways(task, limit, thinks=thinks) for task in tasks]
    ways = [way for way in each[0] if all(way in own for own in each)]
    return {way: ([own[way][0] for own in each], [own[way][1] for own in each]) for way in ways}


def _ways(task: TaskThinking, limit: int, *, thinks: bool) -> dict[tuple[Mode, int], tuple[float, float]]:
    """Gives the accuracy and the tokens of one task in each mode and setting."""
    one, tokens = _mean(task.budgets[limit])
    right = [float(value or 0.0) for value in task.budgets[limit].right]
    found: dict[tuple[Mode, int], tuple[float, float]] = {(ONE, 1): (one, tokens)}
    for k in (2**i for i in range(1, len(right).bit_length())):
        found[MAJORITY, k] = voted_right(task.answers, right, k=k), k * tokens
        found["best by verifier", k] = float(pass_at_k(len(right), round(sum(right)), k=k)[0]), k * tokens
        if task.scores:
            found["best by reward model", k] = best_of_k(task.scores, right, k=k), k * tokens
    found |= {("budget", budget): _mean(spending) for budget, spending in task.budgets.items()}
    if thinks:
        found |= {("end forced", budget): _mean(spending) for budget, spending in task.forced.items()}
        found["go on", 1] = _mean(task.again)
        number = len(task.again.right)
        for budget, spending in task.budgets.items():
            found["not forced", budget] = _mean(Spending(spending.tokens[:number], spending.right[:number]))
    return found


def _mean(spending: Spending) -> tuple[float, float]:
    size = len(spending.tokens)
    return sum(float(value or 0.0) for value in spending.right) / size, sum(spending.tokens) / size
