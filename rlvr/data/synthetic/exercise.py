"""One exercise of a generated domain: what is asked, how it is worked, and how it is checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Frame = Literal["box", "fence", "line"]
"""What an answer stands in: a box, a fenced block of Python, or nothing but its own line."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """A question with its whole solution.

    `lines` is the working, empty where there is none to write. `answer` is what a completion ends with, in its `frame`;
    a "line" is the whole text after the thinking part. `rung` is its place on the domain's ladder, from 1. `key` is the
    same for exercises that differ in wording only: train and evaluation are split by its hash.
    """

    question: str
    lines: tuple[str, ...]
    answer: str
    frame: Frame
    reference: Any
    verifier: str
    rung: int
    key: str


class Domain(Protocol):
    """Gives endless (index, exercise) of a split; exercise `index` of (purpose, seed) is the same whoever asks.

    Rungs from `min_rung` to `max_rung` are equally likely; if `written`, as likely as in written text, where the
    easy ones are many and the hard ones few.
    """

    def __call__(
        self, split: str, *, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
    ) -> Iterator[tuple[int, Exercise]]: ...
