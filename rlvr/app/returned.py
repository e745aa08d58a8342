"""What a stage's held-out evaluations on its way tell: its gain, for what it cost, and since when there is none."""

import math
from collections.abc import Sequence

from rlvr.app.ended import DONE, has_ended
from rlvr.runs.folder import Run
from rlvr.runs.glossary import trained_domains
from rlvr.stages.evaluate import Measurement
from rlvr.stages.iterate import RATES, rounds_of
from rlvr.stages.returns import COST, Returns, Seen, Unit, returns_of
from rlvr.stages.watch import rates_by_step


def returned(child: Run, *, round_steps: int, begun: Measurement | None, unit: Unit) -> Returns:
    """Gives what the stage in that folder returned, also while it trains; `begun` measured what it started from.

    Of rounds, the evaluations are those after each, of `round_steps` steps. Raises ValueError where there are fewer
    than two, `begun` included, or no trained task is common to two in a row.
    """
    first = [Seen(0, 0.0, begun.sampled)] if begun is not None and begun.sampled else []
    return returns_of([*first, *_seen(child, round_steps, COST[unit])], _domains(child), unit=unit)


def _domains(child: Run) -> Sequence[str]:
    """Gives the domains that a stage trains on."""
    return list(child.read_json(DONE)["domains"]) if has_ended(child.path) else trained_domains(child.metrics())


def _seen(child: Run, round_steps: int, seconds: str) -> list[Seen]:
    """Gives the stage's evaluations; `seconds` names the metric that says what a step costs."""
    cost, spent = {}, 0.0
    for line in child.metrics():
        spent = math.fsum((spent, line[seconds]))
        cost[int(line["step"]) + 1] = spent
    found = rates_by_step(child)
    rounds = rounds_of(child)
    if rounds:
        ended = [(number, place) for number, place in enumerate(rounds) if number and (place.path / RATES).is_file()]
        found = [(number * round_steps, place.read_json(RATES)["rates"]) for number, place in ended]
    return [Seen(step, cost[step], rates) for step, rates in found if step in cost]
