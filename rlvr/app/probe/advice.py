"""What to change where a condition does not hold, with the key to type."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlvr.app.memory import bytes_text
from rlvr.config.data import DataConfig
from rlvr.config.rlvr import ConditionsConfig
from rlvr.data.sources import TABLES
from rlvr.runs.report import Condition
from rlvr.stages.problems import MIN_MIXED_RATE, MIN_WORKING_GAIN, Problem, problems_of

MEMORY = "memory"
"""In the place of a domain, where the finding is of the whole stage."""
TWICE = 2
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in a domain, and what could be changed, the likeliest help first.

    `stops` says whether the stage stops for it where the recipe requires its conditions.
    """

    domain: str
    problem: str
    advice: tuple[str, ...]
    stops: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a domain's settings stand: what overrides begin with, and its data by place in the list, from 1."""

    key: str
    data: Mapping[int, DataConfig]
    max_completion_tokens: int
    room_tokens: int


def findings_of(
    conditions: Sequence[Condition], config: ConditionsConfig, places: Mapping[str, Place]
) -> list[Finding]:
    """Gives a finding for each condition that does not hold, by domain."""
    return [
        Finding(found.domain, problem.text, tuple(_advice(problem, found, places[found.domain])))
        for found in conditions
        for problem in problems_of(found, config)
    ]


def memory_finding(memory: Mapping[str, int], free_bytes: int, key: str) -> list[Finding]:
    """Gives a finding where the machine has less memory than the plan takes; none where that is unknown."""
    needed = sum(memory.values())
    if needed <= free_bytes:
        return []
    largest = max(memory, key=lambda name: memory[name])
    text = f"about {bytes_text(needed)} is needed and {bytes_text(free_bytes)} is free; most of it for {largest}"
    change = "a smaller model, or a machine with more"
    if largest in ("activations", "logits"):
        change = f"{key}.microbatch_tokens=… (less in one forward pass), or model.gradient_checkpointing=true"
    return [Finding(MEMORY, text, (change,), stops=False)]


def _advice(problem: Problem, found: Condition, place: Place) -> list[str]:
    if problem.kind == "working":
        few = ["more tasks may tell: rlvr probe RECIPE --tasks 64"] if _may_pay(found) else []
        return [
            *few,
            'SFT first, on working that ends in right answers: a [[stage]] of kind = "sft" before this one',
            'or a [[stage]] of kind = "dpo" with pairs = "policy", which prefers right working to wrong',
        ]
    if problem.kind == "unscored":
        return ["verifiers that can run here: rlvr doctor checks them"]
    if problem.kind == "truncated":
        return _longer(place)
    if problem.kind == "contaminated":
        words = " ".join(f"{place.key}.data.{number}.options.quarantine=copies.jsonl" for number in place.data)
        return [f"leave the copies out: rlvr probe RECIPE --copies copies.jsonl, then {words}"]
    return [*_more_samples(found, place), *_other_tasks(found, place)]


def _may_pay(found: Condition) -> bool:
    """Whether working did better here, by what may be chance."""
    return found.working is not None and found.working.gain.mean > MIN_WORKING_GAIN


def _longer(place: Place) -> list[str]:
    longer = min(TWICE * place.max_completion_tokens, place.room_tokens)
    advice = []
    if longer > place.max_completion_tokens:
        advice.append(f"longer answers: {place.key}.max_completion_tokens={longer}")
    return [*advice, 'or SFT first, on answers that come to an end: a [[stage]] of kind = "sft" before this one']


def _more_samples(found: Condition, place: Place) -> list[str]:
    """Proposes larger groups where enough tasks were solved now and then by all samples that were drawn."""
    mixed = sum(found.histogram[1:5]) / max(1, sum(found.histogram))
    signal = found.mixed_rate
    if found.num_samples <= found.group_size or mixed < MIN_MIXED_RATE or not signal or signal.mean >= MIN_MIXED_RATE:
        return []
    return [
        f"more samples of each task: {place.key}.group_size={found.num_samples} would mix {mixed:.0%} of the groups"
    ]


def _other_tasks(found: Condition, place: Place) -> list[str]:
    easier = found.pass_at_1 is not None and found.pass_at_1.mean < HALF
    option = "max_rung" if easier else "min_rung"
    known = [number for number, entry in place.data.items() if _takes(entry.source, option)]
    keys = " ".join(f"{place.key}.data.{n}.options.{option}={_halfway(place.data[n], option)}" for n in known)
    options = " or ".join(f"{place.key}.data.{number}.options" for number in place.data)
    where = keys or f"another source, or what its own options change ({options})"
    if not easier:
        return [f"harder tasks: {where}"]
    return [
        f"easier tasks: {where}",
        'or SFT first, on right answers to such tasks: a [[stage]] of kind = "sft" before this one',
    ]


def _halfway(entry: DataConfig, option: str) -> str:
    """Gives the rung in the middle of those that the source is asked for; a gap to fill where it has all of them."""
    low, high = entry.options.get("min_rung", 1), entry.options.get("max_rung")
    if not isinstance(low, int) or not isinstance(high, int) or low >= high:
        return "…"
    return str((low + high) // 2 + (option == "min_rung"))


def _takes(source: str, option: str) -> bool:
    function = TABLES["task"].get(source)
    return function is not None and option in inspect.signature(function).parameters
