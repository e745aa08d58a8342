"""Completions made shorter or longer than the model wanted: cut, its thinking ended for it, or made to think again.

Budget forcing is that of s1 (Muennighoff et al., arXiv:2501.19393): where the thinking budget ends, the end of thinking
is appended and the model answers; where the model ends its thinking early, that end is taken away and "Wait" appended.
A forced completion is one new request whose prompt holds what was written so far, so any engine can make it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlvr.data.chat import stop_token_ids
from rlvr.data.synthetic.forms import THINK_CLOSE, THINK_OPEN
from rlvr.engines.base import Request, Sampling
from rlvr.models.policy import context_length
from rlvr.stages.parts import Parts
from rlvr.types import Completion, IntArray, Task, Verdict, read_only
from rlvr.verifiers.extract import after_thinking

AGAIN = "\nWait"
"""What is written where the thinking would have ended."""
PURPOSE = "evaluate-forced"
Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Begun:
    """A completion to go on with: its task's prompt, what it keeps of what was written, what is inserted after it.

    `draw_index` is its own random key.
    """

    draw_index: int
    prompt_ids: IntArray
    kept: Completion
    inserted: IntArray


def cut(tokenizer: Any, completion: Completion, tokens: int) -> Completion:
    """Gives the completion as it would be with that limit of tokens: the same up to there."""
    if len(completion.token_ids) <= tokens:
        return completion
    return Completion(
        token_ids=read_only(completion.token_ids[:tokens], np.int64),
        logprobs=read_only(completion.logprobs[:tokens], np.float32),
        trainable=read_only(completion.trainable[:tokens], np.bool_),
        text=_text(tokenizer, completion.token_ids[:tokens].tolist()),
        finish="length",
        policy_version=completion.policy_version,
    )


def thinking_tokens(tokenizer: Any, prompt_ids: IntArray, completion: Completion) -> int | None:
    """Gives how many tokens come before the end of the thinking, all where it does not end; None without thinking."""
    opened = _text(tokenizer, prompt_ids[-8:].tolist()).rstrip().endswith(THINK_OPEN)
    text = THINK_OPEN * opened + completion.text
    if THINK_CLOSE in completion.text:
        end = completion.text.index(THINK_CLOSE)
        return _tokens_before(tokenizer, completion.token_ids.tolist(), end)
    return len(completion.token_ids) if after_thinking(text) is None else None


def ended_at(
    tokenizer: Any, prompt_ids: IntArray, completion: Completion, *, budget: int, draw_index: int
) -> Begun | None:
    """Gives the completion with its thinking ended after `budget` tokens, to be gone on with from there.

    None where its thinking ends within them, or it does not think.
    """
    thought = thinking_tokens(tokenizer, prompt_ids, completion)
    if thought is None or thought < budget or (thought == budget and THINK_CLOSE in completion.text):
        return None
    return Begun(draw_index, prompt_ids, cut(tokenizer, completion, budget), _ids(tokenizer, THINK_CLOSE))


def made_to_go_on(tokenizer: Any, prompt_ids: IntArray, completion: Completion, *, draw_index: int) -> Begun | None:
    """Gives the completion without the end of its thinking, with AGAIN in its place; None where it has no such end."""
    thought = thinking_tokens(tokenizer, prompt_ids, completion)
    if thought is None or THINK_CLOSE not in completion.text:
        return None
    return Begun(draw_index, prompt_ids, cut(tokenizer, completion, thought), _ids(tokenizer, AGAIN))


def go_on(parts: Parts, begun: Sequence[Begun], *, temperature: float, max_tokens: int, seed: int) -> list[Completion]:
    """Gives each completion with up to `max_tokens` more, fewer where the context ends; what has no room stays cut."""
    context = context_length(parts.policy)
    prompts = [np.concatenate([one.prompt_ids, one.kept.token_ids, one.inserted]) for one in begun]
    fitting = [number for number, ids in enumerate(prompts) if len(ids) < context]
    made = [one.kept for one in begun]
    if not fitting:
        return made
    engine = parts.make_engine(min(context, max(len(prompts[number]) for number in fitting) + max_tokens))
    engine.load_weights(parts.policy, version=0)
    stops = stop_token_ids(parts.tokenizer)
    sampling = Sampling(temperature, max_tokens, stops, seed, PURPOSE)
    engine.submit([Request(n, begun[n].draw_index, read_only(prompts[n], np.int64), 1, sampling) for n in fitting])
    while engine.has_work:
        for finished in engine.step():
            number = finished.request_id
            made[number] = _joined(parts.tokenizer, begun[number], finished.completion, stops)
    return made


def judge(parts: Parts, asked: Sequence[tuple[Task, Sequence[Completion]]]) -> list[list[Verdict]]:
    """Gives the verdicts on completions that no engine hands over."""

    async def all_of_them() -> list[list[Verdict]]:
        found = await asyncio.gather(*(parts.scores.score(task, completions) for task, completions in asked))
        await parts.scores.settle()
        return list(found)

    return asyncio.run(all_of_them())


def _joined(tokenizer: Any, begun: Begun, more: Completion, stops: Ids) -> Completion:
    kept, middle = begun.kept, len(begun.inserted)
    ids = np.concatenate([kept.token_ids, begun.inserted, more.token_ids])
    shown = ids[:-1] if more.finish == "stop" and int(ids[-1]) in stops else ids
    return Completion(
        token_ids=read_only(ids, np.int64),
        logprobs=read_only(np.concatenate([kept.logprobs, np.zeros(middle), more.logprobs]), np.float32),
        trainable=read_only(np.concatenate([kept.trainable, np.zeros(middle, bool), more.trainable]), np.bool_),
        text=_text(tokenizer, shown.tolist()),
        finish=more.finish,
        policy_version=more.policy_version,
    )


def _tokens_before(tokenizer: Any, ids: Ids, characters: int) -> int:
    """Gives the most tokens whose text is no longer than that."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _shorter(tokenizer, ids[:middle], characters) else (low, middle - 1)
    return low


def _shorter(tokenizer: Any, ids: Ids, characters: int) -> bool:
    return len(_text(tokenizer, ids)) <= characters


def _text(tokenizer: Any, ids: Ids) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _ids(tokenizer: Any, text: str) -> IntArray:
    return read_only(tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
