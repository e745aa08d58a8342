"""What became of the domains from one checkpoint to another, on the tasks that both were asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlvr.stages.evaluate import Measurement
from rlvr.statistics.intervals import Interval, mean_of, paired_difference_interval

RatesByDomain = Mapping[str, Mapping[str, float]]
"""Domain -> task -> share of its samples that solve it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one domain.

    `gain` is the rise of pass@1, paired by task. `only_before` and `only_after` are the shares of tasks of which some
    sample of that checkpoint is right and none of the other.
    """

    gain: Interval
    only_before: float
    only_after: float


def changes_between(before: Measurement, after: Measurement) -> dict[str, Change]:
    """Gives per domain what changed from one checkpoint to another, where both were asked a task in the same way."""
    changes: dict[str, Change] = {}
    if before.rates and after.rates and before.rates[0].prompt != after.rates[0].prompt:
        return changes
    for domain in after.sampled:
        old, new = common_rates(before.sampled, after.sampled, domain)
        if old:
            pairs = list(zip(old, new, strict=True))
            changes[domain] = Change(
                gain=paired_difference_interval(old, new),
                only_before=sum(a > 0 and b == 0 for a, b in pairs) / len(pairs),
                only_after=sum(a == 0 and b > 0 for a, b in pairs) / len(pairs),
            )
    return changes


def mean_gain(
    before: RatesByDomain, after: RatesByDomain, domains: Sequence[str], *, confidence: float = 0.95
) -> Interval | None:
    """Gives the mean rise of pass@1 over those of the domains that both were asked; None where there is none."""
    pairs = [common_rates(before, after, domain) for domain in domains]
    gains = [paired_difference_interval(old, new, confidence=confidence) for old, new in pairs if old]
    return mean_of(gains) if gains else None


def common_rates(before: RatesByDomain, after: RatesByDomain, domain: str) -> tuple[list[float], list[float]]:
    """Gives both sides' rates of a domain's tasks that both were asked, in one order; empty where there is none."""
    old, new = before.get(domain, {}), after.get(domain, {})
    common = [task for task in new if task in old]
    return [old[task] for task in common], [new[task] for task in common]
