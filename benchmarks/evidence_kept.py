"""The figures of ended runs, kept as JSON: anyone can check them, and no machine has to make a run twice."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evidence_runs import Finished
from pydantic import TypeAdapter

from rlvr.config.reading import from_json, resolved_json
from rlvr.runs.atomic import replace_file


@dataclass(frozen=True, slots=True)
class Kept:
    """One run: its resolved recipe, the hash of the weights it is bound to, and what it found.

    `weights_sha256` is of the base that the run started from, or of what it exported where it started from none.
    """

    recipe: Mapping[str, Any]
    weights_sha256: str
    finished: Finished


def keep(path: Path, kept: Kept, *, root: Path) -> None:
    """Writes the run's figures; paths below `root` are written from there on."""
    stages = [replace(stage, checkpoint="") for stage in kept.finished.stages]
    content = asdict(replace(kept, finished=replace(kept.finished, stages=stages)))
    content["recipe"] = portable(kept.recipe, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def read_kept(path: Path) -> Kept | None:
    """Gives a run's figures; None where none are kept. Keys of the recipe younger than the run have their defaults.

    Raises RecipeError for a recipe that this version does not take, ValueError for figures of another version.
    """
    if not path.is_file():
        return None
    kept = TypeAdapter(Kept).validate_python(json.loads(path.read_text(encoding="utf-8")))
    return replace(kept, recipe=json.loads(json.dumps(resolved_json(from_json({"recipe": kept.recipe}))["recipe"])))


def portable(recipe: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Gives the recipe with every path below `root` written from there on."""
    text = json.dumps(recipe, ensure_ascii=False)
    return dict(json.loads(text.replace(json.dumps(f"{root}/")[1:-1], "")))
