"""What the runs of the evidence say, as tables: the page of the lab."""

import statistics
from collections.abc import Sequence

from evidence_claims import CONTROL_BASE, NOT_MEASURED, best_greedy, claims
from evidence_runs import CHILD, HARD_FROM, PARENT, Finished, changed_since, each

from rlvr.runs.report import Beyond, StageReport
from rlvr.statistics.intervals import Interval

Z = 1.96
MISSING = "–"

SPREAD_NOTES = """Standard deviations, in points of the gain in pass@1.

- All runs share their tasks and the keys of sampling, so the noise of the choice of tasks is mostly not in the spread
  over seeds.
- What lies between the bases contains the noise of the seeds, and with two bases it has one degree of freedom.
- A seed changes SFT and both DPO stages too, not RLVR alone.
- The second base shares the text of the corpus and the tokenizer with the first."""


DEMONSTRATIONS_NOTES = """Some of SFT's demonstrations only say the answer, so after SFT and DPO a share of the
samples does, while greedy answers stay as good as the base's best
(docs/lab/2026-11-23-laptop-gain-against-honesty.md); much of RLVR's gain in pass@1 is that it goes. In the run named
working all demonstrations show their working; nothing else is changed."""


def by_kind(runs: Sequence[Finished]) -> tuple[list[Finished], list[Finished], list[Finished]]:
    """Gives the runs proper, those with shuffled rewards, and those whose demonstrations all show their working."""
    true, control = [run for run in runs if run.is_true], [run for run in runs if run.is_control]
    return true, control, [run for run in runs if not run.is_true and not run.is_control]


def _verdicts(true: Sequence[Finished], control: Sequence[Finished], worked: Sequence[Finished]) -> str:
    return "\n".join(
        f"- **{'holds' if holds else 'DOES NOT HOLD'}**: {claim}" for holds, claim in claims(true, control, worked)
    )


def lab_page(runs: Sequence[Finished], second_base: Sequence[StageReport]) -> str:
    """Gives the whole page: the verdict on each claim first, then the figures."""
    true, control, others = by_kind(runs)
    parts = [
        "# Evidence for the laptop recipe",
        _introduction(true, control, second_base),
        "## The claims",
        _verdicts(true, control, others),
        "## Gain of RLVR over DPO, pass@1, paired by task",
        _gains([*true, *control, *others]),
        "## How much of the gain the demonstrations leave",
        DEMONSTRATIONS_NOTES,
        _levels([*(run for run in true if run.base == CONTROL_BASE), *others]),
        "## Gain of every stage over the one before, pass@1",
        _stage_gains(true),
        "## Spread",
        _spread_table(true),
        "## Every stage, greedy under the chat prompt, beside its best greedy readout",
        _stages(true),
        "## Every stage's greedy answers over its best ancestor's, any prompt",
        _staged(true),
        "## RLVR's greedy answers beyond the strongest readout of every ancestor",
        _beyond(true),
        "## The same on the rungs that no written text has",
        _hard(true),
        "## By rung: pass@1 after DPO and after RLVR",
        *(_rungs(true, domain) for domain in true[0].trained if true[0].stage(CHILD).domains[domain].rungs),
        "## Longer work: DPO's chat samples by rung, all runs together",
        *(_work(true, domain) for domain in true[0].work),
        "Working is what stands between `<think>` and `</think>`, when anything does.",
        "## Conditions for RL, before it starts",
        _conditions(runs),
        "## What was never trained on",
        _kept([*true, *others]),
        "## The controls after RLVR",
        _controls(control),
        "## Cost",
        _cost(true),
        "## Where each run comes from",
        _origins(runs),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(true: Sequence[Finished], control: Sequence[Finished], second_base: Sequence[StageReport]) -> str:
    tasks = {
        name: sorted({stage.domains[name].num_tasks for run in [*true, *control] for stage in run.stages})
        for name in true[0].stage(CHILD).domains
    }
    steps = spread([run.steps for run in [*true, *control]], "{:.0f}")
    counted = ", ".join(f"{name} {' to '.join(map(str, dict.fromkeys((c[0], c[-1]))))}" for name, c in tasks.items())
    return (
        "Written by `make evidence` (benchmarks/evidence.py); nothing on this page is edited by hand.\n"
        f"{len(true)} runs of recipes/laptop.toml on {len({r.base for r in true})} bases, {len(control)} controls with "
        f"shuffled rewards on the shipped base, each with {steps} steps of RLVR. "
        f"Tasks evaluated: {counted}; all held out but those named -seen, which "
        "are recalled. Per cent; intervals are 95%, over tasks. The second base is recipes/laptop-base.toml with "
        f"another seed ({sum(s.cpu_seconds for s in second_base[1:]):.0f} CPU-seconds of pretraining)."
    )


def _gains(runs: Sequence[Finished]) -> str:
    domains = list(runs[0].stage(CHILD).domains)
    rows = [f"| run | {' | '.join(domains)} | mean of the RL domains |", "|---" * (len(domains) + 2) + "|"]
    for run in runs:
        cells = [_interval(run.gain(domain)) for domain in domains]
        rows.append(f"| {run.name} | {' | '.join(cells)} | {_interval(run.mean_gain)} |")
    return "\n".join(rows)


def _stage_gains(runs: Sequence[Finished]) -> str:
    names = [stage.name for stage in runs[0].stages[1:]]
    rows = [f"| domain | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for domain in runs[0].stage(CHILD).domains:
        gains = {name: [run.stage(name).domains[domain].gain for run in runs] for name in names}
        cells = [range_of([gain.mean for gain in gains[name] if gain is not None], sign="+") for name in names]
        rows.append(f"| {domain} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", f"Mean of {len(runs)} runs (lowest … highest)."])


def _spread_table(runs: Sequence[Finished]) -> str:
    """Standard deviations of the gain: over the seeds of one base, over the bases' means, and of the evaluation."""
    rows = ["| domain | over seeds of one base | between the bases' means | noise of evaluation |", "|---|---|---|---|"]
    bases = sorted({run.base for run in runs})
    for domain in runs[0].trained:
        by_base = [[run.gain(domain).mean for run in runs if run.base == base] for base in bases]
        seeds = statistics.mean(statistics.variance(gains) for gains in by_base) ** 0.5
        between = statistics.stdev(map(statistics.mean, by_base)) if len(bases) > 1 else 0.0
        noise = statistics.mean((run.gain(domain).high - run.gain(domain).low) / (2 * Z) for run in runs)
        rows.append(f"| {domain} | {100 * seeds:.1f} | {100 * between:.1f} | {100 * noise:.1f} |")
    return "\n".join([*rows, "", SPREAD_NOTES])


def _stages(runs: Sequence[Finished]) -> str:
    names = [stage.name for stage in runs[0].stages]
    rows = [f"| run | domain | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for run in runs:
        for domain in run.trained:
            cells = [
                f"{_points(stage.domains[domain].greedy.mean)} / {_points(best_greedy(stage.domains[domain]))}"
                for stage in run.stages
            ]
            rows.append(f"| {run.name} | {domain} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", "Chat prompt / best of all prompts, greedy."])


def _staged(runs: Sequence[Finished]) -> str:
    names, domains = [stage.name for stage in runs[0].stages[1:]], list(runs[0].stage(CHILD).domains)
    rows = [f"| domain | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for domain in domains:
        over = {name: [run.staged.get(name, {}).get(domain) for run in runs] for name in names}
        cells = [range_of([value for value in over[name] if value is not None], sign="+") for name in names]
        rows.append(f"| {domain} | {' | '.join(cells)} |")
    notes = (
        f"Chat prompt, points; mean of {len(runs)} runs (lowest … highest). The best readout is chosen on one half of "
        "the tasks and compared on the other, both ways: on the tasks that it is chosen on it looks better than it is."
    )
    return "\n".join([*rows, "", notes])


def _beyond(runs: Sequence[Finished]) -> str:
    rows = ["| run | domain | strongest readout before | its accuracy | RLVR's greedy over it |", "|---" * 5 + "|"]
    for run in runs:
        rows += [f"| {run.name} | {name} | {_over(found)} |" for name, found in run.stage(CHILD).beyond.items()]
    return "\n".join(rows)


def _hard(runs: Sequence[Finished]) -> str:
    heads = "run | domain | tasks | strongest readout before on them | its accuracy | RLVR's greedy over it"
    rows = [f"| {heads} |", "|---" * 6 + "|"]
    for run in runs:
        rows += [
            f"| {run.name} | {name}, rung {HARD_FROM[name]} and above | {hard.num_tasks} | {_over(hard.beyond)} |"
            for name, hard in run.hard.items()
        ]
    return "\n".join(rows)


def _over(found: Beyond) -> str:
    # A bare | would end the cell.
    prompt = found.prompt.replace("\n", "\\n").replace("|", "\\|")
    how = f"{found.stage}, `{prompt}`, temperature {found.temperature:g}"
    return f"{how} | {_points(found.accuracy.mean)} | {_interval(found.gain)}"


def _rungs(runs: Sequence[Finished], domain: str) -> str:
    rungs = sorted(runs[0].stage(CHILD).domains[domain].rungs)
    rows = [f"| {domain}, rung | {' | '.join(map(str, rungs))} |", "|---" * (len(rungs) + 1) + "|"]
    for name in (PARENT, CHILD):
        cells = [
            _points(statistics.mean(run.stage(name).domains[domain].rungs[rung].mean for run in runs)) for rung in rungs
        ]
        rows.append(f"| {name}, mean of {len(runs)} runs | {' | '.join(cells)} |")
    return "\n".join(rows)


def _work(runs: Sequence[Finished], domain: str) -> str:
    """Rows over the rungs: tokens of right completions, the share with working, and how often each kind is right."""
    rungs = sorted({rung for run in runs for rung in run.work[domain]})
    found = {rung: [run.work[domain][rung] for run in runs if rung in run.work[domain]] for rung in rungs}
    lengths = [[length for work in found[rung] for length in each(work.lengths)] for rung in rungs]
    shown = [_summed([work.shown for work in found[rung]]) for rung in rungs]
    at_once = [_summed([work.at_once for work in found[rung]]) for rung in rungs]
    lines = {
        "tokens of right completions": [f"{statistics.mean(some):.0f}" if some else MISSING for some in lengths],
        "tokens of their working": [
            f"{statistics.mean(some):.0f}"
            if (some := [n for work in found[rung] for n in each(work.working)])
            else MISSING
            for rung in rungs
        ],
        "working shown": [_share((some, some + others)) for (_, some), (_, others) in zip(shown, at_once, strict=True)],
        "right with working": [_share(some) for some in shown],
        "right without": [_share(some) for some in at_once],
    }
    rows = [f"| {domain}, rung | {' | '.join(map(str, rungs))} |", "|---" * (len(rungs) + 1) + "|"]
    return "\n".join([*rows, *(f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items())])


def _summed(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(some for some, _ in counts), sum(all_ for _, all_ in counts)


def _share(counts: tuple[int, int]) -> str:
    some, all_ = counts
    return _points(some / all_) if all_ else MISSING


def _levels(runs: Sequence[Finished]) -> str:
    rows = ["| run | domain | SFT, pass@1 | DPO | RLVR | RLVR, greedy |", "|---" * 6 + "|"]
    for run in runs:
        for domain in run.trained:
            levels = [_points(run.stage(name).domains[domain].pass_at_1.mean) for name in ("sft", PARENT, CHILD)]
            greedy = _points(run.stage(CHILD).domains[domain].greedy.mean)
            rows.append(f"| {run.name} | {domain} | {' | '.join(levels)} | {greedy} |")
    return "\n".join(rows)


def _conditions(runs: Sequence[Finished]) -> str:
    """Every condition that did not hold; all is trained all the same."""
    rows = [
        f"- {run.name}, {found.domain}: {problem}"
        for run in runs
        for found in run.stage(CHILD).conditions
        for problem in found.problems
    ]
    every = [(run, found) for run in runs for found in run.stage(CHILD).conditions]
    counts = {state: sum(found.holds == state for _, found in every) for state in ("yes", "open", "no")}
    still_open = "; ".join(f"{run.name} {found.domain}" for run, found in every if found.holds == "open")
    said = (
        f"Of {len(every)} domains in all runs {counts['yes']} meet every condition, in {counts['open']} too few tasks "
        f"have samples with working and without to judge what working is worth, and {counts['no']} do not meet one:"
    )
    return "\n".join([said, "", *rows, *([f"- not judged: {still_open}"] if still_open else [])])


def _controls(runs: Sequence[Finished]) -> str:
    rows = ["| run | mean gain of the RL domains | story perplexity | KL to DPO, nats a token |", "|---" * 4 + "|"]
    for run in runs:
        last = run.stage(CHILD)
        kl = NOT_MEASURED if last.kl is None else f"{last.kl:.3f}"
        stories = " → ".join(spread([run.stage(name).perplexity], "{:.3f}") for name in (PARENT, CHILD))
        rows.append(f"| {run.name} | {_interval(run.mean_gain)} | {stories} | {kl} |")
    return "\n".join([*rows, "", "A mean far below 0 would be a model that broke, not a control that learnt nothing."])


def _origins(runs: Sequence[Finished]) -> str:
    rows = ["| run | started | commit | files of the computation changed since | processor |", "|---" * 5 + "|"]
    rows += [
        f"| {r.name} | {r.origin['started']} | {r.origin['commit']} | {_changed(r)} | {r.origin['processor']} |"
        for r in runs
    ]
    return "\n".join(rows)


def _changed(run: Finished) -> str:
    """Says how many files that decide what a run finds have changed since it was made."""
    count = changed_since(run.origin["commit"])
    return MISSING if count is None else str(count)


def _kept(runs: Sequence[Finished]) -> str:
    domains = runs[0].untouched
    rows = [f"| run | {' | '.join(domains)} | story perplexity |", "|---" * (len(domains) + 2) + "|"]
    for run in runs:
        cells = [
            " → ".join(_points(stage.domains[domain].pass_at_1.mean) for stage in run.stages) for domain in domains
        ]
        stories = " → ".join(spread([stage.perplexity], "{:.3f}") for stage in run.stages)
        rows.append(f"| {run.name} | {' | '.join(cells)} | {stories} |")
    return "\n".join([*rows, "", f"From stage to stage: {', '.join(stage.name for stage in runs[0].stages)}."])


def _cost(runs: Sequence[Finished]) -> str:
    names = [stage.name for stage in runs[0].stages[1:]]
    cpu = [spread([run.stage(name).cpu_seconds for run in runs], "{:.0f}") for name in names]
    elapsed = [spread([run.stage(name).seconds for run in runs], "{:.0f}") for name in names]
    return "\n".join(
        [
            f"| training | {' | '.join(names)} |",
            "|---" * (len(names) + 1) + "|",
            f"| seconds elapsed | {' | '.join(elapsed)} |",
            f"| CPU-seconds | {' | '.join(cpu)} |",
            "",
            "Lowest to highest of all runs; several runs may have shared the machine.",
        ]
    )


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(found: Interval) -> str:
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def range_of(values: Sequence[float], sign: str = "") -> str:
    """Gives the mean of all runs, and the lowest and highest, in per cent."""
    if not values:
        return MISSING
    mean, low, high = (100 * value for value in (statistics.mean(values), min(values), max(values)))
    return f"{mean:{sign}.1f} ({low:{sign}.1f} … {high:{sign}.1f})"


def spread(values: Sequence[float | None], form: str) -> str:
    """Gives the lowest and the highest that were measured."""
    known = [value for value in values if value is not None]
    if not known:
        return NOT_MEASURED
    low, high = form.format(min(known)), form.format(max(known))
    return low if low == high else f"{low} … {high}"
