"""Random numbers by name: every draw is a function of (seed, purpose, counters), never of what was drawn before.

So a draw does not depend on batch, order, worker or restart. The generator is SplitMix64's finalizer (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", 2014) applied once per counter, vectorised over numpy arrays.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _purpose_key(purpose: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little"))


def bits(seed: int, purpose: str, *counters: Any) -> npt.NDArray[np.uint64]:
    """Gives 64 random bits per element of the broadcast integer `counters` (none: one element)."""
    with np.errstate(over="ignore"):
        state = _mix(np.asarray(np.uint64(seed % 2**64) + _purpose_key(purpose)) * _GOLDEN)
        for counter in counters:
            state = _mix((state ^ np.asarray(counter).astype(np.uint64)) + _GOLDEN)
        return state


def uniform(seed: int, purpose: str, *counters: Any) -> npt.NDArray[np.float64]:
    """Gives numbers in [0, 1) with 53 random bits, one per element of the broadcast `counters`."""
    return (bits(seed, purpose, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(seed: int, purpose: str, high: int, *counters: Any) -> npt.NDArray[np.int64]:
    """Gives integers in [0, high), high <= 2**32; the bias is below 2**-20."""
    return (uniform(seed, purpose, *counters) * high).astype(np.int64)


def permutation(seed: int, purpose: str, epoch: int, size: int) -> npt.NDArray[np.int64]:
    """Gives an order of range(size) for that epoch."""
    return np.argsort(bits(seed, purpose, epoch, np.arange(size)), kind="stable")
