"""Iterative RLVR: rounds that begin where the last one ended, on the tasks that have come within reach.

    for each round
      candidates ──sample──▶ those solved now and then      tasks that are always or never solved rest
      weights of now ──▶ reference
      rlvr ──▶ held-out tasks ──▶ a gain that can be told from chance, or the end

NAME/  metrics.jsonl (all rounds)  round-0/evaluation  round-1/{candidates,checkpoints,rollouts,evaluation,…}  round-2 …
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rlvr import keyed
from rlvr.config.data import CHAT, EvaluateConfig
from rlvr.config.rlvr import IterateConfig, RlvrConfig
from rlvr.errors import TrainingError
from rlvr.models.checkpoint import latest_checkpoint, load_trainer_state
from rlvr.models.policy import load_policy, load_reference
from rlvr.runs.folder import Run
from rlvr.stages.evaluate import RESULT, Measurement, changes_between, measure, read_measurement
from rlvr.stages.parts import Checkpoint, Parts, sample_groups, usable_tasks
from rlvr.stages.rlvr import rlvr, stream_of, tasks_by_source
from rlvr.statistics.intervals import Interval, mean_of
from rlvr.training.rollout import refuse_unscored
from rlvr.types import Group

DONE = "round.json"
CANDIDATES = "candidates.json"


def iterate(parts: Parts, config: IterateConfig, run: Run) -> Checkpoint:
    """Runs rounds until all are done, or one brings no gain that can be told from chance.

    Gives the last round's checkpoint, or the one before where the last one lost. Without an [evaluation] all rounds
    are run. Raises TrainingError where no task is within reach before the first round.
    """
    evaluation = parts.evaluation and parts.evaluation.model_copy(update={"prompts": (CHAT,), "low_temperature": 0.0})
    ended, announce = Checkpoint(parts.origin, 0, ()), parts.announce
    told: list[int] = []

    def go_on(steps: int, first: int) -> None:
        # What the stage noted of steps that are made again is set aside; where it goes on is said once.
        run.rewind(first)
        if not told:
            announce(steps, first)
        told.append(first)

    parts = replace(parts, announce=go_on)
    before = _measured(parts, evaluation, run.child("round-0"), parts.origin)
    for number in range(1, config.rounds + 1):
        child = run.child(f"round-{number}")
        made = _round(parts, config, run, child, number=number, begin=ended.path)
        if made is None:
            run.event("no_task_within_reach", round=number)
            break
        after = _measured(parts, evaluation, child, made.path)
        gain = _gain(before, after, made.domains)
        run.event("round", number=number, gain=None if gain is None else asdict(gain))
        if gain is not None and gain.high < 0:
            break
        ended, before = made, after
        if gain is not None and gain.low <= 0:
            break
    return ended


def _round(parts: Parts, config: IterateConfig, run: Run, child: Run, *, number: int, begin: Path) -> Checkpoint | None:
    """Runs one round from the weights in `begin`, or gives what it made; None where no task is within reach."""
    if (child.path / DONE).is_file():
        done = child.read_json(DONE)
        return Checkpoint(child.path / done["checkpoint"], done["step"], tuple(done["domains"]))
    found = latest_checkpoint(child.checkpoints)
    _load_weights(parts, begin)
    inner = replace(
        parts,
        origin=begin,
        seed=int(keyed.bits(parts.seed, "iterate/round", number)) % 2**31,
        make_reference=partial(load_reference, begin, device=parts.policy.device),
        announce=lambda steps, first: parts.announce(config.rounds * steps, (number - 1) * steps + first),
    )
    once = _once(config)
    if config.candidates:
        chosen = _within_reach(inner, config, once, child)
        if not chosen:
            if number == 1:
                raise TrainingError(
                    f"of {config.candidates} candidates none is solved now and then: there is nothing to begin with",
                    hint="easier tasks, more candidate_samples, or SFT first",
                )
            return None
        inner = replace(inner, load=_only(parts.load, chosen))
    if found is not None:
        _load_weights(parts, found[0])
    first = (number - 1) * config.steps
    child.listeners = [lambda step, metrics: run.add_step(first + step, metrics)]
    carried = number > 1 and config.keep_optimizer
    # The reference is the round's own, also where the row had renewed that of the round before.
    learner = {**load_trainer_state(begin)["learner"], "reference": {}} if carried else None
    made = rlvr(inner, once, child, begin_with=learner)
    place = str(made.path.relative_to(child.path))
    child.write_json(DONE, {"checkpoint": place, "step": first + made.step, "domains": made.domains})
    return replace(made, step=first + made.step)


def _once(config: IterateConfig) -> RlvrConfig:
    """Gives the settings of one round."""
    shared = {name: getattr(config, name) for name in RlvrConfig.model_fields if name in IterateConfig.model_fields}
    return RlvrConfig.model_validate({**shared, "kind": "rlvr", "conditions": {"tasks": 0}})


def _load_weights(parts: Parts, path: Path) -> None:
    parts.policy.load_state_dict(load_policy(path, device=parts.policy.device).model.state_dict())


def _measured(parts: Parts, config: EvaluateConfig | None, run: Run, path: Path) -> Measurement:
    """Measures the weights in `path`, or reads what was measured; nothing where there is no evaluation."""
    if config is None:
        return Measurement({}, (), None, None)
    place = run.child("evaluation")
    if (place.path / RESULT).is_file():
        return read_measurement(place)
    _load_weights(parts, path)
    return measure(parts, config, place)


def _gain(before: Measurement, after: Measurement, domains: Sequence[str]) -> Interval | None:
    """Gives the mean rise of pass@1 over the domains that were trained on and measured; None where there is none."""
    changes = changes_between(before, after)
    gains = [changes[domain].gain for domain in domains if domain in changes]
    return mean_of(gains) if gains else None


def _within_reach(parts: Parts, config: IterateConfig, once: RlvrConfig, run: Run) -> frozenset[str]:
    """Gives the ids of the candidates that some samples solve and some do not, sampled once a round."""
    if (run.path / CANDIDATES).is_file():
        return frozenset(run.read_json(CANDIDATES)["chosen"])
    by_source = tasks_by_source(parts, once)
    every = [task for tasks in by_source.values() for task in tasks]
    intake = usable_tasks(parts, every, config.max_completion_tokens, prompt=config.prompt)
    drawn = stream_of(by_source, intake, once, parts.seed).draw(min(config.candidates, len(intake.tasks)))
    draws = list({draw.task.id: draw for draw in drawn}.values())
    place = run.child("candidates")
    place.rewind(0)
    with place.step(0) as record:
        groups = sample_groups(
            parts,
            parts.make_engine(intake.longest_prompt + config.max_completion_tokens),
            draws,
            intake.prompts,
            group_size=config.candidate_samples,
            temperature=config.temperature,
            max_completion_tokens=config.max_completion_tokens,
            seed=parts.seed,
            purpose="candidates",
        )
        record.rollouts(groups, split="candidates")
        refuse_unscored(groups, config.max_unscored_rate)
        record.metrics(_counts(groups))
    chosen = sorted(group.task.id for group in groups if group.informative)
    run.write_json(CANDIDATES, {"chosen": chosen, "candidates": len(groups)})
    return frozenset(chosen)


def _counts(groups: Sequence[Group]) -> Mapping[str, float]:
    scored = [group for group in groups if group.num_scored]
    return {
        "candidates/within_reach_rate": sum(group.informative for group in groups) / len(groups),
        "candidates/all_right_rate": sum(group.num_solved == group.num_scored for group in scored) / len(groups),
        "candidates/all_wrong_rate": sum(group.num_solved == 0 for group in scored) / len(groups),
    }


def _only(load: Callable[..., list[Any]], chosen: frozenset[str]) -> Callable[..., list[Any]]:
    def kept(kind: Any, data: Any) -> list[Any]:
        return [item for item in load(kind, data) if item.id in chosen]

    return kept
