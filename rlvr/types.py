"""What flows through the house.

    Task ──engine──▶ Completion ──verifier──▶ Verdict ──shaping──▶ reward; G of each make a Group
    Group ──filter──▶ Sample ──learner──▶ StepReport

Shape letters: G completions per prompt, T tokens. Long runs of numbers are read-only numpy arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Message = Mapping[str, str]
"""One turn of a conversation: {"role": "system" | "user" | "assistant", "content": text}."""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

Check = Literal["exact", "tested", "constrained", "in_process", "judged", "preferred"]
"""How an answer can be checked, from the surest way to the softest: compared with a reference, run against tests, held
to constraints, run beside tests that it can reach and cheat, judged by a model that reads a rubric, or compared by one
that learnt what people prefer."""

Finish = Literal["stop", "length", "abort"]
Status = Literal[
    "ok",
    "no_answer",
    "wrong_format",
    "hedged",
    "exception",
    "timeout",
    "memory",
    "output_limit",
    "crash",
    "sandbox_failure",
    "bad_row",
    "bad_reference",
    "judge_error",
    "host_error",
]


def read_only(values: Any, dtype: Any) -> npt.NDArray[Any]:
    """Gives a read-only copy of `values` with that dtype."""
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt whose answer a program can check.

    `reference` is opaque JSON that only the named verifier reads. A completion with outcome >= `threshold` is solved.
    `rung` is the task's place on its domain's ladder of difficulty, from 1; 0 where the domain has none. `check` says
    how its answer can be checked.
    """

    id: str
    messages: tuple[Message, ...]
    reference: Any
    verifier: str
    source: str
    domain: str
    threshold: float = 1.0
    rung: int = 0
    check: Check = "exact"


@dataclass(frozen=True, slots=True)
class Document:
    """A text to pretrain on, or to measure perplexity on.

    `prompt` stands before `text`; how much its tokens count is the stage's prompt_weight.
    """

    id: str
    text: str
    domain: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Solution:
    """A task with a published completion that should solve it."""

    task: Task
    text: str

    @property
    def id(self) -> str:
        """The task's."""
        return self.task.id

    @property
    def messages(self) -> tuple[Message, ...]:
        """The task's."""
        return self.task.messages


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A conversation to imitate; the loss covers the assistant's turns only."""

    id: str
    messages: tuple[Message, ...]
    domain: str


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt with a better and a worse completion."""

    id: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    domain: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine made of a prompt.

    `token_ids` int64 [T] includes the stop token where there is one; `logprobs` float32 [T] are the sampler's, at its
    temperature; `trainable` bool [T] is False on tokens that a tool inserted; `text` is the decoded completion without
    the stop token. `finish` is "stop" (a stop token), "length" (the limit) or "abort".
    """

    token_ids: IntArray
    logprobs: FloatArray
    trainable: BoolArray
    text: str
    finish: Finish
    policy_version: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's word on one completion.

    `outcome` in [0, 1] says how right it is, None says that the verifier could not tell. `score` is what a reward
    model gives, unbounded, and the outcome otherwise. `extracted` is the answer that was read, at most 200 characters.
    `path` says how it was judged, where a verifier has several ways ("fast", "algebra", "screened", "judge", …).
    `parts` are what the outcome is made of, numbers and short texts such as what a program printed to standard error.
    """

    outcome: float | None
    status: Status
    extracted: str = ""
    path: str = ""
    score: float | None = None
    parts: Mapping[str, float | str] = field(default_factory=dict)
    seconds: float = 0.0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One task with its G completions, verdicts and rewards, in sample order.

    `draw_index` counts prompts drawn from the stream; `prompt_ids` int64 [T];
    a reward is NaN where the outcome is None.
    """

    task: Task
    draw_index: int
    prompt_ids: IntArray
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]
    rewards: tuple[float, ...]

    @property
    def num_solved(self) -> int:
        """How many completions reach the task's threshold."""
        return sum(v.outcome is not None and v.outcome >= self.task.threshold for v in self.verdicts)

    @property
    def num_scored(self) -> int:
        """How many completions have an outcome at all."""
        return sum(v.outcome is not None for v in self.verdicts)

    @property
    def informative(self) -> bool:
        """Whether some scored completions are solved and some are not: others give no signal to a group baseline."""
        return 0 < self.num_solved < self.num_scored


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence to learn from: prompt and completion joined.

    All arrays are [T]: `token_ids`, `trainable`, the sampler's `logprobs`, the `advantages` and, for a critic, the
    `returns` that it should have foreseen (0 where not trainable). `group_id` is the draw index of its group; `reward`
    is NaN where the verifier could not tell. `domain` is that of its task.
    """

    token_ids: IntArray
    trainable: BoolArray
    logprobs: FloatArray
    advantages: FloatArray
    returns: FloatArray
    reward: float
    group_id: int
    policy_version: int
    domain: str = ""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one learner step did: its loss, named statistics and duration."""

    loss: float
    stats: Mapping[str, float]
    seconds: float
