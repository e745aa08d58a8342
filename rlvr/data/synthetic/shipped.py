"""Exercises of reasoning-gym as its authors ship them, with a working that we write beside them."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from rlvr.data import gym
from rlvr.data.synthetic.exercise import Exercise

NUM_DIFFERENT = {"document": 30000, "demonstration": 2000, "preference": 2000, "task": 2000}
"""How many different exercises are asked of a generator, by purpose; after these they come again."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "chain_sum": {"min_terms": 2, "max_terms": 8, "min_digits": 1, "max_digits": 1},
    "spell_backward": {},
}
"""How each generator is configured for what is written out; empty: as it is shipped."""


def exercises(
    name: str, split: str, *, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
) -> Iterator[tuple[int, Exercise]]:
    """Gives endless exercises of a generator of WORKINGS, in its own order and with its own distribution."""
    found = _shipped(name, split, purpose, seed)
    for index in itertools.count():
        yield index, found[index % len(found)]


@lru_cache(maxsize=8)
def _shipped(name: str, split: str, purpose: str, seed: int) -> tuple[Exercise, ...]:
    # Its own seed for each purpose, or demonstrations would be the documents again.
    own_seed = seed * 8 + list(NUM_DIFFERENT).index(purpose)
    rows = gym.tasks(split, name=name, limit=NUM_DIFFERENT[purpose], seed=own_seed, instruction="", **OPTIONS[name])
    return tuple(
        Exercise(
            question=task.messages[-1]["content"],
            lines=WORKINGS[name](task.messages[-1]["content"]),
            answer=str(task.reference["entry"]["answer"]),
            frame="box",
            reference=task.reference,
            verifier="gym",
            rung=1,
            key=task.id,
        )
        for task in rows
    )


def _sum_lines(question: str) -> tuple[str, ...]:
    """Each sum or difference of the total so far and the next term."""
    first, *rest = re.findall(r"[+-]|\d+", question.rpartition(":")[2])
    total, lines = int(first), []
    for op, term in zip(rest[0::2], rest[1::2], strict=True):
        result = total + int(term) if op == "+" else total - int(term)
        lines.append(f"{total}{op}{term}={result}")
        total = result
    return tuple(lines)


def _letter_lines(question: str) -> tuple[str, ...]:
    """The word letter by letter, and the letters from the last to the first."""
    word = question.rpartition(":")[2].strip()
    return (" ".join(word), " ".join(reversed(word)))


WORKINGS: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "chain_sum": _sum_lines,
    "spell_backward": _letter_lines,
}
"""The working of each generator's exercises, from the question."""
