"""Iterative RLVR: rounds that begin where the last one ended, on the tasks that have come within reach.

    for each round
      candidates ──sample──▶ those solved now and then      tasks that are always or never solved rest
      weights of now ──▶ reference
      rlvr ──▶ held-out tasks ──▶ a gain that can be told from chance, or the end

NAME/  metrics.jsonl (all rounds)  round-0/evaluation  round-1/{candidates,checkpoints,rollouts,evaluation,…}  round-2 …

The held-out tasks that decide when to stop are those of the report; what they favour by chance, the report shows too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rlvr import keyed
from rlvr.config.data import EvaluateConfig
from rlvr.config.rlvr import IterateConfig, RlvrConfig
from rlvr.errors import TrainingError
from rlvr.models.checkpoint import load_trainer_state
from rlvr.models.heads import create_value_model
from rlvr.models.policy import load_policy, load_reference
from rlvr.runs.folder import Run
from rlvr.stages.change import RatesByDomain, mean_gain
from rlvr.stages.evaluate import Way, held_out_groups, solved_rates
from rlvr.stages.parts import Checkpoint, Parts, last_checkpoint, sample_groups, usable_tasks, whole
from rlvr.stages.rlvr import learn, stream_of, tasks_by_source, warn_of_unknown_domains
from rlvr.statistics.intervals import Interval
from rlvr.training.rollout import refuse_unscored
from rlvr.types import Group

ROUND = "round-"
DONE = "round.json"
CANDIDATES = "candidates.json"
RATES = "rates.json"


def iterate(parts: Parts, config: IterateConfig, run: Run) -> Checkpoint:
    """Runs rounds until all are done, or one brings no gain that can be told from chance.

    Gives the last round's checkpoint, or the one before where the last one lost. Without an [evaluation] all rounds
    are run. Raises TrainingError where no task is within reach before the first round.
    """
    if config.algorithm.cells.get("domains"):
        warn_of_unknown_domains(config, tasks_by_source(parts, config))
    now = _steps_so_far(config, run)
    run.rewind(now)
    parts.announce(config.rounds * config.steps, now)
    ended = Checkpoint(parts.origin, 0, ())
    before = _measured(parts, config, run.child(f"{ROUND}0"), parts.origin)
    verdicts: list[str] = []
    for number in range(1, config.rounds + 1):
        made = _round(parts, config, run, number=number, begin=ended.path)
        if made is None:
            verdicts.append(f"round {number}: no task is within reach")
            break
        after = _measured(parts, config, run.child(f"{ROUND}{number}"), made.path)
        gain = mean_gain(before, after, made.domains)
        verdicts.append(f"round {number}: {_said(gain, last=number == config.rounds)}")
        if gain is not None and gain.high < 0:
            ended = replace(ended, domains=made.domains)
            break
        ended, before = made, after
        if gain is not None and gain.low <= 0:
            break
    run.write_json("rounds.json", {"rounds": verdicts})
    return ended


def round_lines(run: Run) -> list[str]:
    """Gives a line for each round that a stage's run holds; none for a stage of another kind."""
    return list(run.read_json("rounds.json")["rounds"]) if (run.path / "rounds.json").is_file() else []


def rounds_of(run: Run) -> list[Run]:
    """Gives the folders of the rounds that a stage's run holds, in order; none for a stage of another kind."""
    return [child for child in run.children if child.path.name.startswith(ROUND)]


def measuring_lines(run: Run) -> list[Mapping[str, float]]:
    """Gives the metrics of all that was sampled around the rounds, which is part of what the stage costs."""
    places = [place for child in rounds_of(run) for place in child.children]
    return [line for place in places if place.path.name in ("evaluation", "candidates") for line in place.metrics()]


def _said(gain: Interval | None, *, last: bool) -> str:
    if gain is None:
        return "not measured"
    told = f"{gain.points()} on held-out tasks"
    if gain.high < 0:
        return f"{told}: given up"
    return f"{told}: not to be told from chance, so the last one" if gain.low <= 0 and not last else told


def _steps_so_far(config: IterateConfig, run: Run) -> int:
    for number in range(1, config.rounds + 1):
        child = Run(run.path / f"{ROUND}{number}")
        if not (child.path / DONE).is_file():
            found = last_checkpoint(child) if child.checkpoints.is_dir() else None
            here = int(load_trainer_state(found)["step"]) if found else 0
            return (number - 1) * config.steps + here
    return config.rounds * config.steps


def _round(parts: Parts, config: IterateConfig, run: Run, *, number: int, begin: Path) -> Checkpoint | None:
    """Runs one round from the weights in `begin`, or gives what it made; None where no task is within reach."""
    child, first = run.child(f"{ROUND}{number}"), (number - 1) * config.steps
    if (child.path / DONE).is_file():
        done = child.read_json(DONE)
        if whole(child, child.path / done["checkpoint"], DONE):
            _note_again(run, child, first)
            return Checkpoint(child.path / done["checkpoint"], first + config.steps, tuple(done["domains"]))
    _load_weights(parts, begin)
    inner, once = _parts_of_round(parts, begin, number=number), once_of(config)
    if config.candidates:
        chosen = _within_reach(inner, config, once, child)
        if not chosen and number == 1:
            raise TrainingError(
                "of the candidates that were sampled none is solved now and then: there is nothing to begin with",
                hint="easier tasks, more candidate_samples, or SFT first",
            )
        if not chosen:
            return None
        inner = replace(inner, load=_only(parts.load, chosen))
    if found := last_checkpoint(child):
        _load_weights(parts, found)
    # What the stage noted of steps that are made again is set aside.
    inner = replace(inner, announce=lambda steps, step: _rewind(run, first + step))
    child.listeners = [lambda step, metrics: _note(run, first, step, metrics, config)]
    carried = number > 1 and config.keep_optimizer
    learner = _carried(load_trainer_state(begin)["learner"]) if carried else None
    made = learn(inner, once, child, tasks_by_source(inner, once), begin_with=learner)
    child.write_json(DONE, {"checkpoint": str(made.path.relative_to(child.path)), "domains": made.domains})
    return replace(made, step=first + made.step)


def _carried(learner: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the state of the round before for the next, whose reference is its own, also where the row had renewed
    that."""
    return {**learner, "reference": {}}


def _rewind(run: Run, step: int) -> None:
    run.rewind(step)


def _note(run: Run, first: int, step: int, metrics: Mapping[str, float], config: IterateConfig) -> None:
    run.add_step(first + step, metrics)
    if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
        run.sync()  # The round's checkpoint counts on these lines too.


def _note_again(run: Run, child: Run, first: int) -> None:
    """Writes what the stage lacks of a whole round: its lines were set aside when one before it was made again, or a
    power cut took some of them. What follows the first is written again, by this round and those after it."""
    known = {int(line["step"]) for line in run.metrics()}
    lines = {first + int(line["step"]): line for line in child.metrics()}
    missing = sorted(lines.keys() - known)
    if not missing:
        return
    run.rewind(missing[0])
    for step, line in lines.items():
        if step >= missing[0]:
            run.add_step(step, {key: value for key, value in line.items() if key != "step"})


def _parts_of_round(parts: Parts, begin: Path, *, number: int) -> Parts:
    seed = int(keyed.bits(parts.seed, "iterate/round", number)) % 2**31

    def critic(path: str) -> Any:
        if path:
            return parts.make_critic(path)
        model = create_value_model(begin, head="zero", seed=seed, device=parts.policy.device)
        if parts.policy.is_activation_checkpointing:
            model.activation_checkpointing_enable()
        return model

    return replace(
        parts,
        origin=begin,
        gate=None,  # The stage is judged as a whole.
        earlier=(),
        seed=seed,
        make_reference=partial(load_reference, begin, device=parts.policy.device),
        make_critic=critic,
    )


def once_of(config: IterateConfig) -> RlvrConfig:
    """Gives the settings of one round."""
    shared = {name: getattr(config, name) for name in RlvrConfig.model_fields if name in IterateConfig.model_fields}
    return RlvrConfig.model_validate({**shared, "kind": "rlvr", "conditions": {"tasks": 0}})


def _load_weights(parts: Parts, path: Path) -> None:
    parts.policy.load_state_dict(load_policy(path, device=parts.policy.device).model.state_dict())


def _measured(parts: Parts, config: IterateConfig, run: Run, path: Path) -> RatesByDomain:
    """Gives the rates of the weights in `path` on held-out tasks, asked as in training; measured once a round."""
    evaluation: EvaluateConfig | None = parts.evaluation
    if evaluation is None or not evaluation.data:
        return {}
    if (run.path / RATES).is_file() and (stored := run.read_json(RATES))["checkpoint"] == path.name:
        return dict(stored["rates"])
    _load_weights(parts, path)
    place = run.child("evaluation")
    place.rewind(0)
    with place.step(0) as record:
        way = Way(config.prompt, evaluation.temperature, evaluation.samples, "evaluate")
        rates = solved_rates(held_out_groups(parts, evaluation, [way], record)[way])
    run.write_json(RATES, {"checkpoint": path.name, "rates": rates})
    return rates


def frontier(groups: Sequence[Group], limit: int) -> list[str]:
    """Gives the ids of at most so many tasks that are solved now and then, those nearest to every second time first:
    there a group tells most."""
    mixed = [group for group in groups if group.informative]
    mixed.sort(key=lambda group: (abs(group.num_solved / group.num_scored - 0.5), group.draw_index))
    return [group.task.id for group in mixed[:limit]]


def _within_reach(parts: Parts, config: IterateConfig, once: RlvrConfig, run: Run) -> frozenset[str]:
    """Gives the ids of the candidates that are learned from, sampled once a round: no more than it draws prompts, nor
    than their share that is kept at most."""
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
    most = max(1, round(config.kept_share * len(groups)))
    chosen = sorted(frontier(groups, min(most, config.steps * config.prompts_per_step)))
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
