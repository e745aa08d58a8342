"""Train or evaluation: decided by the hash of the problem, so that the same problem never lands on both sides."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from rlvr.types import Demonstration, Message, Preference, Task

Split = Literal["train", "evaluation"]

# A paragraph that only says how to hand in the answer differs between data sets, while the problem stays the same.
_ANSWER_INSTRUCTION = re.compile(r"\n[^\n]*\\boxed[^\n]*\Z")


def problem_hash(text: str) -> str:
    """Gives 32 hexadecimal digits (blake2b, 128 bits) of `text` in lower case, each run of white space as one blank."""
    normalised = " ".join(text.lower().split())
    return hashlib.blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def split_of(text: str, *, evaluation_share: float = 0.05) -> Split:
    """Gives the side of the problem `text`: "evaluation" for that share of all hashes, "train" for the rest.

    `evaluation_share` is in [0, 1]; a problem that is evaluation at one share stays so at every larger share.
    """
    assert 0.0 <= evaluation_share <= 1.0, evaluation_share
    position = int(problem_hash(text)[:13], 16) / 16.0**13
    return "evaluation" if position < evaluation_share else "train"


def check_no_overlap(train: Iterable[Task | Demonstration | Preference], evaluation: Iterable[Task]) -> tuple[str, ...]:
    """Gives the ids of the training items, in order, that hold the prompt of an evaluation task.

    The prompt of an evaluation task is its last user turn; any user turn of a training item can match it. System
    turns, letter case, white space and a last line that asks for a `\\boxed{}` answer make no difference.
    """
    prompts = {problem_hash(problem_of(task.messages)) for task in evaluation}
    return tuple(item.id for item in train if not prompts.isdisjoint(_user_turns(item.messages)))


def problem_of(messages: Sequence[Message]) -> str:
    """Gives the problem that a conversation poses: its last user turn without a last line that asks for a `\\boxed{}`.

    Empty where no turn is the user's.
    """
    turns = [message["content"] for message in messages if message["role"] == "user"]
    return without_answer_line(turns[-1]) if turns else ""


def without_answer_line(text: str) -> str:
    """Gives a text without a last line that asks for a `\\boxed{}` answer."""
    return _ANSWER_INSTRUCTION.sub("", text.rstrip())


def _user_turns(messages: Sequence[Message]) -> list[str]:
    return [problem_hash(without_answer_line(m["content"])) for m in messages if m["role"] == "user"]
