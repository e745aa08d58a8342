"""Reinforcement learning with verifiable rewards: generate, verify, compare within the group, learn."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any

from rlvr.algorithms.algorithm import Algorithm
from rlvr.algorithms.filters import FILTERS, count
from rlvr.algorithms.presets import resolve
from rlvr.algorithms.refusals import refuse_lone_completions
from rlvr.config.rlvr import IterateConfig, RlvrConfig
from rlvr.data.chat import stop_token_ids
from rlvr.data.stream import TaskStream
from rlvr.engines.base import Engine, Sampling
from rlvr.models.checkpoint import load_trainer_state
from rlvr.models.heads import value_map
from rlvr.runs.folder import Run
from rlvr.stages.conditions import measure_conditions, require
from rlvr.stages.evaluate import kl_of_samples
from rlvr.stages.parts import PASSED, Checkpoint, Parts, domains_of, restore, save, usable_tasks
from rlvr.stages.watch import Watch
from rlvr.training.control import with_shuffled_rewards
from rlvr.training.critic import Critic
from rlvr.training.intake import Intake
from rlvr.training.learner import Learner
from rlvr.training.reward_scores import score_metrics
from rlvr.training.rollout import Rollout, Scores, Shape, generate_groups, refuse_unscored
from rlvr.training.samples import to_samples, with_advantages
from rlvr.training.value_head import ValueHead
from rlvr.types import Completion, Group, StepReport, Task, Verdict
from rlvr.verifiers.shaping import missing_end, scale, soft_overlong

log = logging.getLogger(__name__)

TasksBySource = Mapping[str, Sequence[Task]]
"""The tasks of each source of a recipe, in its order."""


def rlvr(parts: Parts, config: RlvrConfig, run: Run) -> Checkpoint:
    """Runs `config.steps` steps, from the run's last whole checkpoint where there is one.

    Cells for a domain of which there is no task are named in a warning.
    """
    by_source = tasks_by_source(parts, config)
    warn_of_unknown_domains(config, by_source)
    return learn(parts, config, run, by_source)


def learn(
    parts: Parts,
    config: RlvrConfig,
    run: Run,
    by_source: TasksBySource,
    *,
    begin_with: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Runs the steps on these tasks. `begin_with` is the state of a learner to begin with; the schedule begins anew."""
    row = _row(config)
    every = [task for found in by_source.values() for task in found]
    intake = usable_tasks(parts, every, config.max_completion_tokens, prompt=config.prompt)
    tasks = stream_of(by_source, intake, config, parts.seed)
    learner = _learner(parts, config, row)
    step_now, path, state = restore(run)
    conditions = measure_conditions(parts, config, intake, run) if step_now == 0 else ()
    before = _begin(parts, config, learner, tasks, state, begin_with)
    parts.announce(config.steps, step_now)
    if config.conditions.required:
        require(conditions)
    engine = parts.make_engine(intake.longest_prompt + config.max_completion_tokens)
    parent = parts.make_reference() if config.kl_groups and not row.needs_reference else None
    rollout_of = partial(_rollout, parts=parts, config=config, row=row, intake=intake, tasks=tasks)
    watch = Watch(parts, config, run, domains_of(intake.tasks), steps_done=step_now)
    judged = _judged_since(parts.scores)
    done, end = step_now, step_now if watch.stops else min(config.steps, parts.until or config.steps)
    for step in range(step_now, end):
        if row.reference_every and before + step and (before + step) % row.reference_every == 0:
            learner.renew_reference()
        with run.step(step) as record:
            engine.load_weights(parts.policy, version=step)
            rollout = rollout_of(engine=engine)
            record.rollouts(rollout.groups, split="train")
            refuse_unscored(rollout.groups, config.max_unscored_rate)
            lesson = _lesson(rollout, config, row, seed=parts.seed, step=before + step)
            policy_learns = not row.needs_values or step >= config.critic.warmup_steps
            report = _update(learner, parts, row, lesson, policy=policy_learns)
            record.metrics({"train/loss": report.loss, **report.stats, **rollout_metrics(rollout, row)})
            record.metrics(_kl(parts, parent, rollout, config))
            watch.look(record, step + 1)
            record.metrics(judged())
        done = step + 1
        if watch.passed:
            save(parts, run, done, _state(learner, tasks, before), place=PASSED)
        if done % config.checkpoint_every == 0 or done == end or watch.stops:
            path = save(parts, run, done, _state(learner, tasks, before))
        if watch.stops:
            break
    assert path is not None, "there is at least one step, and the last one is saved"
    return watch.result(Checkpoint(path, done, domains_of(intake.tasks)))


def _update(learner: Learner, parts: Parts, row: Algorithm, lesson: Rollout, *, policy: bool) -> StepReport:
    """Makes the step's updates; without `policy` only the critic learns."""
    samples = to_samples(lesson.kept if row.refill else lesson.groups, drop_truncated=row.drop_truncated)
    measured = learner.measure(samples)
    weights = {group.draw_index: parts.weights.get(group.task.check, 1.0) for group in lesson.kept}
    samples = with_advantages(samples, row, weights, measured, kl_coefficient=learner.kl_coefficient)
    return learner.update(samples, measured, policy=policy)


def update_seconds(parts: Parts, config: RlvrConfig, groups: Sequence[Group]) -> float:
    """Gives how long a step takes to learn from these groups, of `group_size` samples each; the policy is changed.

    0 where no group gives a signal.
    """
    row = _row(config)
    learner = _learner(parts, config, row)
    kept = tuple(group for group in groups if FILTERS[row.filter](group))
    if not kept:
        return 0.0
    start = time.perf_counter()
    report = _update(learner, parts, row, Rollout(tuple(groups), kept), policy=True)
    return 0.0 if report.stats["train/learned_tokens"] == 0 else time.perf_counter() - start


def _begin(
    parts: Parts,
    config: RlvrConfig,
    learner: Learner,
    tasks: TaskStream,
    state: Mapping[str, Any],
    begin_with: Mapping[str, Any] | None,
) -> int:
    """Puts learner and stream where they were, and gives the steps of the stages that this one continues.

    What is done every so many steps counts those too.
    """
    known = state or (load_trainer_state(parts.origin) if config.continues else {})
    if known:
        learner.restore(known["learner"])
        tasks.restore(known["stream"])
    elif begin_with is not None:
        learner.restore(begin_with)
        learner.pull_to_here()
    if state:
        return int(state.get("steps_before", 0))
    learner.begin_schedule()
    return int(known.get("steps_before", 0)) + int(known.get("step", 0))


def _state(learner: Learner, tasks: TaskStream, before: int) -> dict[str, Any]:
    return {"learner": learner.state(), "stream": tasks.state(), "steps_before": before}


def tasks_by_source(parts: Parts, config: RlvrConfig | IterateConfig) -> TasksBySource:
    """Gives the recipe's tasks."""
    return {f"{number} {data.source}": parts.load("task", [data]) for number, data in enumerate(config.data)}


def _kl(parts: Parts, parent: Any, rollout: Rollout, config: RlvrConfig) -> dict[str, float]:
    """Measures the KL to the stage's first weights, where those are there."""
    if parent is None:
        return {}
    groups, size = rollout.groups[: config.kl_groups], config.microbatch_tokens
    kl = kl_of_samples(parts, parent, groups, temperature=config.temperature, microbatch_tokens=size)
    return {"train/kl": kl}


def _judged_since(scores: Scores) -> Callable[[], dict[str, float]]:
    """Gives a function that says what judges did since it was asked before: so a resumed run tells of each step what an
    undisturbed one does."""
    before = scores.totals()

    def since() -> dict[str, float]:
        nonlocal before
        now, old = scores.totals(), before
        before = now
        return {name: amount - old.get(name, 0.0) for name, amount in now.items()}

    return since


def _lesson(rollout: Rollout, config: RlvrConfig, row: Algorithm, *, seed: int, step: int) -> Rollout:
    """What is learnt from: the rollout itself, or the control's version of it."""
    if config.rewards == "verified":
        return rollout
    return with_shuffled_rewards(rollout, keep=FILTERS[row.filter], seed=seed, step=step)


def rollout_metrics(rollout: Rollout, row: Algorithm) -> dict[str, float]:
    """Gives the metrics of one step's groups: outcome, reward, lengths, and how many groups carry a signal, which is
    known only where completions are compared with others of their prompt."""
    groups = rollout.groups
    counts = count(groups)
    outcomes = [v.outcome for g in groups for v in g.verdicts]
    scored = [outcome for outcome in outcomes if outcome is not None]
    rewards = [r for g in groups for r in g.rewards if r == r]
    completions = [c for g in groups for c in g.completions]
    metrics = {
        "rollout/outcome_mean": _mean(scored),
        "rollout/reward_mean": _mean(rewards),
        "rollout/all_right_rate": counts.all_right / counts.groups,
        "rollout/all_wrong_rate": counts.all_wrong / counts.groups,
        "rollout/unscored_rate": 1 - len(scored) / len(outcomes),
        "rollout/truncated_rate": _mean([c.finish == "length" for c in completions]),
        "rollout/completion_tokens_mean": _mean([len(c.token_ids) for c in completions]),
        "rollout/prompts_drawn": float(len(groups)),
        "rollout/prompts_kept": float(len(rollout.kept)),
        **score_metrics(groups),
    }
    if row.needs_group:
        metrics["rollout/informative_rate"] = counts.informative / counts.groups
    for domain in sorted({g.task.domain for g in groups}):
        solved = [g.num_solved / g.num_scored for g in groups if g.task.domain == domain and g.num_scored]
        metrics[f"rollout/solved_rate/{domain}"] = _mean(solved)
    return metrics


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0


def _row(config: RlvrConfig) -> Algorithm:
    """The recipe's row; groups are never torn apart, so there are no more updates in an epoch than groups."""
    row = resolve(config.algorithm.preset, **config.algorithm.cells)
    refuse_lone_completions(row, config.group_size)
    return replace(row, updates_per_step=min(row.updates_per_step, config.prompts_per_step))


def warn_of_unknown_domains(config: RlvrConfig | IterateConfig, by_source: TasksBySource) -> None:
    """Warns where the algorithm has cells for a domain of which there is no task; a plan refuses what it can tell."""
    known = sorted({task.domain for tasks in by_source.values() for task in tasks})
    for name in sorted(config.algorithm.cells.get("domains", {}).keys() - known):
        log.warning("algorithm.domains names %r, of which there is no task; there are %s", name, ", ".join(known))


def stream_of(by_source: TasksBySource, intake: Intake, config: RlvrConfig, seed: int) -> TaskStream:
    """One stream over all sources of the recipe, each with its weight; only usable tasks."""
    usable = {name: [task for task in tasks if task.id in intake.prompts] for name, tasks in by_source.items()}
    weights = {name: data.weight for name, data in zip(by_source, config.data, strict=True)}
    domains = {name: tasks for name, tasks in usable.items() if tasks}
    rest_draws = config.rest_steps * config.prompts_per_step
    return TaskStream(domains, {name: weights[name] for name in domains}, seed, rest_draws=rest_draws)


def _shaping(parts: Parts, config: RlvrConfig, row: Algorithm) -> list[Shape]:
    """The recipe's shaping, and after it what the row does to a reward: its scale, and what length costs."""
    limit = config.max_completion_tokens
    shaping = list(parts.shaping)
    if any(own.reward_scale != 1 for own in row.rows):
        shaping.append(_by_domain(scale, lambda task: {"factor": row.of(task.domain).reward_scale}))
    if any(own.overlong_buffer_share > 0 for own in row.rows):
        shaping.append(_by_domain(soft_overlong, lambda task: _buffer(limit, row.of(task.domain))))
    if any(own.missing_end_penalty > 0 for own in row.rows):
        shaping.append(_by_domain(missing_end, lambda task: {"penalty": row.of(task.domain).missing_end_penalty}))
    return shaping


def _buffer(limit: int, row: Algorithm) -> dict[str, int] | None:
    """Gives the options of soft_overlong; None where the row has no buffer."""
    if row.overlong_buffer_share == 0:
        return None
    return {"limit_tokens": limit, "buffer_tokens": max(1, round(limit * row.overlong_buffer_share))}


def _by_domain(function: Callable[..., float], options_of: Callable[[Task], Mapping[str, Any] | None]) -> Shape:
    """Gives the shaping with the options of each task, by its own name; None leaves the reward as it is."""

    @wraps(function)
    def shape(task: Task, completion: Completion, verdict: Verdict, reward: float) -> float:
        options = options_of(task)
        return reward if options is None else function(task, completion, verdict, reward, **options)

    return shape


def _learner(parts: Parts, config: RlvrConfig, row: Algorithm) -> Learner:
    each = row.updates_per_step * row.epochs_per_step
    learning = config.steps - (config.critic.warmup_steps if row.needs_values else 0)
    return Learner(
        parts.policy,
        parts.make_optimizer(parts.policy, config.optimizer, learning * each),
        row=row,
        reference=parts.make_reference() if row.needs_reference else None,
        critic=_critic(parts, config, row, config.steps * each) if row.needs_values else None,
        max_completion_tokens=config.max_completion_tokens,
        temperature=config.temperature,
        microbatch_tokens=config.microbatch_tokens,
        layout=config.batching,
        dtype=parts.dtype,
    )


def _critic(parts: Parts, config: RlvrConfig, row: Algorithm, updates: int) -> Critic | ValueHead:
    shared = config.critic.shared
    model = value_map(parts.policy) if shared else parts.make_critic(config.critic.path)
    optimizer = parts.make_optimizer(model, config.critic.optimizer, updates)
    settings: dict[str, Any] = {
        "value_clip": row.value_clip,
        "microbatch_tokens": config.microbatch_tokens,
        "layout": config.batching,
        "dtype": parts.dtype,
    }
    if shared:
        return ValueHead(parts.policy, model, optimizer, coefficient=config.critic.value_coefficient, **settings)
    return Critic(model, optimizer, **settings)


def _rollout(
    *, parts: Parts, config: RlvrConfig, row: Algorithm, intake: Intake, tasks: TaskStream, engine: Engine
) -> Rollout:
    return generate_groups(
        engine,
        tasks,
        num_prompts=config.prompts_per_step,
        group_size=config.group_size,
        sampling=Sampling(
            temperature=config.temperature,
            max_new_tokens=config.max_completion_tokens,
            stop_token_ids=stop_token_ids(parts.tokenizer),
            seed=parts.seed,
            purpose="train",
        ),
        encode=lambda task: intake.prompts[task.id],
        scores=parts.rewards,
        shaping=_shaping(parts, config, row),
        keep=FILTERS[row.filter],
        refill_limit=row.refill_limit if row.refill else 1,
    )
