"""Whether RLVR has something to learn from: measured on its own tasks before its first step, once per run."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from rlvr import keyed
from rlvr.config.rlvr import RlvrConfig
from rlvr.data.stream import Draw
from rlvr.errors import RunError, TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import Condition, Working, read_condition
from rlvr.stages.parts import Parts, sample_groups
from rlvr.statistics.intervals import Interval, paired_difference_interval, rate_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.training.intake import Intake
from rlvr.training.rollout import refuse_unscored
from rlvr.types import Group, Task

CONDITIONS = "conditions.json"
MIN_SAMPLES = 16
"""So many samples of each task are drawn at least; as many as a group has, where that is more."""
MIN_HEADROOM = 0.1
"""How far pass@k of all samples of a task must lie above pass@1."""
MIN_MIXED_RATE = 0.2
MIN_WORKING_GAIN = 0.05
"""By more than this, samples that show working must be right more often than the others of the same tasks."""
MIN_WORKING_TASKS = 8
"""With samples of both kinds in fewer tasks of a domain, what working is worth is not judged."""

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
        draws = _draws(intake.tasks, config.conditions.tasks, parts.seed)
        groups = _sampled(parts, config, intake, draws)
        record.rollouts(groups, split="conditions")
        refuse_unscored(groups, config.max_unscored_rate)
        found = conditions_of(groups, group_size=config.group_size)
        record.metrics(_metrics(found))
    run.write_json(CONDITIONS, {"conditions": [asdict(condition) for condition in found]})
    return found


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


def conditions_of(groups: Sequence[Group], *, group_size: int) -> tuple[Condition, ...]:
    """Gives the conditions of each domain from its tasks' samples, from which groups of `group_size` are drawn.

    Completions without an outcome do not count. pass@k is over the tasks in which every sample has one, the share of
    mixed groups over those with at least `group_size`; where there is none, 0 with an interval up to 1. A domain that
    nobody could score is left out.
    """
    found = []
    for domain in sorted({g.task.domain for g in groups}):
        scored = [g for g in groups if g.task.domain == domain and g.num_scored]
        if not scored:
            continue
        samples = len(scored[0].completions)
        right = [_right_by_working(group) for group in scored]
        condition = Condition(
            domain=domain,
            num_tasks=len(scored),
            num_samples=samples,
            group_size=group_size,
            pass_at_1=_over([g.num_solved / g.num_scored for g in scored]),
            pass_at_k=_over([_some(g.num_scored, g.num_solved, samples) for g in scored if g.num_scored == samples]),
            mixed_rate=_over([_mixed(g, group_size) for g in scored if g.num_scored >= group_size]),
            working_rate=sum(len(shown) for shown, _ in right) / sum(g.num_scored for g in scored),
            working=_worth(right),
            problems=(),
        )
        found.append(replace(condition, problems=_problems(condition)))
    return tuple(found)


def shows_working(text: str) -> bool:
    """Gives whether a completion shows working: something besides white space and tags follows a `<think>`.

    Also where the thinking part does not end: what was cut off at the length limit is working all the same.
    """
    return _WORKING.search(text) is not None


def _some(num_scored: int, num_solved: int, k: int) -> float:
    return float(pass_at_k(num_scored, num_solved, k=k)[0])


def _mixed(group: Group, size: int) -> float:
    """The chance that `size` of the task's scored samples, drawn without replacement, are right and wrong ones."""
    scored, solved = group.num_scored, group.num_solved
    # Some right and some wrong; both terms may be a rounding error off.
    return max(0.0, _some(scored, solved, size) + _some(scored, scored - solved, size) - 1)


def _over(task_rates: Sequence[float]) -> Interval:
    return rate_interval(task_rates) if task_rates else Interval(0.0, 0.0, 1.0)


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


def _problems(found: Condition) -> tuple[str, ...]:
    problems = []
    worth = found.working
    if worth is not None and worth.num_tasks >= MIN_WORKING_TASKS and not _pays(worth.gain):
        gain = worth.gain
        problems.append(
            f"working is not shown to pay ({worth.shown:.0%} right with it, {worth.hidden:.0%} without, in "
            f"{worth.num_tasks} tasks: {100 * gain.mean:+.0f} points [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}], "
            f"expected more than {100 * MIN_WORKING_GAIN:.0f} and an interval above 0)"
        )
    one, several = found.pass_at_1.mean, found.pass_at_k.mean
    # Rates that are exactly that far apart may differ by a rounding error less.
    if several - one < MIN_HEADROOM - 1e-9:
        problems.append(
            f"{found.num_samples} samples solve hardly more tasks than one does (pass@1 {one:.0%}, pass@"
            f"{found.num_samples} {several:.0%}, expected at least {100 * MIN_HEADROOM:.0f} points more)"
        )
    if found.mixed_rate.mean < MIN_MIXED_RATE - 1e-9:
        problems.append(
            f"few groups of {found.group_size} hold right and wrong samples ({found.mixed_rate.mean:.0%}, expected at "
            f"least {MIN_MIXED_RATE:.0%}); the others give no signal"
        )
    return tuple(problems)


def _pays(gain: Interval) -> bool:
    # A rounding error must not turn exactly that many points into more.
    return gain.mean > MIN_WORKING_GAIN + 1e-9 and gain.low > 0


def _draws(tasks: Sequence[Task], number: int, seed: int) -> list[Draw]:
    """The first `number` tasks of each domain in a keyed order; a draw's index is the task's place among all."""
    draws = []
    for domain in sorted({task.domain for task in tasks}):
        places = [index for index, task in enumerate(tasks) if task.domain == domain]
        order = keyed.permutation(seed, f"conditions/{domain}", 0, len(places))[:number]
        draws += [Draw(places[int(at)], tasks[places[int(at)]]) for at in np.sort(order)]
    return draws


def _sampled(parts: Parts, config: RlvrConfig, intake: Intake, draws: Sequence[Draw]) -> list[Group]:
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


def _metrics(conditions: Sequence[Condition]) -> dict[str, float]:
    metrics = {}
    for found in conditions:
        metrics[f"rollout/conditions_pass_at_1/{found.domain}"] = found.pass_at_1.mean
        metrics[f"rollout/conditions_pass_at_k/{found.domain}"] = found.pass_at_k.mean
        metrics[f"rollout/conditions_mixed_rate/{found.domain}"] = found.mixed_rate.mean
        metrics[f"rollout/conditions_working_rate/{found.domain}"] = found.working_rate
        if found.working is not None:
            metrics[f"rollout/conditions_working_gain/{found.domain}"] = found.working.gain.mean
    return metrics


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values))
