"""What the preference stage learns from: given preferences, or right and wrong samples of the policy itself."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlvr import keyed
from rlvr.config.supervised import DpoConfig, RewardModelConfig
from rlvr.data.chat import encode_completion, keeps_completion
from rlvr.data.stream import Draw
from rlvr.errors import DataError
from rlvr.runs.folder import Run
from rlvr.stages.parts import Parts, sample_groups, usable_tasks
from rlvr.training.batching import Row
from rlvr.training.intake import Intake
from rlvr.training.learner import measure_logprobs
from rlvr.training.rollout import MAX_UNSCORED_RATE, refuse_unscored
from rlvr.types import Group, Message, Preference

PairsConfig = DpoConfig | RewardModelConfig


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt with one completion that is desirable or not."""

    id: str
    messages: tuple[Message, ...]
    completion: str
    desirable: bool
    domain: str


def preference_pairs(parts: Parts, config: PairsConfig, run: Run) -> list[Preference]:
    """Gives the preferences to learn from: those of the data, or the policy's own."""
    return parts.load("preference", config.data) if config.pairs == "data" else policy_pairs(parts, config, run)


def policy_pairs(parts: Parts, config: PairsConfig, run: Run) -> list[Preference]:
    """Gives one pair, right against wrong, for each task on which the policy's own samples differ.

    Which right and which wrong completion is a keyed draw. The pairs are stored in the run, so that a resumed stage
    uses the same ones; all samples are stored as rollouts. Samples that the length limit cut, and those that the chat
    template cannot hold, are no part of a pair.
    """
    return [Preference(**item) for item in _sampled_once(parts, config, run, "pairs", _pairs_of)]


def policy_completions(parts: Parts, config: DpoConfig, run: Run) -> list[Labelled]:
    """Gives every whole sample of the policy that its verifier could tell: right is desirable, wrong is not.

    Tasks on which all samples are right, or all wrong, are among them. Stored as `policy_pairs` are.
    """
    return [Labelled(**item) for item in _sampled_once(parts, config, run, "completions", _completions_of)]


def halves(pairs: Sequence[Preference]) -> list[Labelled]:
    """Gives each preference as two completions: the chosen one is desirable, the rejected one is not."""
    return [
        Labelled(pair.id, pair.messages, completion, desirable, pair.domain)
        for pair in pairs
        for completion, desirable in ((pair.chosen, True), (pair.rejected, False))
    ]


def row_of(tokenizer: Any, messages: Sequence[Message], completion: str) -> Row:
    """Gives the row of a prompt with one completion, of which only the completion is trainable."""
    return Row(*encode_completion(tokenizer, messages, completion))


def pair_rows(tokenizer: Any, pair: Preference) -> tuple[Row, Row]:
    """Gives the rows of the prompt with the chosen completion, and with the rejected one."""
    return row_of(tokenizer, pair.messages, pair.chosen), row_of(tokenizer, pair.messages, pair.rejected)


def with_reference(parts: Parts, config: DpoConfig, rows: Sequence[Row]) -> list[Row]:
    """Gives the rows with the reference's log-probabilities, measured once, before training."""
    measured = measure_logprobs(
        parts.make_reference(),
        rows,
        temperature=1.0,
        microbatch_tokens=config.microbatch_tokens,
        layout=config.batching,
        dtype=parts.dtype,
    )
    return [
        Row(row.token_ids, row.trainable, {"reference_logprobs": logprobs})
        for row, logprobs in zip(rows, measured, strict=True)
    ]


def _sampled_once(
    parts: Parts,
    config: PairsConfig,
    run: Run,
    what: str,
    choose: Callable[[list[Group], int], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Gives what `choose` makes of the policy's samples; from the run where it was stored before."""
    sampling_run = run.child("pairs")
    if (sampling_run.path / f"{what}.json").exists():
        stored = sampling_run.read_json(f"{what}.json")[what]
        return [{**item, "messages": tuple(item["messages"])} for item in stored]
    sampling_run.rewind(0)
    intake = usable_tasks(parts, parts.load("task", config.data), config.max_completion_tokens)
    with sampling_run.step(0) as record:
        groups = _sampled(parts, config, intake)
        record.rollouts(groups, split="pairs")
        refuse_unscored(groups, MAX_UNSCORED_RATE)
    held = [_held(parts.tokenizer, group) for group in groups]
    dropped = sum(len(group.completions) - len(kept.completions) for group, kept in zip(groups, held, strict=True))
    found = choose(held, parts.seed)
    counts = {"tasks": len(groups), "cut": _num_cut(groups), "dropped": dropped}
    sampling_run.write_json(f"{what}.json", {what: found, **counts})
    return found


def _held(tokenizer: Any, group: Group) -> Group:
    """Gives the group without the samples that the chat template would not write whole: the model may write anything,
    such as two `</think>`."""
    texts = [completion.text for completion in group.completions]
    kept = [place for place, text in enumerate(texts) if keeps_completion(tokenizer, group.task.messages, text)]
    return replace(
        group,
        completions=tuple(group.completions[place] for place in kept),
        verdicts=tuple(group.verdicts[place] for place in kept),
        rewards=tuple(group.rewards[place] for place in kept),
    )


def _sampled(parts: Parts, config: PairsConfig, intake: Intake) -> list[Group]:
    return sample_groups(
        parts,
        parts.make_engine(intake.longest_prompt + config.max_completion_tokens),
        [Draw(index, task) for index, task in enumerate(intake.tasks)],
        intake.prompts,
        group_size=config.group_size,
        temperature=1.0,
        max_completion_tokens=config.max_completion_tokens,
        seed=parts.seed,
        purpose="pairs",
    )


def _pairs_of(groups: list[Group], seed: int) -> list[dict[str, Any]]:
    told = [(group, _told_apart(group)) for group in groups]
    pairs = [_pair(group, texts, seed) for group, texts in told if len({solved for _, solved in texts}) == 2]
    if not pairs:
        raise DataError(
            f"no preference pair: on none of {len(groups)} tasks were the policy's samples partly right and partly "
            f"wrong{_cut_line(groups)}",
            hint='easier tasks, a larger group_size, a larger max_completion_tokens, or pairs = "data"',
        )
    return pairs


def _pair(group: Group, told: Sequence[tuple[str, bool]], seed: int) -> dict[str, Any]:
    right = [text for text, solved in told if solved]
    wrong = [text for text, solved in told if not solved]
    pick = keyed.uniform(seed, "pairs/pick", group.draw_index, [0, 1])
    chosen, rejected = right[int(pick[0] * len(right))], wrong[int(pick[1] * len(wrong))]
    return {**_prompt(group), "chosen": chosen, "rejected": rejected, "domain": group.task.domain}


def _num_cut(groups: list[Group]) -> int:
    return sum(completion.finish == "length" for group in groups for completion in group.completions)


def _cut_line(groups: list[Group]) -> str:
    cut, every = _num_cut(groups), sum(len(group.completions) for group in groups)
    return f"; the length limit cut {cut} of {every} samples, which are left out" if cut else ""


def _completions_of(groups: list[Group], seed: int) -> list[dict[str, Any]]:
    found = [
        {**_prompt(group), "completion": text, "desirable": solved, "domain": group.task.domain}
        for group in groups
        for text, solved in _told_apart(group)
    ]
    if not found:
        raise DataError(
            f"no completion of the policy can be learned from{_cut_line(groups)}",
            hint="a larger max_completion_tokens, or tasks that the verifier can tell",
        )
    return found


def _told_apart(group: Group) -> list[tuple[str, bool]]:
    """Gives the text of each whole sample that the verifier could tell, and whether it solves the task.

    One that the length limit cut is left out: a pair's texts are learned with their end, and it has none.
    """
    return [
        (completion.text, verdict.outcome >= group.task.threshold)
        for completion, verdict in zip(group.completions, group.verdicts, strict=True)
        if verdict.outcome is not None and completion.finish == "stop"
    ]


def _prompt(group: Group) -> dict[str, Any]:
    messages = json.loads(json.dumps([dict(message) for message in group.task.messages]))
    return {"id": group.task.id, "messages": tuple(messages)}
