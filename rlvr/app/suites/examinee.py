"""Who is examined: a checkpoint on this machine, or a model behind an endpoint."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.app.verifying import read_options
from rlvr.config.reading import Resolved
from rlvr.engines.base import Answerer
from rlvr.errors import UsageError

ENDPOINT = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Examinee:
    """Who is asked: a name, what tells its answers from those of another, who answers, and what trained it here."""

    name: str
    identity: Mapping[str, Any]
    answerer: Answerer
    recipe: Resolved | None


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
    settings = EndpointSettings(options.checkpoint, options.model, options.api_key_env, fields)
    identity = {"endpoint": settings.base_url, "model": settings.model, "fields": fields}
    return Examinee(f"{settings.model} at {settings.base_url}", identity, Endpoint(settings), None)


def _checkpoint(path: Path) -> Examinee:
    from rlvr.app.single import recipe_of
    from rlvr.app.wiring import make_engine
    from rlvr.models.policy import load_policy, pick_device
    from rlvr.stages.suites.local import LocalAnswerer

    policy = load_policy(path, device=pick_device("auto"))
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    weights = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    answerer = LocalAnswerer(
        policy.model,
        policy.tokenizer,
        lambda completions, max_length: make_engine(policy.model, policy.tokenizer, completions, max_length),
    )
    return Examinee(str(path), {"checkpoint": str(path), "weights": weights}, answerer, recipe_of(path))
