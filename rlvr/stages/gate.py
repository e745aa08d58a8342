"""The gate after a stage: whether the abilities that were measured before it are kept, and whether it gained.

found, all stages before that passed ──▶ a check for each figure ──▶ passed, or not and why
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rlvr.config.gate import GateConfig
from rlvr.runs.report import GateCheck
from rlvr.stages.change import RatesByDomain, mean_gain
from rlvr.stages.evaluate import Measurement
from rlvr.stages.text import TextScores
from rlvr.statistics.intervals import Interval, paired_difference_interval, ratio_interval
from rlvr.statistics.noninferiority import decide, tasks_for_gate

KEPT, LOST, NOT_TOLD = "kept", "lost", "not told"
SEVERITY = {KEPT: 0, NOT_TOLD: 1, LOST: 2}
GAIN = "gain"
WIN_RATE = "win rate at matched length"


def checks_of(
    config: GateConfig,
    found: Measurement,
    earlier: Sequence[tuple[str, Measurement]],
    *,
    trained: Sequence[str],
    win_rate: Interval | None = None,
    continues: Sequence[str] = (),
) -> tuple[GateCheck, ...]:
    """Gives a check for each figure, of those against several stages the worst.

    `earlier` are the base and the stages that passed, oldest first, by name; the last is the parent, against which the
    gain in the domains `trained` and `win_rate` are. The KL is from what the first of the stages began with that this
    one `continues`, from the parent where it continues none. A domain is judged on the tasks that both were asked in
    the same way. The error is shared among all figures, so that it is the chance for any of them.
    """
    confidence = confidence_of(config, found, judged=win_rate is not None)
    parent, before = earlier[-1]
    checks = [
        *worst_checks(
            (check for name, stage in earlier for check in _abilities(config, found, name, stage, confidence))
        ),
        *_kl_checks(config, found, next(name for name, _ in reversed(earlier) if name not in continues), confidence),
    ]
    if win_rate is not None:
        worse = Interval(0.5 - win_rate.mean, 0.5 - win_rate.high, 0.5 - win_rate.low)
        checks.append(_check(WIN_RATE, parent, worse, config.win_rate_margin, None))
    if config.min_gain > -1:
        # Where no trained domain is measured, all is possible.
        gain = mean_gain(before.sampled, found.sampled, trained, confidence=confidence) or Interval(0.0, -1.0, 1.0)
        lack = Interval(-gain.mean, -gain.high, -gain.low)
        # Not shown is as good as not gained.
        verdict = KEPT if gain.low > config.min_gain else LOST if gain.high < config.min_gain else NOT_TOLD
        checks.append(GateCheck(GAIN, parent, lack, -config.min_gain, verdict, None))
    return tuple(checks)


def confidence_of(config: GateConfig, found: Measurement, *, judged: bool) -> float:
    """Gives the confidence of each figure's interval; `judged` where the judge's win rate is one of them."""
    return 1 - 2 * config.error / max(1, num_figures(config, found, judged=judged))


def num_figures(config: GateConfig, found: Measurement, *, judged: bool) -> int:
    """Gives how many figures share the error of a gate."""
    extra = (bool(found.text.tokens), config.max_kl > 0, judged, config.min_gain > -1)
    return len(found.sampled) + len(found.answered) + sum(extra)


def domain_checks(
    rates: RatesByDomain, earlier: Sequence[tuple[str, RatesByDomain]], *, margin: float, error: float
) -> tuple[GateCheck, ...]:
    """Gives a check of pass@1 for each domain against the stage before that it lost most to; `error` is for any one."""
    confidence = 1 - 2 * error / max(1, len(rates))
    return worst_checks(
        check
        for name, before in earlier
        for check in _rate_checks("pass@1", rates, name, before, margin=margin, confidence=confidence)
    )


def failures(config: GateConfig, checks: Sequence[GateCheck]) -> tuple[str, ...]:
    """Gives a sentence for each check that keeps the stage from passing."""
    return tuple(
        _said(check)
        for check in checks
        if check.verdict == LOST or (check.verdict == NOT_TOLD and (config.unsure == "fail" or check.what == GAIN))
    )


def worst_checks(checks: Iterator[GateCheck]) -> tuple[GateCheck, ...]:
    """Gives for each figure, in the order of their first, the check with the worst verdict, then the largest loss."""
    worst: dict[str, GateCheck] = {}
    for check in checks:
        known = worst.get(check.what)
        if known is None or _badness(check) > _badness(known):
            worst[check.what] = check
    return tuple(worst.values())


def _badness(check: GateCheck) -> tuple[int, float]:
    return SEVERITY[check.verdict], check.loss.mean


def _abilities(
    config: GateConfig, found: Measurement, name: str, stage: Measurement, confidence: float
) -> Iterator[GateCheck]:
    if stage.rates and found.rates and stage.rates[0].prompt == found.rates[0].prompt:
        yield from _rate_checks(
            "pass@1", found.sampled, name, stage.sampled, margin=config.margin, confidence=confidence
        )
        yield from _rate_checks(
            "answered", found.answered, name, stage.answered, margin=config.answered_margin, confidence=confidence
        )
    if len(found.text.tokens) > 1 and stage.text.tokens == found.text.tokens:
        rise = _perplexity_rise(stage.text, found.text, confidence)
        yield _check("perplexity of held-out text", name, rise, config.perplexity_margin, None)


def _rate_checks(
    figure: str, after: RatesByDomain, name: str, before: RatesByDomain, *, margin: float, confidence: float
) -> Iterator[GateCheck]:
    for domain, older in before.items():
        # A task that nothing could be said of afterwards is no task kept: to silence a verifier is no way through.
        newer = after.get(domain, {})
        old, new = list(older.values()), [newer.get(task, 0.0) for task in older]
        change = paired_difference_interval(old, new, confidence=confidence)
        spread = float(np.std(np.subtract(new, old)))
        needed = tasks_for_gate(margin, deviation=spread, error=(1 - confidence) / 2)
        yield _check(f"{figure} of {domain}", name, Interval(-change.mean, -change.high, -change.low), margin, needed)


def _perplexity_rise(before: TextScores, after: TextScores, confidence: float) -> Interval:
    """Gives by what share perplexity rose: exp of the change in nats per token, less 1, documents being the unit."""
    change = ratio_interval(np.subtract(after.nats, before.nats), after.tokens, confidence=confidence)
    # Far ends would overflow; a rise of e^20 is lost in any case.
    return Interval(*(math.expm1(min(value, 20.0)) for value in (change.mean, change.low, change.high)))


def _kl_checks(config: GateConfig, found: Measurement, origin: str, confidence: float) -> Iterator[GateCheck]:
    if config.max_kl > 0 and len(found.text.kl) > 1:
        kl = ratio_interval(found.text.kl, found.text.tokens, confidence=confidence)
        yield _check("KL on held-out text", origin, kl, config.max_kl, None)


def _check(what: str, against: str, loss: Interval, margin: float, tasks_needed: int | None) -> GateCheck:
    verdict = decide(Interval(-loss.mean, -loss.high, -loss.low), margin=margin)
    return GateCheck(what, against, loss, margin, verdict, tasks_needed)


def _said(check: GateCheck) -> str:
    if check.what == GAIN:
        gain = Interval(-check.loss.mean, -check.loss.high, -check.loss.low)
        return (
            f"the gain over {check.against} is {gain.percent()}, not shown to be above {-100 * check.margin:.1f} points"
        )
    if check.in_nats:
        found = f"{check.loss.mean:.4f} [{check.loss.low:.4f}, {check.loss.high:.4f}] nats per token"
        told = "" if check.verdict == LOST else ": not told"
        return f"{check.what} from {check.against} is {found}, at most {check.margin:g}{told}"
    what = f"{check.what} against {check.against}: worse by {check.loss.percent()}, margin {100 * check.margin:.1f}"
    return what if check.verdict == LOST else f"{what}: not told{_asked_for(check)}"


def _asked_for(check: GateCheck) -> str:
    return f" (it takes {check.tasks_needed} tasks)" if check.tasks_needed else ""
