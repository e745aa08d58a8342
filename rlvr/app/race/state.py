"""What was asked of a race, and how it stands: plain data, kept as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvr.stages.race.policy import Decision, Foresight, Policy


@dataclass(frozen=True, slots=True)
class Racer:
    """One of a race: its name, the seed, and the overrides of the recipe that make it an alternative."""

    name: str
    seed: int
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RacePlan:
    """What was asked: the racers in order, the policy with the steps of its rungs, how far rungs tell the end, how many
    run at once on how many GPUs, and for how many steps more the winner goes on."""

    racers: tuple[Racer, ...]
    policy: Policy
    rungs: tuple[int, ...]
    steps: int
    foresight: Foresight
    at_once: int
    num_gpus: int
    cook: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a racer was killed, and after how many steps."""

    steps: int
    why: str


@dataclass(slots=True)
class State:
    """How the race stands: what was decided at each rung, the faults of those that were killed, and the domains that
    the race is decided on, those that were trained until the first rung."""

    decisions: list[dict[str, Decision]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    domains: tuple[str, ...] = ()

    def running(self, plan: RacePlan) -> list[str]:
        """Who goes on, in the order of the race."""
        paused = {name for found in self.decisions for name, decision in found.items() if not decision.goes_on}
        return [racer.name for racer in plan.racers if racer.name not in paused and racer.name not in self.faults]


def plan_from(stored: Mapping[str, Any]) -> RacePlan:
    """Gives the plan that its JSON object says."""
    policy = stored["policy"]
    return RacePlan(
        **{
            **stored,
            "racers": tuple(Racer(**{**one, "overrides": tuple(one["overrides"])}) for one in stored["racers"]),
            "policy": Policy(**{**policy, "shares": tuple(policy["shares"]), "keep": tuple(policy["keep"])}),
            "rungs": tuple(stored["rungs"]),
            "foresight": Foresight(**stored["foresight"]),
        }
    )


def state_from(stored: Mapping[str, Any]) -> State:
    """Gives the state that its JSON object says."""
    return State(
        decisions=[{name: Decision(**one) for name, one in found.items()} for found in stored["decisions"]],
        faults={name: Fault(**one) for name, one in stored["faults"].items()},
        domains=tuple(stored["domains"]),
    )
