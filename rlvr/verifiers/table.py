"""Every verifier by its name in a task."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers import (
    choice,
    code,
    exact,
    gym,
    json_schema,
    math,
    numeric,
    refusal,
    regex,
    string_set,
)
from rlvr.verifiers.instructions import verify as instructions
from rlvr.verifiers.judge import screening

Verifier = Callable[[Task, Completion], Verdict | Awaitable[Verdict]]
"""A plain or an async function from a task and a completion to a verdict."""

VERIFIERS: Mapping[str, Verifier] = {
    "choice": choice.verify,
    "code": code.verify,
    "exact": exact.verify,
    "gym": gym.verify,
    "instructions": instructions.verify,
    "json_schema": json_schema.verify,
    "math": math.verify,
    "numeric": numeric.verify,
    "refusal": refusal.verify,
    "regex": regex.verify,
    "string_set": string_set.verify,
}
"""Verifiers of the house; any other is named by its import path, "package.module:function"."""

JUDGE = "judge"
"""The name of the one verifier that needs settings first; see `make_scorer`."""


REFERENCE_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "choice": choice.check_reference,
    "code": code.check_reference,
    "exact": exact.check_reference,
    "gym": gym.check_reference,
    "instructions": instructions.check_reference,
    "json_schema": json_schema.check_reference,
    JUDGE: screening.check_reference,
    "math": math.check_reference,
    "numeric": numeric.check_reference,
    "refusal": refusal.check_reference,
    "regex": regex.check_reference,
    "string_set": string_set.check_reference,
}
"""For each verifier a function that gives what is wrong with a reference, or None."""

VERSIONS: Mapping[str, str] = {
    "choice": choice.VERSION,
    "code": code.VERSION,
    "exact": exact.VERSION,
    "gym": gym.VERSION,
    "instructions": instructions.VERSION,
    "json_schema": json_schema.VERSION,
    "math": math.VERSION,
    "numeric": numeric.VERSION,
    "refusal": refusal.VERSION,
    "regex": regex.VERSION,
    "string_set": string_set.VERSION,
}
"""The version of each verifier of the house, for a run's provenance."""
