"""What a judge is: the model behind an endpoint, how it is asked, and what it may cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from rlvr.errors import UsageError
from rlvr.verifiers.judge.wire import check_address, key_from

MIN_CANARIES = 8
"""So many canaries have to be judged before a judge is refused for them."""


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """One judge. `base_url` ends before "/chat/completions"; `api_key_env` names the variable that holds the key.

    `request_fields` are put into each request's body over our own (for instance {"max_tokens": None,
    "max_completion_tokens": 2000}; None leaves a field out); they are part of the judge's identity: no secrets there.
    `structured` asks for a reply by JSON schema; not every server knows that. `timeout_seconds` is for one request,
    `deadline_seconds` for a verdict with its retries, the wait for its turn excluded. `retries` counts transport
    trouble other than a busy server's, `rereadings` replies that hold no verdict. 0 requests or tokens per minute is no
    limit, an empty `cache_path` no cache. `canary_rate` of the questions that reach the model is asked again with an
    answer that must not score `canary_alarm_outcome` or more; above `max_canary_rate` of MIN_CANARIES or more such
    answers a judge is refused. Prices are per million tokens, in any currency.
    """

    model: str
    base_url: str
    api_key_env: str = ""
    temperature: float = 0.0
    max_reply_tokens: int = 1024
    structured: bool = False
    request_fields: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 60.0
    deadline_seconds: float = 240.0
    retries: int = 5
    rereadings: int = 1
    concurrency: int = 16
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    cache_path: str = ""
    canary_rate: float = 0.01
    canary_alarm_outcome: float = 0.5
    price_in_per_million: float = 0.0
    price_out_per_million: float = 0.0
    max_canary_rate: float = 0.2
    min_answer_characters: int = 1
    max_answer_characters: int = 4000
    seed: int = 0


_AT_LEAST: Mapping[str, float] = {
    "temperature": 0.0,
    "max_reply_tokens": 1,
    "timeout_seconds": 0.001,
    "deadline_seconds": 0.001,
    "retries": 0,
    "rereadings": 0,
    "concurrency": 1,
    "requests_per_minute": 0.0,
    "tokens_per_minute": 0.0,
    "canary_rate": 0.0,
    "canary_alarm_outcome": 0.0,
    "max_canary_rate": 0.0,
    "price_in_per_million": 0.0,
    "price_out_per_million": 0.0,
    "min_answer_characters": 1,
    "max_answer_characters": 1,
}
_AT_MOST: Mapping[str, float] = {"canary_rate": 1.0, "canary_alarm_outcome": 1.0, "max_canary_rate": 1.0}


def settings_from(values: Mapping[str, Any]) -> JudgeSettings:
    """Gives the settings of a table such as a recipe's [judge]. Raises UsageError for an unknown key or wrong type."""
    known = {item.name: item for item in fields(JudgeSettings)}
    for name, value in values.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            raise UsageError(
                f"the judge has no setting {name!r}",
                hint=f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}",
            )
        kind, wanted = _kind(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(
                f"the judge's {name} is {value!r}, a {type(value).__name__}; expected {wanted}",
                hint=f"set {name} in [judge], or --judge {name}=…",
            )
    for name in ("model", "base_url"):
        if name not in values:
            raise UsageError(f"the judge has no {name}", hint=f'[judge] {name} = "…", or --judge {name}=…')
    return JudgeSettings(**values)


def _kind(name: str) -> tuple[Any, str]:
    """Gives the type of a setting, by its default, and in words; those without a default are texts."""
    if name == "request_fields":
        return Mapping, "a table"
    default = getattr(JudgeSettings("", ""), name)
    if isinstance(default, bool):
        return bool, "true or false"
    if isinstance(default, float):
        return int | float, "a number"
    return (int, "a whole number") if isinstance(default, int) else (str, "text")


def check_settings(settings: JudgeSettings) -> None:
    """Raises UsageError where a judge cannot work as described; a missing key is found by `api_key`."""
    if not settings.model.strip():
        raise UsageError("the judge has no model", hint='give the name that the endpoint knows, as model = "…"')
    check_address(settings.base_url, "the judge's base_url", 'for instance base_url = "http://localhost:8000/v1"')
    for name, least in _AT_LEAST.items():
        value, most = getattr(settings, name), _AT_MOST.get(name, math.inf)
        if not (math.isfinite(value) and least <= value <= most):
            expected = f"at least {least:g}" if most == math.inf else f"a number from {least:g} to {most:g}"
            raise UsageError(f"the judge's {name} is {value!r}; expected {expected}", hint=f"set {name}")


def api_key(settings: JudgeSettings) -> str:
    """Gives the endpoint's key, a stand-in where `api_key_env` is empty. Raises UsageError for an unset variable."""
    return key_from(settings.api_key_env, "the judge")
