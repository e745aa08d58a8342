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
from rlvr.stages.race.simulate import Races, Result, World, break_even, rung_correlations, simulate

SIMULATED_STEPS = 100_000
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


def print_simulation(options: argparse.Namespace) -> None:
    """Prints to stdout what each rule lacks of the best racer, how often it loses it, and what it spends."""
    num_racers = options.seeds
    policy = policy_of(options, num_racers=num_racers)
    check(policy, num_racers=num_racers, steps=SIMULATED_STEPS)
    console = Console(width=None if sys.stdout.isatty() else 110)
    if options.curves is not None:
        _print_recorded(options, policy, console)
        return
    found = {}
    for correlation in CORRELATIONS:
        early = rung_correlations(correlation, len(policy.shares))
        world = World(options.spread, early, num_tasks=options.tasks)
        found[f"{correlation:g}"] = simulated(policy, world, num_racers=num_racers, num_races=options.races)
    console.print(_table("correlation", found))
    console.print(
        f"{num_racers} racers whose true rates at the end deviate by {100 * options.spread:g} points. Correlation is "
        "that of the last rung with the end; spent is of running all to the end; fewer seeds are as many in full as "
        "that buys. safe is told exactly how far rungs tell the end, as many recorded races would. asha is Ray's rule.",
        highlight=False,
    )
    if policy.rule == "halving":
        even = break_even(policy, num_racers=num_racers)
        console.print(f"Break-even: halving beats fewer seeds from a correlation of {even:.2f} on.", highlight=False)


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
        steps = ", ".join(str(records.steps[records.place(share)]) for share in rule.shares)
        found[f"{name} at {steps}"] = simulated(rule, races, num_racers=num_racers, num_races=options.races)
    console.print(_table("rungs of", found))
    for line in verdict(records, rules.get("halving", halving(num_racers)), num_racers=num_racers):
        console.print(line, highlight=False, markup=False)
    console.print(
        f"Races of {num_racers} of {len(curves)} recorded curves; intervals count the drawing of races, not that there "
        "are few curves. What is lacked is as measured at the end, with the noise of evaluation, alike for all rules.",
        highlight=False,
    )


def _at_records(records: Records, rule: Policy) -> Policy | None:
    """Gives the policy with its rungs at the nearest steps that were recorded; None where two fall on one."""
    shares = tuple(records.steps[records.place(share)] / records.steps[-1] for share in rule.shares)
    return replace(rule, shares=shares) if len(set(shares)) == len(shares) else None


def verdict(records: Records, rule: Policy, *, num_racers: int) -> list[str]:
    """Says how far each rung of "halving" tells the end, what of the spread is noise, and which policy suits."""
    count, lines, told = len(records.rates), [], None
    for share in rule.shares:
        place = records.place(share)
        told, ahead = records.foretold(place), records.foresight(place)
        said = "does not vary" if told is None else f"{told.mean:.2f} [{told.low:.2f}, {told.high:.2f}]"
        lines.append(
            f"Correlation of step {records.steps[place]} with the end, over {count} curves: {said}; "
            f"--foresight {ahead.slope:.2f},{ahead.spread:.4f}."
        )
    spread = records.spread()
    if spread is None:
        lines.append(
            "Rates of single tasks are not recorded: the noise of evaluation is not known, and safe cannot race."
        )
    else:
        larger = "is" if spread.p <= 0.05 else "is not"
        lines.append(
            f"At the end the spread of seeds {larger} larger than the noise of evaluation: their means deviate by "
            f"{100 * spread.means:.1f} points, the noise alone by {100 * spread.noise:.1f} (p {spread.p:.2g})."
        )
    even = break_even(rule, num_racers=num_racers)
    if spread is not None and spread.p > 0.05:
        return [*lines, "Racing these seeds pays nothing that was measured: train fewer of them, longer."]
    if told is None or told.low <= even < told.high:
        return [*lines, f"Whether halving pays is not told: its break-even of {even:.2f} lies inside the interval."]
    if told.low > even:
        return [*lines, f"Halving pays: the correlation lies above its break-even of {even:.2f}."]
    return [
        *lines,
        f"Halving does not pay: the correlation lies below its break-even of {even:.2f}. Run fewer seeds in full.",
    ]


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
