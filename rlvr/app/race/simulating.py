"""`rlvr race --simulate`: what the policies lose and save, in worlds that are made up and on recorded curves."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.race.command import policy_of
from rlvr.app.race.curves import read_curves
from rlvr.errors import UsageError
from rlvr.stages.race.curves import Recorded, Records, records_of
from rlvr.stages.race.policy import Policy, check, halving, safe
from rlvr.stages.race.simulate import Races, Result, World, break_even, gain_over, rung_correlations, simulate
from rlvr.statistics.intervals import Interval
from rlvr.statistics.spread import Spread

SIMULATED_STEPS = 100_000
WORTH = 0.05
"""The share of the steps that "safe" must save to be recommended."""
SPREAD, TASKS = 0.02, 256
"""Of the seeds' true rates, and held-out tasks, where none are given."""
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.9)
"""With the end, of the last rung, for which a simulation is shown."""


def simulated(policy: Policy, races: Races, *, num_racers: int, num_races: int) -> dict[str, Result]:
    """Gives what the policy does beside its rivals: Ray's rule with the same rungs, and fewer seeds for the price."""
    own = simulate(policy, races, num_racers=num_racers, num_races=num_races)
    return {
        policy.rule: own,
        "asha": simulate("asha", races, num_racers=num_racers, num_races=num_races, shares=policy.shares),
        "fewer seeds": simulate("fewer", races, num_racers=num_racers, num_races=num_races, budget=own.cost),
    }


def refuse_ignored(options: argparse.Namespace) -> None:
    """Raises UsageError for what a simulation would not heed, and for a spread that is none."""
    given = {
        "a RECIPE": options.recipe is not None,
        "an override of the recipe": bool(options.overrides),
        "--alternative": bool(options.alternative),
        "--margin": bool(options.margin),
        "--foresight": bool(options.foresight),
        "--budget": bool(options.budget),
        "--cook": options.cook is not None,
        "--jobs": bool(options.jobs),
    }
    ignored = [word for word, is_given in given.items() if is_given]
    if ignored:
        raise UsageError(f"{ignored[0]} says nothing to --simulate", hint="leave it out; rlvr race --simulate --help")
    if options.curves is not None and (options.spread is not None or options.tasks):
        word = "--tasks" if options.tasks else "--spread"
        raise UsageError(f"{word} is of races that are made up, --curves are recorded", hint="leave out one of them")
    if options.spread is not None and not 0 < options.spread < 1:
        raise UsageError(f"--spread {options.spread} must lie between 0 and 1", hint="--spread 0.02")


def print_simulation(options: argparse.Namespace) -> None:
    """Prints to stdout what each rule lacks of the best racer, how often it loses it, and what it spends."""
    refuse_ignored(options)
    num_racers = options.seeds
    policy = policy_of(options, num_racers=num_racers)
    check(policy, num_racers=num_racers, steps=SIMULATED_STEPS)
    if options.races < 2:
        raise UsageError("an interval needs 2 races at least", hint="--races 1000")
    console = Console(width=None if sys.stdout.isatty() else 110)
    if options.curves is not None:
        _print_recorded(options, policy, console)
        return
    found, spread = {}, SPREAD if options.spread is None else options.spread
    for correlation in CORRELATIONS:
        early = rung_correlations(correlation, len(policy.shares))
        world = World(spread, early, num_tasks=options.tasks or TASKS)
        found[f"{correlation:g}"] = simulated(policy, world, num_racers=num_racers, num_races=options.races)
    console.print(_table("correlation", found))
    console.print(
        f"{num_racers} racers whose true rates at the end deviate by {100 * spread:g} points. Correlation is "
        "that of the last rung with the end; spent is of running all to the end; fewer seeds are as many in full as "
        "that buys. safe is told exactly how far rungs tell the end, as many recorded races would. asha is Ray's rule.",
        highlight=False,
    )
    if policy.rule == "halving":
        even = break_even(policy, num_racers=num_racers)
        console.print(*_said_of_even(even), highlight=False)


def _said_of_even(even: float | None) -> list[str]:
    """Says from which correlation on halving pays, where it is simulated."""
    if even is None:
        return []
    return [f"Break-even: halving beats fewer seeds from a correlation of its last rung with the end of {even:.2f} on."]


def _print_recorded(options: argparse.Namespace, policy: Policy, console: Console) -> None:
    curves = read_curves(Path(options.curves))
    records, num_racers = records_of(curves), options.seeds
    if num_racers > len(curves):
        raise UsageError(f"{len(curves)} curves give no race of {num_racers}", hint=f"--seeds {len(curves)} or fewer")
    other = safe() if policy.rule == "halving" else halving(num_racers)
    rules = {rule.rule: at for rule in (policy, other) if (at := _at_records(records, rule)) is not None}
    if policy.rule not in rules:
        raise UsageError(
            f"the curves have steps {list(records.steps)}, too few for rungs at {list(policy.shares)} of the end",
            hint="--rungs, or a smaller evaluate_every",
        )
    found = {}
    for name, rule in rules.items():
        races = Recorded(records, rule.shares)
        found[name] = simulated(rule, races, num_racers=num_racers, num_races=options.races)
    even = break_even(rules["halving"], num_racers=num_racers) if "halving" in rules else None
    steps = {label: ", ".join(map(str, _steps(records, one))) for label, one in rules.items()}
    console.print(_table("rungs of", {f"{label} at {steps[label]}": results for label, results in found.items()}))
    for line in (*told(records, rules), *_said_of_even(even), *verdict(records, found)):
        console.print(line, highlight=False, markup=False)
    console.print(
        f"Races of {num_racers} of {len(curves)} recorded curves; intervals count the drawing of races, not that there "
        "are few curves. What is lacked is as measured at the end, with the noise of evaluation, alike for all rules. "
        "safe is told how far rungs tell the end by the curves that are raced here: in a race to come it errs more.",
        highlight=False,
    )


def _at_records(records: Records, rule: Policy) -> Policy | None:
    """Gives the policy with its rungs at the nearest steps that were recorded; None where two fall on one."""
    shares = tuple(records.steps[records.place(share)] / records.steps[-1] for share in rule.shares)
    return replace(rule, shares=shares) if len(set(shares)) == len(shares) else None


def _steps(records: Records, rule: Policy) -> list[int]:
    return [records.steps[records.place(share)] for share in rule.shares]


def told(records: Records, rules: Mapping[str, Policy]) -> list[str]:
    """Says how far each rung of the policies tells the end, and what that makes of --foresight for "safe"."""
    lines = []
    for step in sorted({step for rule in rules.values() for step in _steps(records, rule)}):
        found = records.foretold(records.steps.index(step))
        said = "does not vary" if found is None else f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
        lines.append(f"Correlation of step {step} with the end, over {len(records.rates)} curves: {said}.")
    if "safe" in rules:
        steps = _steps(records, rules["safe"])
        words = [
            f"{ahead.slope:.2f},{ahead.spread:.4f},{ahead.degrees},{ahead.square_sum:.2g}"
            for ahead in (records.foresight(records.steps.index(step)) for step in steps)
        ]
        lines.append(
            f"For safe with rungs at steps {', '.join(map(str, steps))}, fitted on these same curves: "
            f'--rungs {",".join(f"{share:.4g}" for share in rules["safe"].shares)} --foresight "{";".join(words)}".'
        )
    return lines


def verdict(records: Records, found: Mapping[str, Mapping[str, Result]]) -> list[str]:
    """Says what of the spread is noise, what "halving" and "safe" do on these curves, and what suits them: one of the
    two, or fewer seeds in full. `found` has by rule its results, and none where its rungs were not recorded."""
    spread = records.spread()
    gains = {
        rule: gain_over(results["fewer seeds"], results[rule])
        for rule, results in found.items()
        if rule != "safe" or spread is not None
    }
    lines = [_said_of_spread(spread)]
    lines += [_said_of_halving(gains["halving"])] if "halving" in gains else []
    if spread is not None:
        lines.append(_said_of_safe(found["safe"]["safe"] if "safe" in found else None))
    if spread is not None and spread.p > 0.05:
        return [*lines, "Racing these seeds pays nothing that was measured: train fewer of them, longer."]
    return [*lines, _suits(records, found, gains)]


def _said_of_spread(spread: Spread | None) -> str:
    if spread is None:
        return "Rates of single tasks are not recorded: the noise of evaluation is not known, nor what safe would do."
    larger = "is" if spread.p <= 0.05 else "is not"
    return (
        f"At the end the spread of seeds {larger} larger than the noise of evaluation: their means deviate by "
        f"{100 * spread.means:.1f} points, the noise alone by {100 * spread.noise:.1f} (p {spread.p:.2g})."
    )


def _said_of_halving(gain: Interval) -> str:
    """Says whether it pays: whether it lacks less of the best racer than fewer seeds in full for the same steps."""
    said = f"{100 * gain.mean:+.2f} points [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"
    if gain.low > 0:
        return f"Halving pays on these curves: beside fewer seeds for the same steps it gains {said}."
    if gain.high < 0:
        return f"Halving does not pay on these curves: beside fewer seeds it gains {said}."
    return f"Whether halving pays is not told: beside fewer seeds for the same steps it gains {said}."


def _said_of_safe(result: Result | None) -> str:
    if result is None:
        return "What safe would do is not known: the curves were not recorded at the steps of its rungs."
    return (
        f"Safe pauses somebody in {100 * result.paused_rate:.1f}% of these races and the best one in "
        f"{100 * result.lost_rate:.1f}%, and saves {100 * (1 - result.cost):.1f}% of the steps."
    )


def _suits(records: Records, found: Mapping[str, Mapping[str, Result]], gains: Mapping[str, Interval]) -> str:
    """Recommends a rule that pays: "halving", which saves more, before "safe"; fewer seeds in full where halving does
    not pay, and nothing where that is not told."""
    saved = {rule: 1 - found[rule][rule].cost for rule in gains}
    pays = {rule for rule, gain in gains.items() if gain.low > 0}
    is_worth = saved.get("safe", 0.0) >= WORTH
    if "halving" in pays:
        careful = ", or safe where the best one must not be lost" if is_worth else ""
        return f"These curves suit halving{careful}."
    shown = ["halving is not shown to pay" if "halving" in gains else "what halving would do is not known"]
    if "safe" in pays and is_worth:
        return f"These curves suit safe: it pays and saves {100 * saved['safe']:.0f}% of the steps, and {shown[0]}."
    if "halving" in gains and gains["halving"].high >= 0:
        return (
            f"Which rule suits is not told: {len(records.rates)} curves are too few to tell halving from fewer seeds "
            "in full. More recorded curves narrow the interval, and more held-out tasks the noise of the end."
        )
    if "safe" in gains:
        shown.append(
            "safe is not shown to pay" if is_worth else f"safe saves less than {100 * WORTH:.0f}% of the steps"
        )
    return f"These curves suit fewer seeds in full: {' and '.join(shown)}."


def _table(first: str, found: Mapping[str, Mapping[str, Result]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in (first, "rule", "lacks of the best", "loses the best", "pauses anyone", "spends"):
        table.add_column(head, justify="left" if head == "rule" else "right")
    for label, results in found.items():
        for place, (name, result) in enumerate(results.items()):
            regret = result.regret
            table.add_row(
                label if place == 0 else "",
                name,
                f"{100 * regret.mean:.2f} points [{100 * regret.low:.2f}, {100 * regret.high:.2f}]",
                f"{100 * result.lost_rate:.1f}%",
                f"{100 * result.paused_rate:.1f}%",
                f"{100 * result.cost:.0f}%",
                end_section=place == len(results) - 1,
            )
    return table
