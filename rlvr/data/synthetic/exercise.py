"""One exercise of a generated domain: what is asked, how it is worked, and how it is checked."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from rlvr.data.split import split_of
from rlvr.data.synthetic.dice import Dice
from rlvr.errors import DataError

T = TypeVar("T")

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


def drawn(
    split: str,
    name: str,
    seed: int,
    weights: Sequence[tuple[float, int]],
    make: Callable[[Dice, int], T],
    key: Callable[[T], str],
    *,
    written: bool,
) -> Iterator[tuple[int, T]]:
    """Gives endless (index, made) of that split, each made on a rung with the dice of its index under `name`.

    `weights` are (how often written text has it, rung) in order; if not `written`, all their rungs are equally likely.

    Raises DataError where written text has none of the rungs.
    """
    lowest, highest = weights[0][1], weights[-1][1]
    if written and not any(weight for weight, _ in weights):
        raise DataError(f"no written text has rungs {lowest} to {highest} of {name}", hint="a smaller min_rung")
    for index in itertools.count():
        dice = Dice(seed, name, index)
        found = make(dice, dice.weighted(weights) if written else dice.between(lowest, highest))
        if split_of(key(found)) == split:
            yield index, found
