"""Whether RLVR has something to learn from: measured on its own tasks before its first step, once per run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from rlvr import keyed
from rlvr.algorithms.presets import resolve
from rlvr.config.rlvr import ConditionsConfig, RlvrConfig
from rlvr.data.overlap import COPY_RATE, overlap_rates
from rlvr.data.split import problem_of
from rlvr.data.stream import Draw
from rlvr.errors import RunError, TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import Condition, Contamination, Lengths, Working, read_condition
from rlvr.stages.parts import Parts, sample_groups
from rlvr.stages.problems import problems_of, texts_of
from rlvr.statistics.intervals import Interval, paired_difference_interval, rate_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.training.intake import Intake
from rlvr.training.rollout import refuse_unscored
from rlvr.types import Group, Task

CONDITIONS = "conditions.json"
MIN_SAMPLES = 16
"""So many samples of each task are drawn at least; as many as a group has, where that is more."""

_WORKING = re.compile(r"<think>\s*(?!</?think>)\S")


def measure_conditions(parts: Parts, config: RlvrConfig, intake: Intake, run: Run) -> tuple[Condition, ...]:
    """Gives the conditions of each domain, from the weights that the stage begins with; empty where tasks is 0.

    They are stored in the run, so that a resumed stage keeps them; all samples are stored as rollouts. Every random
    draw has a key of its own, so that the training after it is the same as without it.
    """
    if (run.path / CONDITIONS).is_file():
        return read_conditions(run)
    if config.conditions.tasks == 0:
        return ()
    sampling_run = run.child("conditions")
    sampling_run.rewind(0)
    with sampling_run.step(0) as record:
        groups = sample_conditions(parts, config, intake)
        record.rollouts(groups, split="conditions")
        refuse_unscored(groups, config.max_unscored_rate)
        found = conditions_of(
            groups,
            group_size=config.group_size,
            compares=compares(config),
            config=config.conditions,
            contamination=contamination_of(intake.tasks, parts.held_out()),
        )
        record.metrics(_metrics(found))
    run.write_json(CONDITIONS, {"conditions": [asdict(condition) for condition in found]})
    return found


def compares(config: RlvrConfig) -> bool:
    """Says whether the stage's algorithm compares completions of one task, so that a group must be mixed to teach."""
    return resolve(config.algorithm.preset, **config.algorithm.cells).needs_group


def sample_conditions(parts: Parts, config: RlvrConfig, intake: Intake) -> list[Group]:
    """Gives the scored samples of `conditions.tasks` tasks per domain, from the policy as it is."""
    draws = _draws(intake.tasks, config.conditions.tasks, parts.seed)
    longest = max(len(intake.prompts[draw.task.id]) for draw in draws)
    engine = parts.make_engine(longest + config.max_completion_tokens)
    engine.load_weights(parts.policy, version=0)
    return sample_groups(
        parts,
        engine,
        draws,
        intake.prompts,
        group_size=max(MIN_SAMPLES, config.group_size),
        temperature=config.temperature,
        max_completion_tokens=config.max_completion_tokens,
        seed=parts.seed,
        purpose="conditions",
    )


def read_conditions(run: Run) -> tuple[Condition, ...]:
    """Gives the conditions that the stage's run holds; empty where none were measured.

    Raises RunError for those of another version.
    """
    path = run.path / CONDITIONS
    if not path.is_file():
        return ()
    try:
        return tuple(read_condition(entry) for entry in run.read_json(CONDITIONS)["conditions"])
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{path} was written by another version of rlvr: {type(error).__name__} {error}",
            hint="delete it: the run is then reported without conditions; or go on with the version in provenance.json",
        ) from error


def require(conditions: Sequence[Condition]) -> None:
    """Raises TrainingError when a condition does not hold in some domain."""
    lines = problem_lines(conditions)
    if lines:
        raise TrainingError(
            "the conditions for RLVR do not hold; " + "; ".join(lines),
            hint="choose tasks that the model solves sometimes, train it further first, or conditions.required=false",
        )


def problem_lines(conditions: Sequence[Condition]) -> list[str]:
    """Gives a plain sentence per domain in which a condition does not hold."""
    return [f"{c.domain} fails a condition for RL: {'; '.join(c.problems)}" for c in conditions if c.problems]


def shared_rates(tasks: Sequence[Task], held_out: Sequence[Task]) -> list[float]:
    """Gives for each task the share of its problem's n-grams that stand in held-out problems; 1 for an equal one."""
    return overlap_rates([problem_of(t.messages) for t in tasks], [problem_of(t.messages) for t in held_out])


def contamination_of(tasks: Sequence[Task], held_out: Sequence[Task]) -> dict[str, Contamination]:
    """Gives by domain what the tasks have in common with those that are held out; empty where none is."""
    by_domain: dict[str, list[float]] = {}
    for task, rate in zip(tasks, shared_rates(tasks, held_out), strict=True):
        by_domain.setdefault(task.domain, []).append(rate)
    return {
        domain: Contamination(len(found), _mean([rate >= COPY_RATE for rate in found]), _mean(found))
        for domain, found in by_domain.items()
        if held_out
    }


def conditions_of(
    groups: Sequence[Group],
    *,
    group_size: int,
    compares: bool,
    config: ConditionsConfig,
    contamination: Mapping[str, Contamination],
) -> tuple[Condition, ...]:
    """Gives the conditions of each domain from its tasks' samples, from which groups of `group_size` are drawn.

    Completions without an outcome do not count. pass@k is over the tasks in which every sample has one, the share of
    mixed groups over those with at least `group_size`, and only where the algorithm `compares` completions; None where
    there is none. A domain that nobody could score has no rates, which is a problem of its own; its tasks and the share
    that shows working are then over all samples.
    """
    found = []
    for domain in sorted({g.task.domain for g in groups}):
        every = [g for g in groups if g.task.domain == domain]
        scored = [g for g in every if g.num_scored]
        samples = len(every[0].completions)
        right = [_right_by_working(group) for group in scored]
        condition = Condition(
            domain=domain,
            num_tasks=len(scored or every),
            num_samples=samples,
            group_size=group_size,
            pass_at_1=_over([g.num_solved / g.num_scored for g in scored]),
            pass_at_k=_over([_some(g.num_scored, g.num_solved, samples) for g in scored if g.num_scored == samples]),
            mixed_rate=_over([_mixed(g, group_size) for g in scored if compares and g.num_scored >= group_size]),
            working_rate=_shown_rate(scored or every),
            working=_worth(right),
            problems=(),
            histogram=_histogram(scored),
            lengths=_lengths(scored or every),
            contamination=contamination.get(domain),
        )
        found.append(replace(condition, problems=texts_of(problems_of(condition, config))))
    return tuple(found)


def shows_working(text: str) -> bool:
    """Gives whether a completion shows working: something besides white space and tags follows a `<think>`.

    Also where the thinking part does not end: what was cut off at the length limit is working all the same.
    """
    return _WORKING.search(text) is not None


def _shown_rate(groups: Sequence[Group]) -> float:
    """Gives the share that shows working of the scored samples, of all where none is scored."""
    pairs = [pair for group in groups for pair in zip(group.completions, group.verdicts, strict=True)]
    scored = [completion for completion, verdict in pairs if verdict.outcome is not None]
    return _mean([shows_working(completion.text) for completion in scored or [completion for completion, _ in pairs]])


def _some(num_scored: int, num_solved: int, k: int) -> float:
    return float(pass_at_k(num_scored, num_solved, k=k)[0])


def _mixed(group: Group, size: int) -> float:
    """The chance that `size` of the task's scored samples, drawn without replacement, are right and wrong ones."""
    scored, solved = group.num_scored, group.num_solved
    # Some right and some wrong; both terms may be a rounding error off.
    return max(0.0, _some(scored, solved, size) + _some(scored, scored - solved, size) - 1)


def _histogram(groups: Sequence[Group]) -> tuple[int, ...]:
    """Counts tasks by the share right of their samples: none, up to a quarter, a half, three quarters, more, all."""
    counts = [0] * 6
    for group in groups:
        right, scored = group.num_solved, group.num_scored
        counts[5 if right == scored else -(-4 * right // scored)] += 1
    return tuple(counts)


def _lengths(groups: Sequence[Group]) -> Lengths:
    tokens = [len(completion.token_ids) for group in groups for completion in group.completions]
    cut = [_mean([completion.finish == "length" for completion in group.completions]) for group in groups]
    return Lengths(rate_interval(cut), _mean(tokens), float(np.percentile(tokens, 95)))


def _over(task_rates: Sequence[float]) -> Interval | None:
    return rate_interval(task_rates) if task_rates else None


def _right_by_working(group: Group) -> tuple[list[float], list[float]]:
    """Gives for each scored completion whether it is right, 0 or 1: those that show working, and the others."""
    rights: tuple[list[float], list[float]] = ([], [])
    for completion, verdict in zip(group.completions, group.verdicts, strict=True):
        if verdict.outcome is not None:
            right = float(verdict.outcome >= group.task.threshold)
            rights[0 if shows_working(completion.text) else 1].append(right)
    return rights


def _worth(right_by_task: Sequence[tuple[list[float], list[float]]]) -> Working | None:
    """Gives what working is worth within the tasks that have both kinds, so that easy tasks lend it nothing."""
    both = [(_mean(shown), _mean(hidden)) for shown, hidden in right_by_task if shown and hidden]
    if not both:
        return None
    shown, hidden = zip(*both, strict=True)
    return Working(len(both), _mean(shown), _mean(hidden), paired_difference_interval(hidden, shown))


def _draws(tasks: Sequence[Task], number: int, seed: int) -> list[Draw]:
    """The first `number` tasks of each domain in a keyed order; a draw's index is the task's place among all."""
    draws = []
    for domain in sorted({task.domain for task in tasks}):
        places = [index for index, task in enumerate(tasks) if task.domain == domain]
        order = keyed.permutation(seed, f"conditions/{domain}", 0, len(places))[:number]
        draws += [Draw(places[int(at)], tasks[places[int(at)]]) for at in np.sort(order)]
    return draws


def _metrics(conditions: Sequence[Condition]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for found in conditions:
        measured = {
            f"rollout/conditions_pass_at_1/{found.domain}": found.pass_at_1,
            f"rollout/conditions_pass_at_k/{found.domain}": found.pass_at_k,
            f"rollout/conditions_mixed_rate/{found.domain}": found.mixed_rate,
        }
        metrics |= {name: rate.mean for name, rate in measured.items() if rate is not None}
        metrics[f"rollout/conditions_working_rate/{found.domain}"] = found.working_rate
        if found.lengths is not None:
            metrics[f"rollout/conditions_truncated_rate/{found.domain}"] = found.lengths.truncated_rate.mean
        if found.working is not None:
            metrics[f"rollout/conditions_working_gain/{found.domain}"] = found.working.gain.mean
    return metrics


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values))
