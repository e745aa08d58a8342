"""Answers of a checkpoint on this machine, in words: the engine's token ids stay here."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rlvr.config.data import CHAT
from rlvr.data.chat import encode_prompt, stop_token_ids
from rlvr.engines.base import Answer, Asking, Engine, Question, Request, Sampling
from rlvr.models.policy import context_length
from rlvr.stages.parts import encoder
from rlvr.training.intake import take_in
from rlvr.types import Task


class LocalAnswerer:
    """Answers questions with an engine on `policy`, in the chat template of `tokenizer`.

    `make_engine(completions, max_length)` gives an engine for so many completions at once.
    """

    def __init__(self, policy: Any, tokenizer: Any, make_engine: Callable[[int, int], Engine]) -> None:
        self._policy = policy
        self._tokenizer = tokenizer
        self._make_engine = make_engine

    def fitting(self, tasks: Sequence[Task], asking: Asking) -> tuple[list[Task], list[str]]:
        """Gives the tasks whose prompt leaves room for an answer, and a line for those that do not.

        Raises DataError where none does.
        """
        intake = take_in(
            tasks,
            encode=encoder(self._tokenizer, CHAT),
            context_tokens=context_length(self._policy),
            max_completion_tokens=asking.max_tokens,
            check_references=lambda given: [None] * len(given),
        )
        return list(intake.tasks), list(intake.left_out)

    def answers(self, questions: Sequence[Question], asking: Asking) -> Iterator[Answer]:
        """Yields every sample of every question as it comes."""
        sampling = Sampling(
            asking.temperature, asking.max_tokens, stop_token_ids(self._tokenizer), asking.seed, "evaluate"
        )
        requests = [
            Request(q.id, q.id, encode_prompt(self._tokenizer, q.messages), asking.num_samples, sampling)
            for q in questions
        ]
        if not requests:
            return
        longest = max(len(request.prompt_ids) for request in requests)
        engine = self._make_engine(len(requests) * asking.num_samples, longest + asking.max_tokens)
        engine.submit(requests)
        while engine.has_work:
            for done in engine.step():
                made = done.completion
                yield Answer(done.request_id, done.sample_index, made.text, made.finish, len(made.token_ids))
