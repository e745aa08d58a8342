"""What was asked of a race, and how it stands: plain data, kept as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvr.stages.race.budget import Budget
from rlvr.stages.race.policy import Decision, Foresight, Policy


@dataclass(frozen=True, slots=True)
class Racer:
    """One of a race: its name, the seed, and the overrides of the recipe that make it an alternative."""

    name: str
    seed: int
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RacePlan:
    """What was asked: the racers in order, the policy with the steps of its rungs, how far each rung tells the end, how
    many run at once on how many GPUs, and what may be spent. The winner goes on for `cook` steps more, or for the share
    `cook_share` of the steps that paused racers did not take."""

    racers: tuple[Racer, ...]
    policy: Policy
    rungs: tuple[int, ...]
    steps: int
    foresight: tuple[Foresight, ...]
    at_once: int
    num_gpus: int
    cook: int
    cook_share: float = 0.0
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a racer was killed, and after how many steps."""

    steps: int
    why: str


@dataclass(slots=True)
class State:
    """How the race stands: what was decided at each rung, the faults of those that were killed, and the domains that
    the race is decided on, those that were trained until the first rung.

    A racer in `taken_back` runs again, whatever the rungs before that number decided; `replaced` says who came back for
    a racer with a fault, "" for nobody. `cooking` says by winner for how many steps more it goes on, once that is
    known: with a racer that came back there may be another winner. `broken` says what ended such steps, which then are
    none; `rejected` why the gate rejected one.
    """

    decisions: list[dict[str, Decision]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    taken_back: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    cooking: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    def fault_steps(self) -> dict[str, int]:
        """After how many steps those that were killed had their fault."""
        return {name: fault.steps for name, fault in self.faults.items()}

    def running(self, plan: RacePlan) -> list[str]:
        """Who goes on, in the order of the race."""
        paused = self.paused()
        return [racer.name for racer in plan.racers if racer.name not in paused and racer.name not in self.faults]

    def paused(self) -> dict[str, tuple[int, float]]:
        """Who is paused, at which rung, counted from 0, and with which score there."""
        found = {
            name: (rung, decision.score)
            for rung, decided in enumerate(self.decisions)
            for name, decision in decided.items()
            if not decision.goes_on and rung >= self.taken_back.get(name, 0)
        }
        return {name: at for name, at in found.items() if name not in self.faults}

    def best_paused(self) -> str:
        """Who of the paused comes back first: of those paused last the one with the highest score, "" where none is."""
        paused = self.paused()
        return max(paused, key=lambda name: paused[name], default="")


def plan_from(stored: Mapping[str, Any]) -> RacePlan:
    """Gives the plan that its JSON object says."""
    policy = stored["policy"]
    return RacePlan(
        **{
            **stored,
            "racers": tuple(Racer(**{**one, "overrides": tuple(one["overrides"])}) for one in stored["racers"]),
            "policy": Policy(**{**policy, "shares": tuple(policy["shares"]), "keep": tuple(policy["keep"])}),
            "rungs": tuple(stored["rungs"]),
            "foresight": tuple(Foresight(**one) for one in stored["foresight"]),
            "budget": Budget(**stored["budget"]) if stored.get("budget") else None,
        }
    )


def state_from(stored: Mapping[str, Any]) -> State:
    """Gives the state that its JSON object says."""
    return State(
        decisions=[{name: Decision(**one) for name, one in found.items()} for found in stored["decisions"]],
        faults={name: Fault(**one) for name, one in stored["faults"].items()},
        domains=tuple(stored["domains"]),
        taken_back=dict(stored.get("taken_back", {})),
        replaced=dict(stored.get("replaced", {})),
        cooking=dict(stored.get("cooking", {})),
        broken=dict(stored.get("broken", {})),
        rejected=dict(stored.get("rejected", {})),
    )
