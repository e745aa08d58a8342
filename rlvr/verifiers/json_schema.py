"""JSON that satisfies a schema (draft 2020-12), checked in a worker; nothing is fetched."""

import json
import math
import re
import sys
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.pool import shared
from rlvr.verifiers.pooled import judged_in_pool
from rlvr.verifiers.reference import answered, read_reference
from rlvr.verifiers.worker_handle import Reply

VERSION = "json_schema-2"
CPU_SECONDS = 2.0
WAIT_SECONDS = 600.0
MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 100
"""Lists and objects inside one another; what is nested deeper is "wrong_format"."""
RECURSION_LIMIT = 20_000
"""Of the worker: enough for MAX_DEPTH, so that only a schema that leads in a circle passes it."""

_KEYS = {"schema": dict}
_BRACKET = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n```\s*", re.DOTALL)


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"schema": {…}, "slot": …}, the schema itself a valid one."""
    read = read_reference(reference, _KEYS, required=("schema",))
    if isinstance(read, str):
        return read
    reply = shared().submit(f"{__name__}:schema_fault", read["schema"], cpu_seconds=CPU_SECONDS).result(WAIT_SECONDS)
    return (
        reply.value if reply.kind == "value" else f"the schema cannot be checked: {reply.kind} {reply.error}".rstrip()
    )


async def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer is one JSON value that satisfies the schema; a fence of ```json may enclose it.

    The reference is {"schema": {…}, "slot": …}, the slot "whole" by default. No JSON, a key given twice, NaN,
    infinities, a number that cannot be calculated with and more than MAX_DEPTH levels are status "wrong_format".
    """
    if isinstance(read_reference(task.reference, _KEYS, required=("schema",)), str):
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="whole", version=VERSION, max_characters=MAX_CHARACTERS)
    if isinstance(answer, Verdict):
        return answer
    fenced = _FENCE.fullmatch(answer)
    payload = {"schema": task.reference["schema"], "text": fenced[1] if fenced else answer}

    def read(reply: Reply) -> Verdict:
        status, outcome = reply.value
        return Verdict(outcome, status, answer[:200], path="pool", seconds=reply.seconds, version=VERSION)

    return await judged_in_pool(
        f"{__name__}:check", payload, cpu_seconds=CPU_SECONDS, extracted=answer[:200], version=VERSION, read=read
    )


def check(payload: dict[str, Any]) -> tuple[str, float | None]:
    """Gives the status and the outcome of payload["text"] by payload["schema"]; runs in a worker.

    What the text does is its own fault, what the schema cannot do is not: else a text could make itself untold.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    if _depth(payload["text"]) > MAX_DEPTH:
        return "wrong_format", 0.0
    try:
        value = json.loads(payload["text"], object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return "wrong_format", 0.0
    try:
        return "ok", float(_validator(payload["schema"]).is_valid(value))
    except ArithmeticError:  # a whole number that no float can hold, to be divided by one
        return "wrong_format", 0.0
    except Exception:  # a reference that leads nowhere or in a circle, a pattern that cannot be read
        return "bad_reference", None


def _depth(text: str) -> int:
    """Gives how many brackets of JSON are open at once at most, those in strings aside."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    return deepest


def schema_fault(schema: dict[str, Any]) -> str | None:
    """Gives what is wrong with a schema, or None; runs in a worker."""
    from jsonschema.exceptions import SchemaError

    validator = _validator(schema)
    try:
        validator.check_schema(schema)
        validator.is_valid(None)
    except SchemaError as error:
        return f"the schema is not valid: {error.message[:200]}"
    except Exception as error:  # a reference that leads nowhere, or in a circle
        return f"the schema cannot be used: {type(error).__name__}: {str(error)[:200]}"
    return None


def _validator(schema: dict[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    return Draft202012Validator(schema, registry=Registry())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
