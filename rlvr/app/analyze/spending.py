"""The samples of one side, and what becomes of them when they are cut, ended early or made to go on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rlvr.app.analyze.kept import Kept, Spent
from rlvr.app.analyze.sides import Asked, Sides, reward_model_of, sample
from rlvr.models.heads import load_value_model
from rlvr.stages.evaluate import Way
from rlvr.stages.forcing import AGAIN, Begun, cut, ended_at, go_on, judge, made_to_go_on, thinking_tokens
from rlvr.stages.parts import encoder
from rlvr.stages.thinking import Spending, TaskThinking
from rlvr.training.reward_scores import RewardScores
from rlvr.types import Completion, Group, Verdict

FORCED = 4
"""Of how many samples of each task the thinking is ended and made to go on."""

Place = tuple[int, str, int, int]
"""Where a changed completion belongs: the group's number, the kind of change, its budget, the sample."""
Judged = tuple[Completion, Verdict]


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of tokens: the recipe's `ordinary` one, `shorter` ones, and the `longest`, twice it where that fits."""

    ordinary: int
    shorter: tuple[int, ...]
    longest: int

    @property
    def all(self) -> tuple[int, ...]:
        """All limits, each once, ascending."""
        return tuple(sorted({*self.shorter, self.ordinary, self.longest}))


def budgets_for(asked: Asked) -> Budgets:
    """Gives a quarter and a half of the recipe's limit, the limit, and twice it where every prompt leaves room."""
    limit = asked.evaluation.max_completion_tokens
    fits = asked.longest_prompt + 2 * limit <= asked.context
    return Budgets(
        limit, tuple(sorted({max(1, limit // 4), max(1, limit // 2)} - {limit})), 2 * limit if fits else limit
    )


def with_reward_model(sides: Sides, asked: Asked) -> Asked:
    """Gives the side with verdicts that carry the score of the run's reward model, where it has one."""
    path = reward_model_of(sides)
    if path is None:
        return asked
    parts = asked.parts
    model = load_value_model(path, tokenizer=parts.tokenizer, device=sides.house.device)
    model.requires_grad_(False)
    scores = RewardScores(
        parts.scores,
        model,
        encoder(parts.tokenizer, asked.evaluation.prompts[0]),
        microbatch_tokens=asked.evaluation.microbatch_tokens,
        dtype=parts.dtype,
    )
    return replace(asked, parts=replace(parts, scores=scores))


def spendings(
    asked: Asked, budgets: Budgets, kept: Kept, *, samples: int, reward_model: str, tick: Callable[[int], None]
) -> tuple[dict[str, dict[str, TaskThinking]], Spent]:
    """Gives by domain and task what a side did, and what plain sampling took; what `kept` knows is not sampled again.

    `reward_model` marks the one whose scores the verdicts carry; empty without.
    """
    way = Way(asked.evaluation.prompts[0], asked.evaluation.temperature, samples, "")
    what = f"thinking {budgets.all} {FORCED} {AGAIN!r} {reward_model}"
    found = sample(
        asked,
        way,
        kept,
        max_tokens=budgets.longest,
        what=what,
        reduce=partial(_records, asked, budgets),
        tick=tick,
    )
    domains: dict[str, dict[str, TaskThinking]] = {}
    for draw in asked.draws:
        if draw.task.id in found:
            domains.setdefault(draw.task.domain, {})[draw.task.id] = _read(found[draw.task.id])
    return domains, kept.spent(asked.key(way, max_tokens=budgets.longest, what=what))


def _records(asked: Asked, budgets: Budgets, groups: Sequence[Group]) -> dict[str, Any]:
    changed = _judged(asked, groups, [*_forced(asked, budgets, groups), *_cut(asked, budgets, groups)])
    return {group.task.id: _record(asked, budgets, group, number, changed) for number, group in enumerate(groups)}


def _record(
    asked: Asked, budgets: Budgets, group: Group, number: int, changed: Mapping[Place, Judged]
) -> dict[str, Any]:
    """Gives what is kept of a task: a sample that a change does not touch counts as it was."""
    originals = list(zip(group.completions, group.verdicts, strict=True))

    def after(kind: str, budget: int, samples: Sequence[Judged]) -> list[list[Any]]:
        found = [changed.get((number, kind, budget, i), one) for i, one in enumerate(samples)]
        return _spent(found, group.task.threshold)

    ordinary = [changed.get((number, "cut", budgets.ordinary, i), one) for i, one in enumerate(originals)]
    few = ordinary[:FORCED]
    texts: dict[str, int] = {}
    thought = [thinking_tokens(asked.parts.tokenizer, group.prompt_ids, completion) for completion, _ in few]
    return {
        "budgets": {budget: after("cut", budget, originals) for budget in budgets.all},
        "answers": [texts.setdefault(v.extracted, len(texts)) if v.extracted else -1 for _, v in ordinary],
        "scores": [verdict.score for _, verdict in ordinary if verdict.score is not None],
        "forced": {budget: after("end", budget, few) for budget in (*budgets.shorter, budgets.ordinary)},
        "again": after("again", 0, few),
        "num_thinking": sum(tokens is not None for tokens in thought),
    }


def _spent(found: Sequence[Judged], threshold: float) -> list[list[Any]]:
    right = [None if v.outcome is None else int(v.outcome >= threshold) for _, v in found]
    return [[len(completion.token_ids) for completion, _ in found], right]


def _cut(asked: Asked, budgets: Budgets, groups: Sequence[Group]) -> list[tuple[Place, Completion]]:
    return [
        ((number, "cut", budget, i), cut(asked.parts.tokenizer, completion, budget))
        for number, group in enumerate(groups)
        for i, completion in enumerate(group.completions)
        for budget in budgets.all
        if len(completion.token_ids) > budget
    ]


def _forced(asked: Asked, budgets: Budgets, groups: Sequence[Group]) -> list[tuple[Place, Completion]]:
    """Gives the first samples of each task with their thinking ended after each budget, and made to go on."""
    tokenizer = asked.parts.tokenizer
    places: list[Place] = []
    begun: list[Begun] = []
    for number, group in enumerate(groups):
        for i, completion in enumerate(group.completions[:FORCED]):
            ordinary = cut(tokenizer, completion, budgets.ordinary)
            key = FORCED * group.draw_index + i
            for budget in (*budgets.shorter, budgets.ordinary):
                if one := ended_at(tokenizer, group.prompt_ids, ordinary, budget=budget, draw_index=key):
                    places.append((number, "end", budget, i))
                    begun.append(one)
            if one := made_to_go_on(tokenizer, group.prompt_ids, ordinary, draw_index=key):
                places.append((number, "again", 0, i))
                begun.append(one)
    evaluation = asked.evaluation
    made = go_on(
        asked.parts, begun, temperature=evaluation.temperature, max_tokens=budgets.ordinary, seed=evaluation.seed
    )
    return list(zip(places, made, strict=True))


def _judged(asked: Asked, groups: Sequence[Group], changed: Sequence[tuple[Place, Completion]]) -> dict[Place, Judged]:
    by_group: dict[int, list[tuple[Place, Completion]]] = {}
    for place, completion in changed:
        by_group.setdefault(place[0], []).append((place, completion))
    verdicts = judge(
        asked.parts, [(groups[number].task, [one for _, one in found]) for number, found in by_group.items()]
    )
    return {
        place: (completion, verdict)
        for found, judged in zip(by_group.values(), verdicts, strict=True)
        for (place, completion), verdict in zip(found, judged, strict=True)
    }


def _read(record: Mapping[str, Any]) -> TaskThinking:
    def spending(pair: Sequence[Sequence[Any]]) -> Spending:
        return Spending(tuple(pair[0]), tuple(pair[1]))

    return TaskThinking(
        budgets={int(budget): spending(pair) for budget, pair in record["budgets"].items()},
        answers=tuple(record["answers"]),
        scores=tuple(record["scores"]),
        forced={int(budget): spending(pair) for budget, pair in record["forced"].items()},
        again=spending(record["again"]),
        num_thinking=record["num_thinking"],
    )
