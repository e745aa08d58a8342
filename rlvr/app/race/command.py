"""What `rlvr race` is asked: a recipe with its racers and a policy, or a simulation of policies."""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rlvr.app.plan import domains_of, make_plan
from rlvr.app.race.local import usable_gpus
from rlvr.app.race.race import make_race, run_race
from rlvr.app.race.racer import FRESH, RACE, half
from rlvr.app.race.result import result_of
from rlvr.app.race.spending import is_paid
from rlvr.app.race.standing import DECISIONS, PLAN, read_race
from rlvr.app.race.state import RacePlan, Racer
from rlvr.app.race.telling import print_result, write_page
from rlvr.app.sandboxing import fitted
from rlvr.app.wiring import load_items
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import Resolved, read_recipe
from rlvr.config.rlvr import RlvrConfig
from rlvr.config.schema import Recipe
from rlvr.errors import RecipeError, UsageError
from rlvr.runs.folder import Run
from rlvr.runs.lock import locked
from rlvr.stages.race.budget import check_budget, check_unit, read_budget
from rlvr.stages.race.policy import (
    POLICIES,
    Foresight,
    Policy,
    check,
    halving,
    safe,
    smallest_lead,
    tasks_for_lead,
)
from rlvr.verifiers.pool import usable_cores

COOK, COOK_OF_BUDGET = 0.1, 1.0
"""The share of the saved steps that the winner goes on for, where nothing else is asked; with a budget all of them, so
that what is left of a budget that does not bring all racers to the end is spent to its last step."""
FEWEST_TASKS = 2
"""Of each half of the held-out tasks: of one alone no interval can be made."""
LIKE = {"--rungs": "0.1,0.3", "--keep": "4,2", "--foresight": "0.8,0.02"}
OTHER = {"halving": "safe", "safe": "halving"}


def policy_of(options: argparse.Namespace, *, num_racers: int) -> Policy:
    """Gives the policy that is named, with other rungs ("0.1,0.3") and numbers to keep ("4,2") where they are given."""
    name = options.policy
    if name not in POLICIES:
        raise UsageError(f"there is no policy {name!r}", hint=f"known: {', '.join(POLICIES)}")
    of_other = {"halving": ("error", "foresight", "margin"), "safe": ("keep",)}[name]
    if given := [f"--{option}" for option in of_other if getattr(options, option) not in (None, "")]:
        raise UsageError(f"{given[0]} is not of the policy {name}", hint=f"leave it out, or --policy {OTHER[name]}")
    if name == "safe" and not options.foresight and not options.simulate:
        raise UsageError(
            "safe needs to know how far a rung tells the end, or it pauses nobody",
            hint="--foresight SLOPE,DEVIATION from races before, such as 0.8,0.02; or --policy halving",
        )
    found = halving(num_racers) if name == "halving" else safe() if options.error is None else safe(options.error)
    if options.rungs is not None:
        shares = _numbers(options.rungs, "--rungs") if options.rungs else ()
        halved = tuple(max(1, num_racers // 2 ** (place + 1)) for place in range(len(shares)))
        found = replace(found, shares=shares, keep=halved if name == "halving" else ())
    if options.keep:
        kept = _numbers(options.keep, "--keep")
        if any(number % 1 for number in kept):
            raise UsageError(f"--keep {options.keep} are no whole numbers", hint="--keep 4,2")
        found = replace(found, keep=tuple(map(int, kept)))
    return found


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise UsageError(f"{option} {text} are no numbers", hint=f"{option} {LIKE[option]}")
    return found


def racers_of(
    recipe: Path, overrides: Sequence[str], *, seeds: int, alternatives: Sequence[str]
) -> dict[Racer, Resolved]:
    """Gives every racer with its recipe: so many seeds from the recipe's on, of it and of each alternative.

    Raises RecipeError for an alternative that differs in more than the last stage, or in how long that is.
    """
    found = {}
    base = fitted(read_recipe(recipe, overrides))
    for number, text in enumerate(("", *alternatives)):
        words = _words(text)
        resolved = fitted(read_recipe(recipe, (*overrides, *words))) if words else base
        _check_alternative(text, base.recipe, resolved.recipe)
        for seed in range(base.recipe.seed, base.recipe.seed + seeds):
            name = f"alternative-{number}-seed-{seed}" if words else f"seed-{seed}"
            found[Racer(name, seed, words)] = resolved
    return found


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(
            f"--alternative {text} cannot be read: {error}", hint='--alternative "rlvr.algorithm.clip_high=0.3"'
        ) from None


def _check_alternative(text: str, base: Recipe, other: Recipe) -> None:
    ours, theirs = base.stage[-1], other.stage[-1]
    if text and base == other:
        raise RecipeError(
            f"the alternative {text!r} changes nothing", hint='--alternative "rlvr.algorithm.clip_high=0.3"'
        )
    if base.model_copy(update={"stage": (*base.stage[:-1], theirs)}) != other:
        raise RecipeError(
            f"the alternative {text!r} changes more than the last stage, from which alone the racers differ",
            hint="that is another race, or two runs for rlvr compare",
        )
    if (ours.kind, getattr(ours, "steps", 0)) != (theirs.kind, getattr(theirs, "steps", 0)):
        raise RecipeError(f"the alternative {text!r} runs for another number of steps", hint="rlvr.steps=N for all")


def race(options: argparse.Namespace) -> Path:
    """Makes a race and runs it to its end; gives its folder, runs/NAME-race."""
    everyone = racers_of(options.recipe, options.overrides, seeds=options.seeds, alternatives=options.alternative)
    resolved = next(iter(everyone.values()))
    for one in {racer.overrides: one for racer, one in everyone.items()}.values():
        make_plan(one)
    recipe = resolved.in_force
    last = recipe.stage[-1]
    if not isinstance(last, RlvrConfig) or last.continues:
        raise RecipeError(f"the last stage is {last.label}; a race is of kind rlvr", hint='kind = "rlvr"')
    rule = policy_of(options, num_racers=len(everyone))
    rungs = check(rule, num_racers=len(everyone), steps=last.steps)
    num_tasks = _deciding_tasks(recipe.evaluation, domains_of(last)) if recipe.evaluation is not None else 0
    if rule.rule == "safe" and num_tasks:
        _say_what_can_be_seen(options, rule, num_tasks, num_racers=len(everyone))
    gpus = len(usable_gpus()) if recipe.model.device in ("auto", "cuda") else 0
    by_cores = max(1, usable_cores() // (recipe.threads or usable_cores()))
    cook, share = cooking(options.cook, budget=options.budget)
    plan = RacePlan(
        racers=tuple(everyone),
        policy=rule,
        rungs=rungs,
        steps=last.steps,
        foresight=_foresight(options.foresight, num_rungs=len(rungs)),
        at_once=options.jobs or gpus or by_cores,
        num_gpus=gpus,
        cook=cook,
        cook_share=share,
        budget=read_budget(options.budget) if options.budget else None,
    )
    if plan.budget is not None:
        check_budget(plan.budget, num_racers=len(everyone), first=rungs[0], steps=last.steps)
        check_unit(plan.budget, num_gpus=gpus, at_once=plan.at_once)
    folder = Path(recipe.runs) / f"{recipe.name}-race"
    make_race(folder, resolved, {racer.name: one for racer, one in everyone.items()}, plan)
    return go_on(folder)


def cooking(asked: float | None, *, budget: str) -> tuple[int, float]:
    """Gives for how many steps, a whole number, or for which share of the saved ones the winner is to go on."""
    if asked is None:
        asked = COOK_OF_BUDGET if budget else COOK
    return (asked, 0.0) if isinstance(asked, int) else (0, asked)


def _deciding_tasks(evaluation: EvaluateConfig, trained: set[str]) -> int:
    """Gives how many held-out tasks decide a race, which are those of the domains that are trained.

    Raises RecipeError where they, or those that judge it, are fewer than a deviation needs.
    """
    tasks = load_items("task", evaluation.data)
    decisive = [task for task in tasks if task.domain in trained] or tasks
    sizes = {which: len(half(decisive, which)) for which in (RACE, FRESH)}
    if tasks and min(sizes.values()) < FEWEST_TASKS:
        raise RecipeError(
            f"of the held-out tasks of the trained domains {sizes[RACE]} decide the race and {sizes[FRESH]} judge it "
            f"(a hash of their names says which); at least {FEWEST_TASKS} of each are needed",
            hint="a larger limit in [evaluation]; some 200 tasks show a lag of a few points",
        )
    return sizes[RACE]


def _say_what_can_be_seen(options: argparse.Namespace, rule: Policy, num_tasks: int, *, num_racers: int) -> None:
    """Says how far a racer must lag to be paused by "safe". Raises RecipeError where --margin asks for more."""
    lead = smallest_lead(rule, num_racers=num_racers, num_tasks=num_tasks)
    if options.margin is not None and lead > options.margin:
        needed = 2 * tasks_for_lead(rule, options.margin, num_racers=num_racers)
        raise RecipeError(
            f"the {num_tasks} tasks of the race show a lag of {100 * lead:.1f} points, not {100 * options.margin:g}",
            hint=f"about {needed:,} tasks of the trained domains in [evaluation], fewer racers or rungs, "
            "or a larger --margin",
        )
    said = f"safe pauses nobody who lags by less than {100 * lead:.1f} points on the {num_tasks} tasks of the race"
    print(said, file=sys.stderr)


def _foresight(text: str, *, num_rungs: int) -> tuple[Foresight, ...]:
    """Gives one per rung of "A,S;A,S;A,S", or of one "A,S" that holds for all; "A,S,D,Q" has the degrees of freedom and
    the square sum of the records too."""
    found = []
    for part in text.split(";") if text else ():
        numbers = _numbers(part, "--foresight")
        slope, spread, degrees, square_sum = (*numbers, 0.0, 0.0)[:4] if len(numbers) in (2, 4) else [math.nan] * 4
        if not (spread >= 0 and degrees >= 0 and degrees % 1 == 0 and square_sum >= 0):
            raise UsageError(
                f"--foresight {part} is no slope and deviation",
                hint="--foresight 0.8,0.02, or 0.8,0.02,22,0.05 with degrees of freedom and square sum, as "
                "rlvr race --simulate --curves prints them",
            )
        found.append(Foresight(slope, spread, int(degrees), square_sum))
    if len(found) not in (0, 1, num_rungs):
        raise UsageError(
            f"--foresight has {len(found)} pairs for {num_rungs} rungs", hint='one for all, or "A,S;A,S;A,S"'
        )
    return tuple(found) if len(found) == num_rungs else tuple(found or [Foresight()]) * num_rungs


def take_up(folder: Path, *, take_back: Sequence[str], budget: str) -> Path:
    """Runs what is left of a race, with another budget, and with racers that were paused; gives its folder.

    Raises UsageError for a racer that is not paused, and where the budget does not pay for those that come back.
    """
    folder = folder.absolute()
    with locked(folder):
        race, (plan, state, places) = Run(folder), read_race(folder)
        paused = state.paused()
        if unknown := [name for name in take_back if name not in paused]:
            raise UsageError(f"{unknown[0]} is not paused", hint=f"paused: {', '.join(paused) or 'nobody'}")
        if budget:
            larger = read_budget(budget)
            check_unit(larger, num_gpus=plan.num_gpus, at_once=plan.at_once)
            plan = replace(plan, budget=larger)
        if take_back and not is_paid(plan, state, places, take_back):
            raise UsageError(
                f"what is left of the budget of {plan.budget} does not pay for {' and '.join(take_back)}",
                hint="--budget with a larger one, or fewer racers",
            )
        if budget:
            race.write_json(PLAN, {**race.read_json(PLAN), "plan": asdict(plan)})
        if take_back:
            state.taken_back |= dict.fromkeys(take_back, len(state.decisions))
            race.write_json(DECISIONS, asdict(state))
    return go_on(folder)


def go_on(folder: Path) -> Path:
    """Runs what is left of a race, says what it found, and gives its folder."""
    folder = folder.absolute()
    run_race(folder, say=lambda line: print(line, file=sys.stderr, flush=True))
    found = result_of(folder)
    print_result(found, write_page(folder, found))
    return folder
