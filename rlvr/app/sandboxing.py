"""`rlvr sandbox check`: how strong the isolation of model-written code is on this machine."""

import json
from typing import Any

from rlvr.verifiers.sandbox.levels import Assessment


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
