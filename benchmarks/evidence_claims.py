"""The claims of the laptop recipe, each with its figures, and whether it holds; what was not measured does not."""

import math
import statistics
from collections.abc import Container, Iterator, Mapping, Sequence

from evidence_runs import CHILD, HARD_FROM, PARENT, STRETCH, Finished, each

from rlvr.runs.report import DomainReport
from rlvr.runs.summary import BEYOND_DOMAINS, BEYOND_POINTS, is_beyond
from rlvr.statistics.intervals import Interval, paired_difference_interval

MEAN_GAIN, DOMAIN_GAIN, NUM_DOMAINS = 0.25, 0.15, 3
KEPT_POINTS, KEPT_PERPLEXITY = 0.02, 0.03
STAGED, NUM_WORST = 0.02, 5
LADDER, LONGER, HARDER_FROM = "arithmetic", 10.0, 5
"""The domain whose right working grows at least tenfold over its rungs, and the rung from which it has to pay."""
CONTROL_SHARE, CONTROL_BASE = 0.25, "base1"
BROKEN = 0.05
"""A control that surely loses more has not learnt nothing, but broken."""
NOT_MEASURED = "not measured"

Claim = tuple[bool, str]
"""Whether it holds, and the claim with its figures."""


def claims(true: Sequence[Finished], control: Sequence[Finished], worked: Sequence[Finished] = ()) -> Iterator[Claim]:
    """Gives each thing that the recipe promises, from the runs proper and those with shuffled rewards.

    `worked` are runs whose demonstrations all show their working: what is left of the gain then is said with it.
    """
    yield _mean_gain(true, worked)
    yield _clear_domains(true)
    yield _untouched(true)
    yield _stories(true)
    yield _control(true, control)
    yield _staged(true)
    yield _ladder(true)
    yield _beyond(true)
    yield _hard(true)


def best_greedy(domain: DomainReport) -> float:
    """Gives the highest greedy accuracy of all prompts."""
    return max(r.accuracy.mean for r in domain.readouts if r.temperature == 0)


def best_sampled(run: Finished, domain: str) -> float:
    """Gives the highest pass@1 at temperature 1 of all stages before RLVR, under any prompt."""
    before = [stage.domains[domain] for stage in run.stages if stage.name != CHILD]
    return max(rate for found in before for rate in (found.pass_at_1.mean, *_sampled(found)))


def _sampled(domain: DomainReport) -> list[float]:
    return [readout.accuracy.mean for readout in domain.readouts if readout.temperature == 1]


def _mean_gain(runs: Sequence[Finished], worked: Sequence[Finished]) -> Claim:
    means = {run.name: run.mean_gain.mean for run in runs}
    text = f"pass@1 over the RL domains rises by at least {100 * MEAN_GAIN:.0f} points on average, in every run"
    left = _named({run.name: run.mean_gain.mean for run in worked})
    rest = f" (where all demonstrations show their working, so that RL need not find it: {left})" if worked else ""
    return min(means.values()) >= MEAN_GAIN, f"{text}: {_named(means)}{rest}"


def _clear_domains(runs: Sequence[Finished]) -> Claim:
    clear = {run.name: [d for d in run.trained if _is_clear(run, d)] for run in runs}
    text = (
        f"at least {NUM_DOMAINS} domains rise by {100 * DOMAIN_GAIN:.0f} points or more with intervals that do not "
        "touch, in every run: "
    )
    counts = "; ".join(f"{name} {len(found)}" for name, found in clear.items())
    return min(map(len, clear.values())) >= NUM_DOMAINS, text + counts


def _is_clear(run: Finished, domain: str) -> bool:
    before, after = (run.stage(name).domains[domain].pass_at_1 for name in (PARENT, CHILD))
    return run.gain(domain).mean >= DOMAIN_GAIN and after.low > before.high


def _untouched(runs: Sequence[Finished]) -> Claim:
    moved: dict[str, float | None] = {}
    for run in runs:
        gains = [run.stage(CHILD).domains[name].gain for name in run.untouched]
        known = [gain.mean for gain in gains if gain is not None]
        moved[run.name] = max(known, key=abs) if known and len(known) == len(gains) else None
    text = f"domains never trained on move by at most {100 * KEPT_POINTS:.0f} points from DPO to RLVR"
    return _at_most(moved, KEPT_POINTS), f"{text}: {_named(moved)}"


def _stories(runs: Sequence[Finished]) -> Claim:
    changes: dict[str, float | None] = {}
    for run in runs:
        before, after = run.stage(PARENT).perplexity, run.stage(CHILD).perplexity
        changes[run.name] = None if before is None or after is None else after / before - 1
    text = f"story perplexity moves by at most {100 * KEPT_PERPLEXITY:.0f}% from DPO to RLVR"
    return _at_most(changes, KEPT_PERPLEXITY), f"{text}: {_named(changes)}"


def _control(true: Sequence[Finished], control: Sequence[Finished]) -> Claim:
    gains = [run.mean_gain.mean for run in true if run.base == CONTROL_BASE]
    bounds: dict[str, float | None] = {run.name: run.mean_gain.high for run in control}
    rises: dict[str, float | None] = {run.name: _rise(run) for run in control}
    limit = CONTROL_SHARE * min(gains) if gains else None
    figure = NOT_MEASURED if limit is None else f"{100 * limit:.1f}"
    text = (
        "with shuffled rewards the upper bound of the mean gain stays under a quarter of the smallest mean gain of the "
        f"true runs on the same base ({figure}), and so does what any {STRETCH} steps on the way solve over the first: "
    )
    means = _named({run.name: run.mean_gain.mean for run in control})
    holds = bool(control) and limit is not None and _all_below(bounds, limit) and _all_below(rises, limit)
    broken = [run.name for run in control if run.mean_gain.high < -BROKEN]
    said = f"; {', '.join(broken)} broke in the end, so that there only the way says something" if broken else ""
    return holds, f"{text}{_named(bounds)}; the gains themselves: {means}; on the way at most: {_named(rises)}{said}"


def _rise(run: Finished) -> float | None:
    """What the best stretch after the first solved over the first."""
    return max(run.course[1:]) - run.course[0] if len(run.course) > 1 else None


def _all_below(values: Mapping[str, float | None], limit: float) -> bool:
    return all(value is not None and value < limit for value in values.values())


def _staged(runs: Sequence[Finished]) -> Claim:
    changes = {
        run.name: {(stage, domain): over for stage, found in run.staged.items() for domain, over in found.items()}
        for run in runs
    }
    single = {f"{name} {s} {d}": change for name, of_run in changes.items() for (s, d), change in of_run.items()}
    means: dict[str, float | None] = {}
    bases = {base: [run.name for run in runs if run.base == base] for base in dict.fromkeys(run.base for run in runs)}
    for base, names in bases.items():
        for stage, domain in dict.fromkeys(key for of_run in changes.values() for key in of_run):
            found = [changes[name][stage, domain] for name in names if (stage, domain) in changes[name]]
            means[f"{base} {stage} {domain}"] = statistics.mean(found) if len(found) == len(names) else None
    text = (
        f"as a mean over the seeds of each base, no stage's greedy accuracy lies more than {100 * STAGED:.0f} points "
        "below its best ancestor's under any prompt, in any domain, RLVR and the domains never trained on included "
        "(the best is chosen on one half of the tasks and compared on the other, both ways; a single difference has an "
        "error of about 2 points itself, so single runs are listed, not judged); "
        "lowest means: "
    )
    holds = all(mean is not None and mean >= -STAGED for mean in means.values())
    return holds, f"{text}{_lowest(means)}; lowest single ones: {_lowest(single)}"


def _lowest(values: Mapping[str, float | None] | Mapping[str, float]) -> str:
    """What was not measured comes first."""
    order = sorted(values.items(), key=lambda item: -math.inf if item[1] is None else item[1])
    return _named(dict(order[:NUM_WORST]))


def _ladder(runs: Sequence[Finished]) -> Claim:
    """Right working on rungs that ask for ten times as much as the lowest, and right with working against without."""
    rungs = sorted({rung for run in runs for rung in run.work.get(LADDER, {})})
    lengths = {rung: [n for run in runs for n in each(run.work[LADDER][rung].working)] for rung in rungs}
    typical = {rung: statistics.median(found) for rung, found in lengths.items() if found}
    long = [rung for rung in rungs[1:] if typical.get(rung, 0.0) >= LONGER * typical.get(rungs[0], math.inf)]
    harder = [rung for rung in rungs if rung >= HARDER_FROM]
    there, pays = _pays(runs, long), {run.name: _pays([run], harder) for run in runs}
    text = (
        f"{LADDER} is a ladder: its highest rungs ask for right working {LONGER:.0f} times as long as the lowest; "
        f"there, and in every run over all rungs from {HARDER_FROM} on, an answer with working is more often right "
        "than one without, on the same tasks: "
    )
    if there is None:
        return False, text + NOT_MEASURED
    holds = there.low > 0 and all(found is not None and found.low > 0 for found in pays.values())
    asked = ", ".join(f"{typical[rung]:.0f} on rung {rung}" for rung in long)
    figures = (
        f"{typical[rungs[0]]:.0f} tokens on rung {rungs[0]}, {asked}; what working pays there, in points: "
        f"{100 * there.mean:+.1f} [{100 * there.low:+.1f}, {100 * there.high:+.1f}]; lower ends from rung "
        f"{HARDER_FROM} on: {_named({name: None if found is None else found.low for name, found in pays.items()})}"
    )
    return holds, text + figures


def _pays(runs: Sequence[Finished], rungs: Container[int]) -> Interval | None:
    """Gives right with working minus right without, over the tasks of these rungs that have samples of both kinds.

    The unit is the task: of several runs, which share their tasks, each task has its mean.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        for rung, work in run.work.get(LADDER, {}).items():
            if rung in rungs:
                for task, pair in work.paired.items():
                    pairs.setdefault(task, []).append(pair)
    if not pairs:
        return None
    shown, without = ([statistics.mean(pair[side] for pair in task) for task in pairs.values()] for side in (0, 1))
    return paired_difference_interval(without, shown)


def _beyond(runs: Sequence[Finished]) -> Claim:
    found = {run.name: run.stage(CHILD).beyond for run in runs}
    reached = {name: [d for d, b in beyond.items() if is_beyond(b.gain)] for name, beyond in found.items()}
    text = (
        f"RLVR's greedy answers are {100 * BEYOND_POINTS:.0f} points or more above every ancestor's strongest readout "
        f"in {BEYOND_DOMAINS} domains, in every run: "
    )
    figures = [
        f"{name} {', '.join(reached[name]) or 'none' if beyond else NOT_MEASURED}" for name, beyond in found.items()
    ]
    return min(map(len, reached.values())) >= BEYOND_DOMAINS, text + "; ".join(figures)


def _hard(runs: Sequence[Finished]) -> Claim:
    holds = all(any(is_beyond(hard.beyond.gain) for hard in run.hard.values()) for run in runs)
    figures = []
    for run in runs:
        gains = {domain: hard.beyond.gain for domain, hard in run.hard.items()}
        said = [
            f"{d} {100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" for d, gain in gains.items()
        ]
        figures.append(f"{run.name} {', '.join(said) or NOT_MEASURED}")
    rungs = ", ".join(f"{domain} from {rung}" for domain, rung in HARD_FROM.items())
    text = (
        f"on the rungs that no written text has ({rungs}) RLVR's greedy answers are {100 * BEYOND_POINTS:.0f} points "
        "or more above every ancestor's strongest readout on the same tasks, paired, in at least one domain, in every "
        "run: "
    )
    return holds, text + "; ".join(figures)


def _at_most(values: Mapping[str, float | None], limit: float) -> bool:
    return all(value is not None and abs(value) <= limit for value in values.values())


def _named(values: Mapping[str, float | None] | Mapping[str, float]) -> str:
    figures = [f"{name} {NOT_MEASURED if value is None else f'{100 * value:+.1f}'}" for name, value in values.items()]
    return "; ".join(figures) or NOT_MEASURED
