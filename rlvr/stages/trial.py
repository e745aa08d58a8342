"""A stage that learns from rewards, tried without being run: samples of its tasks, and one step's learning timed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rlvr.algorithms.presets import resolve
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import TrainingError
from rlvr.runs.report import Condition, Contamination
from rlvr.stages.conditions import compares, conditions_of, sample_conditions
from rlvr.stages.parts import Parts
from rlvr.stages.rlvr import update_seconds
from rlvr.training.intake import Intake
from rlvr.training.rollout import Scores, refuse_unscored
from rlvr.types import Completion, Group, Task, Verdict


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a step takes, and from what that was told.

    Measured: `sampled_tokens` of `sampled_completions` in `sampling_seconds`, their verification included, and
    `learned_completions` in `learning_seconds`, 0 where no group gave a signal. A step samples `step_completions`; its
    learning is `step_learning_seconds`. `longest_step_seconds` is a step in which every answer is as long as it may be.
    `cpu_share` is this process's CPU-seconds over seconds while it sampled.
    """

    sampled_completions: int
    sampled_tokens: int
    sampling_seconds: float
    learned_completions: int
    learning_seconds: float
    step_completions: int
    step_sampling_seconds: float
    step_learning_seconds: float
    longest_step_seconds: float
    cpu_share: float

    @property
    def step_seconds(self) -> float:
        """A step with answers as long as now."""
        return self.step_sampling_seconds + self.step_learning_seconds


@dataclass(frozen=True, slots=True)
class Trial:
    """What the samples say of each domain, the share of a step's groups with a signal, and how long a step takes.

    `signal_rate` is None where no task has as many scored samples as a group needs, and where the algorithm compares no
    completions of one task (`compares`).
    """

    conditions: tuple[Condition, ...]
    signal_rate: float | None
    compares: bool
    pace: Pace


def try_stage(
    parts: Parts,
    config: RlvrConfig,
    intake: Intake,
    *,
    shares: Mapping[str, float],
    contamination: Mapping[str, Contamination],
    tick: Callable[[], None],
) -> Trial:
    """Gives a trial of a stage; the policy of `parts` is changed by it.

    `shares` says how often each domain is drawn, the sum being 1; `tick` is called after each task.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    groups = sample_conditions(replace(parts, scores=_Ticking(parts.scores, tick)), config, intake)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    refuse_unscored(groups, config.max_unscored_rate)
    if not any(group.num_scored for group in groups):
        raise TrainingError("no sample has an outcome, so nothing can be told", hint="rlvr doctor checks the verifiers")
    compared = compares(config)
    found = conditions_of(
        groups,
        group_size=config.group_size,
        compares=compared,
        config=config.conditions,
        contamination=contamination,
    )
    mixed = {one.domain: one.mixed_rate.mean for one in found if one.mixed_rate is not None}
    signal_rate = _over_domains(mixed, shares) if mixed else None
    refills = _refills(config, signal_rate)
    pace = _pace(parts, config, groups, shares, seconds=seconds, cpu_share=cpu_seconds / seconds, refills=refills)
    return Trial(found, signal_rate, compared, pace)


def _pace(
    parts: Parts,
    config: RlvrConfig,
    groups: Sequence[Group],
    shares: Mapping[str, float],
    *,
    seconds: float,
    cpu_share: float,
    refills: float,
) -> Pace:
    """Scales what the samples took to the completions of a step."""
    tokens = {
        domain: [len(c.token_ids) for g in groups if g.task.domain == domain for c in g.completions]
        for domain in {g.task.domain for g in groups}
    }
    total = sum(map(sum, tokens.values()))
    learned = _a_step_of(groups, config)
    learned_completions = sum(len(group.completions) for group in learned)
    learning = update_seconds(parts, config, learned) if learned else 0.0
    completions = round(config.prompts_per_step * config.group_size * refills)
    mean = _over_domains({domain: sum(found) / len(found) for domain, found in tokens.items()}, shares)
    sampling = completions * mean * seconds / total
    step_learning = learning / max(1, learned_completions) * config.prompts_per_step * config.group_size
    return Pace(
        sampled_completions=sum(map(len, tokens.values())),
        sampled_tokens=total,
        sampling_seconds=seconds,
        learned_completions=learned_completions,
        learning_seconds=learning,
        step_completions=completions,
        step_sampling_seconds=sampling,
        step_learning_seconds=step_learning,
        longest_step_seconds=(sampling + step_learning) * config.max_completion_tokens / mean,
        cpu_share=cpu_share,
    )


def _a_step_of(groups: Sequence[Group], config: RlvrConfig) -> list[Group]:
    """Gives groups of the stage's own size from all domains alike, no more than a step learns from."""
    first = [_first(group, config.group_size) for group in groups]
    if resolve(config.algorithm.preset, **config.algorithm.cells).refill:
        first = [group for group in first if group.informative]
    return first[:: max(1, -(-len(first) // config.prompts_per_step))]


def _first(group: Group, size: int) -> Group:
    return replace(
        group,
        completions=group.completions[:size],
        verdicts=group.verdicts[:size],
        rewards=group.rewards[:size],
    )


def _refills(config: RlvrConfig, signal_rate: float | None) -> float:
    """How many times a step's prompts are drawn until so many groups have a signal; 1 without refill.

    The most that may be drawn where the share with a signal is 0 or unknown.
    """
    row = resolve(config.algorithm.preset, **config.algorithm.cells)
    if not row.refill:
        return 1.0
    return min(float(row.refill_limit), 1 / signal_rate) if signal_rate else float(row.refill_limit)


def _over_domains(values: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """Gives the mean of what is known, by how often a domain is drawn."""
    known = {domain: shares[domain] for domain in values}
    return sum(values[domain] * share for domain, share in known.items()) / sum(known.values())


class _Ticking:
    """Scores that tell when a task's samples are scored."""

    def __init__(self, scores: Scores, tick: Callable[[], None]) -> None:
        self._scores, self._tick = scores, tick

    async def score(self, task: Task, completions: Sequence[Completion]) -> list[Verdict]:
        found = await self._scores.score(task, completions)
        self._tick()
        return found

    async def settle(self) -> None:
        await self._scores.settle()

    def totals(self) -> dict[str, float]:
        return self._scores.totals()

    def check_references(self, tasks: Sequence[Task]) -> list[str | None]:
        return self._scores.check_references(tasks)
