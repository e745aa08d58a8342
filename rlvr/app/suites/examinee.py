"""Who is examined: a checkpoint on this machine, or a model behind an endpoint."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.app.verifying import read_options
from rlvr.config.reading import Resolved
from rlvr.engines.base import Answerer, Asking
from rlvr.errors import UsageError
from rlvr.runs.publish import mark_of

ENDPOINT = ("http://", "https://")
OWN_WORDS = {"model": "--model NAME", "temperature": "temperature=…", "seed": "seed=…", "messages": "--suite NAME"}
"""Fields of a request that results state, and how they are set instead."""
LIMIT = "max_tokens"
LIMIT_NAMES = ("max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict", "n_predict")
"""What servers call the limit of an answer's tokens, where it is not max_tokens."""


@dataclass(frozen=True, slots=True)
class Examinee:
    """Who is asked: a name, what tells its answers from those of another, who answers, and what trained it here.

    `fields` are sent with each request beside our own; `vouch` is called where it has answered the suite before.
    """

    name: str
    identity: Mapping[str, Any]
    answerer: Answerer
    recipe: Resolved | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    vouch: Callable[[], None] = lambda: None

    def check_fields(self, asking: Asking) -> None:
        """Raises UsageError where the limit that the fields send is not that of `asking`, which results state."""
        named = {name: self.fields[name] for name in LIMIT_NAMES if self.fields.get(name) is not None}
        hint = f"--field {LIMIT}=null --field {next(iter(named), LIMIT_NAMES[0])}={asking.max_tokens}"
        if other := [f"{name}={value}" for name, value in named.items() if value != asking.max_tokens]:
            raise UsageError(
                f"--field {other[0]} is another limit than max_completion_tokens={asking.max_tokens} of the suite",
                hint=hint,
            )
        if LIMIT in self.fields and not named:
            raise UsageError(f"without {LIMIT} no limit of {asking.max_tokens} tokens would be sent", hint=hint)


def examinee_of(options: argparse.Namespace) -> Examinee:
    """Gives who the command line names. Raises UsageError for options of the other kind, ModelError for no model."""
    if options.checkpoint.startswith(ENDPOINT):
        return _endpoint(options)
    given = [
        flag
        for flag, value in (
            ("--model", options.model), ("--api-key-env", options.api_key_env), ("--field", options.field),
        )
        if value
    ]  # fmt: skip
    if given:
        raise UsageError(
            f"{given[0]} is for an endpoint, and {options.checkpoint} is none",
            hint=f"rlvr evaluate http://localhost:8000/v1 {given[0]} … --suite NAME",
        )
    return _checkpoint(Path(options.checkpoint))


def _endpoint(options: argparse.Namespace) -> Examinee:
    from rlvr.engines.endpoint import Endpoint, EndpointSettings

    fields = read_options(options.field, "--field")
    _check_own_words(fields)
    settings = EndpointSettings(options.checkpoint, options.model, options.api_key_env, fields)
    identity = {"endpoint": settings.base_url, "model": settings.model, "fields": fields}
    endpoint = Endpoint(settings)
    name = f"{settings.model} at {settings.base_url}"
    return Examinee(name, identity, endpoint, None, fields, endpoint.vouch)


def _check_own_words(fields: Mapping[str, Any]) -> None:
    """Raises UsageError for a field that results state otherwise; a server that takes no seed may be sent none."""
    for name, hint in OWN_WORDS.items():
        if name in fields and not (name == "seed" and fields[name] is None):
            raise UsageError(f"--field {name} would be sent in the place of what the results state", hint=hint)
    if fields.get(LIMIT) is not None:
        raise UsageError(
            f"--field {LIMIT} would be sent in the place of what the results state", hint="max_completion_tokens=…"
        )


def _checkpoint(path: Path) -> Examinee:
    from rlvr.app.measuring import recipe_of
    from rlvr.app.wiring import make_engine
    from rlvr.models.policy import load_policy, pick_device
    from rlvr.stages.suites.local import LocalAnswerer

    policy = load_policy(path, device=pick_device("auto"))
    answerer = LocalAnswerer(
        policy.model,
        policy.tokenizer,
        lambda completions, max_length: make_engine(policy.model, policy.tokenizer, completions, max_length),
    )
    identity = {"checkpoint": str(path), "version": mark_of(str(path))}
    return Examinee(str(path), identity, answerer, recipe_of(path))
