"""What a race may spend, in steps, tokens, CPU- or GPU-seconds, and how many racers that still pays for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rlvr.errors import RecipeError
from rlvr.stages.race.policy import Decision

UNITS = {"steps": "training steps", "tokens": "sampled tokens", "cpu-s": "CPU-seconds", "gpu-s": "GPU-seconds"}
"""A GPU is held for as long as a step or a measurement takes, whether it computes or waits."""


@dataclass(frozen=True, slots=True)
class Budget:
    """So much of one of UNITS, for all racers together, from the shared checkpoint on."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:,.0f} {UNITS[self.unit]}"


@dataclass(frozen=True, slots=True)
class Prices:
    """What one racer's step and one measurement of it cost, in the budget's unit."""

    step: float
    measuring: float


def read_budget(text: str) -> Budget:
    """Reads "4000cpu-s", "4000gpu-s", "2e6tokens" or "800steps". Raises RecipeError for anything else."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(\S+)\s*", text)
    try:
        amount = float(found[1]) if found else 0.0
    except ValueError:
        amount = 0.0
    if found is None or found[2] not in UNITS or amount <= 0:
        raise RecipeError(f"{text!r} is no budget", hint="--budget 800steps, 2e6tokens, 4000cpu-s or 4000gpu-s")
    return Budget(amount, found[2])


def check_unit(budget: Budget, *, num_gpus: int, at_once: int) -> None:
    """Raises RecipeError for a budget in GPU-seconds where there is no GPU for each that runs at once."""
    if budget.unit != "gpu-s":
        return
    if not num_gpus:
        raise RecipeError(f"{budget} cannot be spent: the race has no GPU", hint=f"--budget {budget.amount:.0f}cpu-s")
    if at_once > num_gpus:
        raise RecipeError(
            f"{budget} cannot be counted: {at_once} racers at once share {num_gpus} GPUs", hint=f"--jobs {num_gpus}"
        )


def check_budget(budget: Budget, *, num_racers: int, first: int, steps: int) -> None:
    """Raises RecipeError for a budget in steps that does not bring all to the first rung and one of them to the end."""
    least = num_racers * first + steps - first
    if budget.unit == "steps" and budget.amount < least:
        raise RecipeError(
            f"{budget} do not bring {num_racers} racers to step {first} and one of them to step {steps}: {least:,} do",
            hint=f"--budget {least}steps, fewer seeds, or an earlier rung",
        )


def num_paid(left: float, prices: Prices, *, until_next: int, until_end: int) -> int:
    """Gives how many racers what is `left` brings to the next measurement, in so many steps, so that one of them can
    still go the `until_end` steps from there to the end; all that end are measured there twice."""
    each = until_next * prices.step + prices.measuring * (1 if until_end else 2)
    one = until_end * prices.step + 2 * prices.measuring if until_end else 0.0
    return max(0, int((left - one) / each + 1e-9))


def cut(found: Mapping[str, Decision], paid: int, budget: Budget) -> dict[str, Decision]:
    """Gives the decisions with only so many of those that go on, the best of them; of equals the first."""
    order = sorted((name for name, one in found.items() if one.goes_on), key=lambda name: -found[name].score)
    left_out = set(order[paid:])
    said = f"the budget of {budget} pays for {paid}"
    return {
        name: replace(one, goes_on=False, reason=f"{one.reason}; {said}") if name in left_out else one
        for name, one in found.items()
    }
