"""Random choices for one generated item, each a function of (seed, purpose, item index, position)."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from rlvr import keyed

T = TypeVar("T")

_BLOCK = 64


class Dice:
    """Gives one random choice after another; the same (seed, purpose, index) gives the same row of choices."""

    def __init__(self, seed: int, purpose: str, index: int) -> None:
        self._key = (seed, purpose, index)
        self._values: list[float] = []
        self._taken = 0

    def uniform(self) -> float:
        """Gives a number in [0, 1)."""
        if self._taken == len(self._values):
            seed, purpose, index = self._key
            positions = np.arange(self._taken, self._taken + _BLOCK)
            self._values.extend(keyed.uniform(seed, purpose, index, positions).tolist())
        self._taken += 1
        return self._values[self._taken - 1]

    def chance(self, probability: float) -> bool:
        """Gives True with that probability."""
        return self.uniform() < probability

    def between(self, low: int, high: int) -> int:
        """Gives an integer in [low, high], both ends included."""
        return low + int(self.uniform() * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        """Gives one of the choices, each as likely."""
        return choices[int(self.uniform() * len(choices))]

    def weighted(self, choices: Sequence[tuple[float, T]]) -> T:
        """Gives one of the (weight, choice) rows with a probability proportional to its weight."""
        left = self.uniform() * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][1]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Gives `count` different choices in random order."""
        pool = list(choices)
        return [pool.pop(int(self.uniform() * len(pool))) for _ in range(count)]
