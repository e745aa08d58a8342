"""What `rlvr race` is asked: a recipe with its racers and a policy, or a simulation of policies."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rlvr.app.plan import make_plan
from rlvr.app.race.race import Plan, Racer, make_race, run_race
from rlvr.app.race.result import print_result, result_of, write_page
from rlvr.config.reading import Resolved, read_recipe
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import RecipeError, UsageError
from rlvr.stages.race.policy import POLICIES, Foresight, Policy, check, halving, safe
from rlvr.stages.race.simulate import Result, World, simulate
from rlvr.verifiers.pool import usable_cores

SIMULATED_STEPS = 100_000
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.9)
"""With the end, of the last rung, for which a simulation is shown."""


def policy_of(options: argparse.Namespace, *, num_racers: int) -> Policy:
    """Gives the policy that is named, with other rungs ("0.1,0.3") and numbers to keep ("4,2") where they are given."""
    name = options.policy
    if name not in POLICIES:
        raise UsageError(f"there is no policy {name!r}", hint=f"known: {', '.join(POLICIES)}")
    if options.keep and name != "halving":
        raise UsageError("only halving keeps a fixed number", hint="--policy halving, or leave out --keep")
    found = halving(num_racers) if name == "halving" else safe(options.error)
    if options.rungs:
        shares = _numbers(options.rungs, "--rungs")
        halved = tuple(max(1, num_racers // 2 ** (place + 1)) for place in range(len(shares)))
        found = replace(found, shares=shares, keep=halved if name == "halving" else ())
    if options.keep:
        found = replace(found, keep=tuple(round(x) for x in _numbers(options.keep, "--keep")))
    return found


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text} are no numbers", hint=f"{option} 0.1,0.3") from None


def racers_of(
    recipe: Path, overrides: Sequence[str], *, seeds: int, alternatives: Sequence[str]
) -> dict[Racer, Resolved]:
    """Gives every racer with its recipe: so many seeds from the recipe's on, of it and of each alternative."""
    found = {}
    base = read_recipe(recipe, overrides)
    for number, text in enumerate(("", *alternatives)):
        words = tuple(shlex.split(text))
        resolved = read_recipe(recipe, (*overrides, *words)) if words else base
        for seed in range(base.recipe.seed, base.recipe.seed + seeds):
            name = f"alternative-{number}-seed-{seed}" if words else f"seed-{seed}"
            found[Racer(name, seed, words)] = resolved
    return found


def race(options: argparse.Namespace) -> Path:
    """Makes a race and runs it to its end; gives its folder, runs/NAME-race."""
    resolved = read_recipe(options.recipe, options.overrides)
    everyone = racers_of(options.recipe, options.overrides, seeds=options.seeds, alternatives=options.alternative)
    for one in {racer.words: one for racer, one in everyone.items()}.values():
        make_plan(one)
    last = resolved.recipe.stage[-1]
    if not isinstance(last, RlvrConfig):
        raise RecipeError(f"the last stage is {last.name or last.kind}; a race is of kind rlvr", hint='kind = "rlvr"')
    rule = policy_of(options, num_racers=len(everyone))
    steps = check(rule, num_racers=len(everyone), steps=last.steps)
    told = Foresight(*_pair(options.foresight)) if options.foresight else Foresight()
    threads = resolved.recipe.threads or usable_cores()
    at_once = options.jobs or max(1, usable_cores() // threads)
    plan = Plan(tuple(everyone), rule, steps, last.steps, told, at_once, options.cook)
    folder = Path(resolved.recipe.runs) / f"{resolved.recipe.name}-race"
    make_race(folder, resolved, {racer.name: one for racer, one in everyone.items()}, plan)
    return go_on(folder)


def _pair(text: str) -> tuple[float, float]:
    numbers = _numbers(text, "--foresight")
    if len(numbers) != 2 or numbers[1] < 0:
        raise UsageError(f"--foresight {text} is no slope and deviation", hint="--foresight 0.8,0.02")
    return numbers[0], numbers[1]


def go_on(folder: Path) -> Path:
    """Runs what is left of a race, says what it found, and gives its folder."""
    run_race(folder, say=lambda line: print(line, file=sys.stderr, flush=True))
    found = result_of(folder.absolute())
    print_result(found, write_page(folder.absolute(), found))
    return folder


def simulated(
    policy: Policy, *, num_racers: int, spread: float, num_tasks: int, races: int
) -> Mapping[float, Mapping[str, Result]]:
    """Gives for each correlation what the policy does beside its rivals at the same price."""
    found: dict[float, Mapping[str, Result]] = {}
    for correlation in CORRELATIONS:
        count = len(policy.shares)
        early = tuple(correlation * (0.7 + 0.3 * (rung + 1) / count) for rung in range(count))
        world = World(spread, early, num_tasks=num_tasks)
        own = simulate(policy, world, num_racers=num_racers, num_races=races)
        rivals = {
            "asha": simulate("asha", world, num_racers=num_racers, num_races=races, shares=policy.shares),
            "fewer seeds": simulate("fewer", world, num_racers=num_racers, num_races=races, budget=own.cost),
        }
        found[correlation] = {policy.rule: own, **rivals}
    return found


def print_simulation(options: argparse.Namespace) -> None:
    """Prints to stdout what each rule lacks of the best racer, how often it loses it, and what it spends."""
    num_racers, spread = options.seeds, options.spread
    policy = policy_of(options, num_racers=num_racers)
    check(policy, num_racers=num_racers, steps=SIMULATED_STEPS)
    found = simulated(policy, num_racers=num_racers, spread=spread, num_tasks=options.tasks, races=options.races)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in ("correlation", "rule", "lacks of the best", "loses the best", "pauses anyone", "spends"):
        table.add_column(head, justify="left" if head == "rule" else "right")
    for correlation, results in found.items():
        for place, (name, result) in enumerate(results.items()):
            regret = result.regret
            table.add_row(
                f"{correlation:g}" if place == 0 else "",
                name,
                f"{100 * regret.mean:.2f} points [{100 * regret.low:.2f}, {100 * regret.high:.2f}]",
                f"{100 * result.lost_rate:.0f}%",
                f"{100 * result.paused_rate:.0f}%",
                f"{100 * result.cost:.0f}%",
                end_section=place == len(results) - 1,
            )
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print(
        f"{num_racers} racers whose true rates at the end deviate by {100 * spread:g} points. Correlation is that of "
        "the last rung with the end; spent is of running all to the end; fewer seeds are as many in full as that buys.",
        highlight=False,
    )
