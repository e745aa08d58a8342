"""What a judge's reply says: the last verdict that carries the request's code, as a number in [0, 1], or nothing."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.verifiers.extract import after_thinking

MAX_REPLY_CHARACTERS = 50_000

_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_NUMBER = re.compile(r"\s*([+-]?\d{1,15}(?:\.\d{1,15})?)\s*(?:/\s*(\d{1,15}))?\s*")


@dataclass(frozen=True, slots=True)
class Labels:
    """Verdicts that are words, each with its value in [0, 1]."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Verdicts that are numbers from `low` to `high`, which become 0 and 1."""

    low: int
    high: int


Choices = Labels | Scale

MEETS = Labels({"yes": 1.0, "no": 0.0})
BETTER = Labels({"A": 1.0, "B": 0.0, "tie": 0.5})


def read_reply(reply: str, code: str, choices: Choices) -> float | None:
    """Gives the value of the last verdict in `reply`, or None where there is none that is whole and legal.

    A verdict is a JSON object {"code": code, "verdict": …} with each key once; what a reply quotes from an answer
    cannot hold the code. A number beyond the scale counts as its nearer end. A verdict that begins and does not end
    makes the reply unreadable, whatever stands before it.
    """
    said = after_thinking(reply[-MAX_REPLY_CHARACTERS:])
    if said is None:
        return None
    whole = _object(said.strip())
    if whole is not None:
        return _value(whole.get("verdict"), choices) if whole.get("code") == code else None
    last = None
    for match in _FLAT_OBJECT.finditer(said):
        if code in match.group():
            last = match
    if last is None or code in said[last.end() :]:
        return None
    verdict = _object(last.group())
    if verdict is None or verdict.get("code") != code:
        return None
    return _value(verdict.get("verdict"), choices)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _value(verdict: Any, choices: Choices) -> float | None:
    if isinstance(choices, Labels):
        said = verdict.strip().casefold() if isinstance(verdict, str) else None
        return next((value for label, value in choices.values.items() if label.casefold() == said), None)
    number = _number(verdict, choices)
    if number is None or not math.isfinite(number):
        return None
    return min(1.0, max(0.0, (number - choices.low) / (choices.high - choices.low)))


def _number(verdict: Any, scale: Scale) -> float | None:
    """Gives the number that a verdict is or spells: 8, 8.5, "8" and, on a scale up to 10, "8/10"."""
    if isinstance(verdict, str) and (spelled := _NUMBER.fullmatch(verdict)):
        of = spelled.group(2)
        return float(spelled.group(1)) if of is None or int(of) == scale.high else None
    if isinstance(verdict, bool) or not isinstance(verdict, int | float):
        return None
    try:
        return float(verdict)
    except OverflowError:
        return 1e300 if verdict > 0 else -1e300
