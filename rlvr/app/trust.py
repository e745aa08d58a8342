"""Which verifier judges what a recipe's tasks ask, how far it is trusted, and the error rates that an audit found."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvr.config.schema import Recipe, VerifierConfig
from rlvr.errors import RecipeError
from rlvr.types import Check, Task
from rlvr.verifiers.judge.judge import version_of
from rlvr.verifiers.judge.settings import settings_from
from rlvr.verifiers.table import JUDGE, VERSIONS

RATES = ("false_accept_rate", "false_reject_rate")


def with_named_verifiers(recipe: Recipe, items: Sequence[Any]) -> list[Any]:
    """Gives the items, tasks with the verifier that the recipe names for their check, where it names one."""
    named = {entry.check: entry.name for entry in recipe.verifier if entry.name}
    return [
        replace(item, verifier=named[item.check]) if isinstance(item, Task) and item.check in named else item
        for item in items
    ]


def weights_of(recipe: Recipe) -> dict[Check, float]:
    """Gives by check what the advantages of its tasks are multiplied by.

    "audited" is 1 minus the upper bounds of both error rates: with a share a of wrong answers accepted and a share r of
    right ones rejected, the mean outcomes of right and wrong answers lie 1 - a - r apart, instead of 1 (Youden's J).

    Raises RecipeError for an audit that cannot be read, or by which nothing can be told.
    """
    return {entry.check: _weight(entry, read_audit(entry) if entry.audit else {}) for entry in recipe.verifier}


def audits_of(recipe: Recipe) -> dict[str, Any]:
    """Gives by check what is recorded of its audit: the verifier, its version and its error rates."""
    kept = ("verifier", "version", "cases", *RATES)
    return {
        entry.check: {"file": entry.audit, **{key: read[key] for key in kept if key in read}}
        for entry in recipe.verifier
        if entry.audit and (read := read_audit(entry))
    }


def versions_of(recipe: Recipe) -> dict[str, str]:
    """Gives the version of every verifier of the house, and of the recipe's judge where it has one."""
    return {**VERSIONS, **({JUDGE: version_of(settings_from(recipe.judge))} if recipe.judge else {})}


def check_audits(recipe: Recipe) -> None:
    """Raises RecipeError where an audit is missing, of another verifier, or of another version of it."""
    versions = versions_of(recipe)
    for entry in recipe.verifier:
        if not entry.audit:
            continue
        read = read_audit(entry)
        _weight(entry, read)
        verifier, version = read.get("verifier"), read.get("version")
        again = f"rlvr audit {entry.name or verifier} --output {entry.audit}"
        if entry.name and verifier != entry.name:
            raise RecipeError(
                f"{entry.audit} is the audit of {verifier!r}, the recipe names {entry.name!r}", hint=again
            )
        now = versions.get(str(verifier))
        if now is not None and version != now:
            raise RecipeError(f"{entry.audit} is an audit of {version}, the verifier is now {now}", hint=again)


def read_audit(entry: VerifierConfig) -> dict[str, Any]:
    """Gives what `rlvr audit --output` wrote. Raises RecipeError for a file that is none of its."""
    hint = f"rlvr audit {entry.name or 'NAME'} --output {entry.audit}"
    try:
        read = json.loads(Path(entry.audit).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"the audit {entry.audit} cannot be read: {error}", hint=hint) from error
    if not isinstance(read, dict) or "verifier" not in read:
        raise RecipeError(f"{entry.audit} is no audit of a verifier", hint=hint)
    return read


def _weight(entry: VerifierConfig, read: dict[str, Any]) -> float:
    if entry.weight != "audited":
        return entry.weight
    highs = [_high(entry, read, name) for name in RATES]
    weight = 1.0 - math.fsum(highs)
    if weight <= 0:
        raise RecipeError(
            f"by {entry.audit} up to {highs[0]:.0%} of wrong answers are accepted and up to {highs[1]:.0%} of right "
            "ones rejected: such a verifier says nothing",
            hint="audit more cases, take a better verifier, or give a weight of your own",
        )
    return weight


def _high(entry: VerifierConfig, read: dict[str, Any], name: str) -> float:
    rate = read.get(name)
    high = rate.get("high") if isinstance(rate, dict) else None
    if not isinstance(high, int | float) or not 0 <= high <= 1:
        raise RecipeError(
            f'{entry.audit} has no {name} with an upper bound, which weight = "audited" needs',
            hint="audit with right and with wrong answers, or give a weight of your own",
        )
    return float(high)
