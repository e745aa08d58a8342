"""What stands in the way of learning in one domain, as plain sentences: a condition for RL that does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlvr.config.rlvr import ConditionsConfig
from rlvr.runs.report import Condition
from rlvr.statistics.intervals import Interval

MIN_HEADROOM = 0.1
"""How far pass@k of all samples of a task must lie above pass@1."""
MIN_MIXED_RATE = 0.2
MIN_WORKING_GAIN = 0.05
"""By more than this, samples that show working must be right more often than the others of the same tasks."""

Kind = Literal["unscored", "working", "headroom", "signal", "truncated", "contaminated"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One condition that does not hold, in words."""

    kind: Kind
    text: str


def problems_of(found: Condition, config: ConditionsConfig) -> tuple[Problem, ...]:
    """Gives what does not hold in a domain; figures that were not measured are not judged."""
    problems = [*_unscored(found), *_working(found), *_headroom(found), *_signal(found)]
    lengths, contamination = found.lengths, found.contamination
    if lengths is not None and _above(lengths.truncated_rate.mean, config.max_truncated_rate):
        problems.append(
            Problem(
                "truncated",
                f"{lengths.truncated_rate.mean:.0%} of the samples are cut off at the length limit (expected at most "
                f"{config.max_truncated_rate:.0%}); an answer that does not come to its end is wrong",
            )
        )
    if contamination is not None and _above(contamination.copy_rate, config.max_contaminated_rate):
        problems.append(
            Problem(
                "contaminated",
                f"{contamination.copy_rate:.1%} of {contamination.num_tasks:,} tasks are near copies of held-out ones "
                f"(expected at most {config.max_contaminated_rate:.1%}); a gain on those is partly recall",
            )
        )
    return tuple(problems)


def texts_of(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Gives the sentences."""
    return tuple(problem.text for problem in problems)


def _unscored(found: Condition) -> list[Problem]:
    if found.pass_at_1 is not None:
        return []
    return [Problem("unscored", f"no sample of its {found.num_tasks} tasks has an outcome, so nothing can be told")]


def _working(found: Condition) -> list[Problem]:
    worth = found.working
    if worth is None or found.is_open or _pays(worth.gain):
        return []
    gain = worth.gain
    text = (
        f"working is not shown to pay ({worth.shown:.0%} right with it, {worth.hidden:.0%} without, in "
        f"{worth.num_tasks} tasks: {100 * gain.mean:+.0f} points [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}], "
        f"expected more than {100 * MIN_WORKING_GAIN:.0f} and an interval above 0)"
    )
    return [Problem("working", text)]


def _headroom(found: Condition) -> list[Problem]:
    if found.pass_at_1 is None or found.pass_at_k is None:
        return []
    one, several = found.pass_at_1.mean, found.pass_at_k.mean
    # Rates that are exactly that far apart may differ by a rounding error less.
    if several - one >= MIN_HEADROOM - 1e-9:
        return []
    text = (
        f"{found.num_samples} samples solve hardly more tasks than one does (pass@1 {one:.0%}, pass@"
        f"{found.num_samples} {several:.0%}, expected at least {100 * MIN_HEADROOM:.0f} points more)"
    )
    return [Problem("headroom", text)]


def _signal(found: Condition) -> list[Problem]:
    if found.mixed_rate is None or found.mixed_rate.mean >= MIN_MIXED_RATE - 1e-9:
        return []
    text = (
        f"few groups of {found.group_size} hold right and wrong samples ({found.mixed_rate.mean:.0%}, expected at "
        f"least {MIN_MIXED_RATE:.0%}); the others give no signal"
    )
    return [Problem("signal", text)]


def _pays(gain: Interval) -> bool:
    # A rounding error must not turn exactly that many points into more.
    return gain.mean > MIN_WORKING_GAIN + 1e-9 and gain.low > 0


def _above(rate: float, limit: float) -> bool:
    return rate > limit + 1e-9
