"""Every verifier by its name in a task."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers import exact, gym, math
from rlvr.verifiers.instructions import verify as instructions

Verifier = Callable[[Task, Completion], Verdict | Awaitable[Verdict]]
"""A plain or an async function from a task and a completion to a verdict."""

VERIFIERS: Mapping[str, Verifier] = {
    "exact": exact.verify,
    "gym": gym.verify,
    "instructions": instructions.verify,
    "math": math.verify,
}
"""Verifiers of the house; any other is named by its import path, "package.module:function"."""

REFERENCE_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "exact": exact.check_reference,
    "gym": gym.check_reference,
    "instructions": instructions.check_reference,
    "math": math.check_reference,
}
"""For each verifier a function that gives what is wrong with a reference, or None."""

VERSIONS: Mapping[str, str] = {
    "exact": exact.VERSION,
    "gym": gym.VERSION,
    "instructions": instructions.VERSION,
    "math": math.VERSION,
}
"""The version of each verifier of the house, for a run's provenance."""
