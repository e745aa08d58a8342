"""One constraint: the check, and its arguments by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rlvr.verifiers.instructions.arguments import Argument


@dataclass(frozen=True, slots=True)
class Constraint:
    """A check of a visible, stripped text that is not empty, and what its keyword arguments have to be."""

    check: Callable[..., bool]
    arguments: Mapping[str, Argument] = field(default_factory=dict)


def compared(count: int, relation: str, limit: int) -> bool:
    """Gives whether a count is "less than" or "at least" the limit."""
    return count < limit if relation == "less than" else count >= limit
