"""How strong the isolation of model-written code is on this machine: what a run leaves out, `rlvr sandbox check`."""

import json
from dataclasses import replace
from typing import Any

from rlvr.config.reading import Resolved
from rlvr.errors import VerifierError
from rlvr.verifiers.sandbox.levels import LOWEST_ALLOWED, Assessment, assess

KEYS = (
    "level", "name", "allowed", "statement", "mechanisms", "not_enforced", "kernel", "landlock_abi", "uid", "python",
    "self_test", "reasons", "hint",
)  # fmt: skip
"""Of the check as JSON; null where no sandbox can be started."""


def fitted(resolved: Resolved) -> Resolved:
    """Gives the recipe with data marked `where_sandboxed` left out where model-written code cannot be kept in.

    What was left out already stays so. A sandbox service, or leave to run it unsafely, leaves nothing out.
    """
    if resolved.recipe.sandbox.url or resolved.recipe.sandbox.allow_unsafe_execution:
        return resolved
    return replace(resolved, left_out=resolved.left_out or _weakness()) if resolved.marked else resolved


def left_out_line(resolved: Resolved) -> str:
    """Says what is left out and why; empty where nothing is."""
    return f"left out: {', '.join(resolved.marked)}, because {resolved.left_out}" if resolved.left_out else ""


def _weakness() -> str:
    """Gives why model-written code is not run here, and what to type; empty where it can be."""
    try:
        found = assess()
    except VerifierError as error:
        return f"{error.message}; {error.hint}" if error.hint else error.message
    if found.is_allowed:
        return ""
    need = f"sandbox level {LOWEST_ALLOWED} is needed for model-written code and this machine has {found.level}"
    return f"{need}; {found.hint}" if found.hint else need


def check(*, as_json: bool) -> bool:
    """Attacks the sandbox of this machine, prints what was found and gives whether it is allowed.

    Raises VerifierError where none can be started; as JSON that is an object too.
    """
    try:
        found = assess()
    except VerifierError as error:
        if not as_json:
            raise
        nothing = {"level": 0, "allowed": False, "statement": error.message, "hint": error.hint}
        print(json.dumps({**dict.fromkeys(KEYS), **nothing}, indent=1))
        return False
    print_check(found, as_json=as_json)
    return found.is_allowed


def print_check(found: Assessment, *, as_json: bool) -> None:
    """Prints the level in one line, then what the self-test tried; as JSON on request."""
    if as_json:
        print(json.dumps(as_data(found), indent=1))
        return
    print(found.statement())
    for probe in found.probes:
        word = "held" if probe.held else "NOT held"
        print(f"  {word}: {probe.what} ({probe.said})")
    for reason in found.reasons:
        print(f"not higher because of {reason}")
    if not found.is_allowed:
        print("refused: model-written code is not run here unless allow_unsafe_execution is given")
    if found.hint:
        print(f"hint: {found.hint}")


def as_data(found: Assessment) -> dict[str, Any]:
    """Gives what the check found as plain data."""
    return {
        "level": found.level,
        "name": found.name,
        "allowed": found.is_allowed,
        "statement": found.statement(),
        "mechanisms": list(found.mechanisms),
        "not_enforced": list(found.not_enforced),
        "kernel": found.kernel,
        "landlock_abi": found.landlock_abi,
        "uid": found.uid,
        "python": found.interpreter.version,
        "self_test": [{"what": probe.what, "held": probe.held, "said": probe.said} for probe in found.probes],
        "reasons": list(found.reasons),
        "hint": found.hint,
    }
