"""Recipes: read, changed by overrides, checked, each value with its origin."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from rlvr.config.complaints import Origin, recipe_error
from rlvr.config.data import DataConfig, EvaluateConfig
from rlvr.config.keys import nearest
from rlvr.config.lines import KeyPath, key_lines
from rlvr.config.overrides import apply, apply_to_section, expand
from rlvr.config.rlvr import ConditionsConfig, RlvrConfig
from rlvr.config.schema import Recipe
from rlvr.config.section import Section
from rlvr.errors import RecipeError

ValueOrigin = Literal["default", "recipe", "override"]
UNCONDITIONED = ConditionsConfig.model_validate({"tasks": 0})
"""Of a stage that goes on: what there was to learn from was measured before the first of them."""
AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A checked recipe, the origin of every value by dotted key ("stage.3.steps", counted from 1), and its file.

    `left_out` says why the data marked `where_sandboxed` is not used; empty where it is.
    """

    recipe: Recipe
    origins: Mapping[str, str]
    source: Path
    left_out: str

    @property
    def in_force(self) -> Recipe:
        """The recipe without what is left out. Raises RecipeError where that leaves a stage without data."""
        return _without_marked(self.recipe, self.left_out) if self.left_out else self.recipe

    @property
    def marked(self) -> tuple[str, ...]:
        """The sources marked `where_sandboxed`, each once."""
        sections = [*self.recipe.stage, *([self.recipe.evaluation] if self.recipe.evaluation else [])]
        return tuple({entry.source: None for part in sections for entry in part.data if entry.where_sandboxed})


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Resolved:
    """Gives the recipe of a TOML file with `key=value` overrides applied; default < recipe < override.

    Keys are dotted: `seed=3`, `stage.2.steps=10` (counted from 1), `stage.rlvr.steps=10` or `rlvr.steps=10` by a
    stage's kind or name. A value is read as TOML, and as plain text where it is none.

    Raises RecipeError, with file, line and nearest name where they are known.
    """
    text = _read_text(Path(path))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is no valid TOML: {error}", hint='text needs quotes: name = "…"') from error
    changed, paths = apply(expand(Recipe, values), overrides)
    recipe = _checked(Recipe, changed, Origin(Path(path), key_lines(text), paths))
    return Resolved(recipe, _origins(recipe, changed, paths), Path(path), left_out="")


def read_evaluation(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> EvaluateConfig:
    """Gives evaluation settings from plain values and `key=value` overrides relative to [evaluation].

    Raises RecipeError as `read_recipe` does.
    """
    changed = apply_to_section(EvaluateConfig, expand(EvaluateConfig, dict(values)), overrides)
    return _checked(EvaluateConfig, changed, Origin(None, {}, ()))


def resolved_json(resolved: Resolved) -> dict[str, Any]:
    """Gives what config.json holds: every resolved value, the origin of each, and the recipe's file."""
    return {
        "recipe": resolved.recipe.model_dump(mode="json"),
        "origins": dict(resolved.origins),
        "source": str(resolved.source),
        "left_out": resolved.left_out,
    }


def from_json(content: Mapping[str, Any]) -> Resolved:
    """Gives the recipe that `resolved_json` wrote.

    Raises RecipeError when `content` holds none, or one that this version of the schema does not take.
    """
    if not isinstance(content.get("recipe"), Mapping):
        raise RecipeError("the run's config.json holds no recipe", hint="start the run again from its recipe")
    source = Path(str(content.get("source", "config.json")))
    values = {key: value for key, value in content["recipe"].items() if value is not None}
    recipe = _checked(Recipe, expand(Recipe, _without_none(values)), Origin(Path("config.json"), {}, ()))
    return Resolved(recipe, dict(content.get("origins", {})), source, str(content.get("left_out", "")))


def continued(resolved: Resolved, steps: int, *, evaluate_every: int | None = None) -> Resolved:
    """Gives the recipe with one more stage, which continues the last one for so many steps; its name counts them all.

    Held-out evaluations lie as far apart as before where `evaluate_every` says nothing else. Raises RecipeError where
    the last stage is not of kind rlvr.
    """
    (*_, last) = stages = resolved.recipe.stage
    if not isinstance(last, RlvrConfig):
        raise RecipeError(
            f"the run's last stage is {last.label}, and only rlvr can go on for more steps",
            hint="a new run from its checkpoint: rlvr train RECIPE model.path=RUN/N-STAGE/checkpoints/step-N",
        )
    chain = [last]
    while chain[0].continues:
        former = stages[len(stages) - 1 - len(chain)]
        assert isinstance(former, RlvrConfig), "a stage continues one of kind rlvr"
        chain.insert(0, former)
    name = f"{chain[0].label}-{sum(stage.steps for stage in chain) + steps}"
    critic = last.critic.model_copy(update={"warmup_steps": 0})
    changes: dict[str, Any] = {"name": name, "steps": steps, "continues": True}
    changes |= {"critic": critic, "conditions": UNCONDITIONED}
    if evaluate_every is not None:
        changes["evaluate_every"] = evaluate_every
    more = last.model_copy(update=changes)
    values = resolved.recipe.model_dump(exclude={"stage"}, exclude_none=True)
    recipe = _checked(Recipe, {**values, "stage": (*stages, more)}, Origin(None, {}, ()))
    number = len(stages)
    origins = {
        key.replace(f"stage.{number}.", f"stage.{number + 1}.", 1): origin
        for key, origin in resolved.origins.items()
        if key.startswith(f"stage.{number}.")
    }
    keys = ["name", "steps", "continues", "critic.warmup_steps", "conditions.tasks", "conditions.required"]
    keys += [] if evaluate_every is None else ["evaluate_every"]
    changed = {f"stage.{number + 1}.{key}": "override" for key in keys}
    return replace(resolved, recipe=recipe, origins={**resolved.origins, **origins, **changed})


def _checked(section: type[AnySection], values: Any, origin: Origin) -> AnySection:
    """Validates strictly: 3.0 is no integer, "3" no number, true no 1."""
    try:
        return section.model_validate(values, strict=True)
    except ValidationError as error:
        raise recipe_error(error, section, values, origin) from None


def _without_marked(recipe: Recipe, why: str) -> Recipe:
    stages = tuple(_section_without_marked(stage, stage.label, why) for stage in recipe.stage)
    evaluation = recipe.evaluation and _section_without_marked(recipe.evaluation, "evaluation", why)
    return recipe.model_copy(update={"stage": stages, "evaluation": evaluation})


def _section_without_marked(section: AnySection, name: str, why: str) -> AnySection:
    data: tuple[DataConfig, ...] = section.data  # type: ignore[attr-defined]
    kept = tuple(entry for entry in data if not entry.where_sandboxed)
    if data and not kept:
        raise RecipeError(
            f"all data of {name} is marked where_sandboxed, and is left out because {why}",
            hint="rlvr sandbox check says more; or give the stage data that needs no sandbox",
        )
    return section.model_copy(update={"data": kept})


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        found = sorted({*Path(".").glob("recipes/*.toml"), *path.parent.glob("*.toml")})
        close = nearest(str(path), [str(other) for other in found])
        names = ", ".join(str(other) for other in found[:8])
        hint = f"did you mean {close}?" if close else f"recipes here: {names}" if names else "give the path of a recipe"
        raise RecipeError(f"there is no recipe {path}", hint=hint) from None
    except IsADirectoryError:
        raise RecipeError(f"{path} is a directory, expected a TOML file", hint="give the file itself") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no UTF-8 text (byte {error.start})", hint="recipes are TOML files") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from None


def _origins(recipe: Recipe, written: Mapping[str, Any], overridden: Sequence[KeyPath]) -> dict[str, str]:
    origins: dict[str, str] = {}
    for path in _leaves(recipe.model_dump()):
        origin: ValueOrigin = "default"
        if _holds(written, path):
            by_override = any(path[: len(set_path)] == set_path for set_path in overridden)
            origin = "override" if by_override else "recipe"
        origins[".".join(str(part + 1) if isinstance(part, int) else part for part in path)] = origin
    return origins


def _leaves(value: Any) -> Iterator[KeyPath]:
    """Yields the path of every value that is no table and no list of tables."""
    if isinstance(value, dict) and value:
        items: Any = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        yield ()
        return
    for key, inner in items:
        for path in _leaves(inner):
            yield (key, *path)


def _holds(written: Any, path: KeyPath) -> bool:
    for part in path:
        try:
            written = written[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _without_none(value: Any) -> Any:
    """Removes the keys that are None: the schema takes a key's absence for it."""
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
