"""`key=value` words that change a recipe from the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.config.keys import (
    all_keys,
    is_list,
    item_type,
    key_names,
    kind_of,
    nearest,
    section_of,
    sections,
    spoken,
    suggestion,
    takes_any_key,
)
from rlvr.config.lines import KeyPath
from rlvr.config.schema import Recipe
from rlvr.config.section import Section
from rlvr.errors import RecipeError

_SETTINGS = set(Recipe.model_fields) - {"stage"}
_ORIGINS_OF_A_MODEL = ("path", "new")


def expand(annotation: Any, value: Any) -> Any:
    """Gives a copy of `value` as the schema spells it out: short forms as tables, lists of the schema as tuples.

    What does not fit is left as it is; validation names it.
    """
    if is_list(annotation):
        if not isinstance(value, list | tuple):
            return value
        return tuple(expand(item_type(annotation, index), item) for index, item in enumerate(value))
    section = section_of(annotation, value)
    if section is None:
        return value
    value = _long_form(section, value)
    if not isinstance(value, dict):
        return value
    return {
        key: expand(section.model_fields[key].annotation, inner) if key in section.model_fields else inner
        for key, inner in value.items()
    }


def apply(values: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[KeyPath]]:
    """Gives the expanded recipe with every `key=value` applied, in order, and the paths that they set.

    An override of model.path takes the place of the recipe's model.new, and the other way round.
    Raises RecipeError for a word without "=", an unknown key, an ambiguous stage or an index out of range.
    """
    root = dict(values)
    paths = []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            raise RecipeError(
                f'override "{word}" is not of the form key=value', hint="for example: seed=3 or rlvr.steps=10"
            )
        parts = _absolute(key.strip().split("."), root)
        path: KeyPath = ()
        root, path = _set(Recipe, root, parts, text, said=key.strip(), path=path)
        paths.append(path)
    return _one_origin_of_the_model(root, paths), paths


def _one_origin_of_the_model(root: dict[str, Any], paths: Sequence[KeyPath]) -> dict[str, Any]:
    """Leaves out the recipe's model.new where model.path was overridden, and the other way round."""
    overridden = [key for key in _ORIGINS_OF_A_MODEL if any(path[:2] == ("model", key) for path in paths)]
    model = root.get("model")
    if len(overridden) != 1 or not isinstance(model, Mapping):
        return root
    dropped = set(_ORIGINS_OF_A_MODEL) - set(overridden)
    return {**root, "model": {key: value for key, value in model.items() if key not in dropped}}


def apply_to_section(section: type[Section], values: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Gives the values of one section with every `key=value` applied; keys are relative to the section."""
    result = dict(values)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise RecipeError(f'override "{word}" is not of the form key=value', hint="for example: samples=4")
        result, _ = _set(section, result, key.strip().split("."), text, said=key.strip(), path=())
    return result


def stage_labels(stages: Sequence[Any]) -> list[str]:
    """Gives how each stage of an unchecked recipe is called: "stage.2 (rlvr)" or "stage.2 (rlvr, warm-up)"."""
    labels = []
    for index, stage in enumerate(stages, start=1):
        said = [str(stage[key]) for key in ("kind", "name") if isinstance(stage, Mapping) and stage.get(key)]
        labels.append(f"stage.{index}" + (f" ({', '.join(said)})" if said else ""))
    return labels


def _long_form(section: type[Section], value: Any) -> Any:
    if not (isinstance(value, str) or (isinstance(value, dict) and takes_any_key(section))):
        return value
    try:
        return section.model_validate(value).model_dump(exclude_unset=True)
    except ValueError:
        return value


def _absolute(parts: list[str], root: Mapping[str, Any]) -> list[str]:
    """Turns rlvr.steps and stage.rlvr.steps into stage.3.steps."""
    short = parts[0] != "stage"
    if parts[0] in Recipe.model_fields and short:
        return parts
    rest = parts if short else parts[1:]
    if not rest or rest[0].isdigit():
        return parts
    stages = root.get("stage", ())
    labels = stage_labels(stages) if isinstance(stages, list | tuple) else []
    names = [{stage.get("kind"), stage.get("name")} if isinstance(stage, Mapping) else set() for stage in stages]
    found = [index for index, said in enumerate(names) if rest[0] in said]
    if len(found) == 1:
        return ["stage", str(found[0] + 1), *rest[1:]]
    if found:
        raise RecipeError(
            f'override "{".".join(parts)}" may mean {" or ".join(labels[index] for index in found)}',
            hint=f"say which: stage.{found[0] + 1}.{'.'.join(rest[1:])}=…",
        )
    raise _unknown_head(parts, rest, names, labels)


def _unknown_head(
    parts: Sequence[str], rest: Sequence[str], names: Sequence[set[Any]], labels: Sequence[str]
) -> RecipeError:
    """Gives the error for a first word that is no key, with a deeper key that ends alike or the nearest first word."""
    kinds = {str(name) for said in names for name in said if name}
    ending = "." + ".".join(rest)
    full = [
        key.name
        for key in all_keys()
        if key.name.endswith(ending) and (key.name.split(".")[0] in kinds or key.name.split(".")[0] in _SETTINGS)
    ]
    close = nearest(rest[0], sorted(kinds | _SETTINGS))
    if full:
        hint = "did you mean " + " or ".join(full[:4]) + "?"
    elif close:
        hint = f"did you mean {'.'.join([close, *rest[1:]])}?"
    else:
        hint = f"stages: {', '.join(labels) or 'none'}"
    return RecipeError(
        f'unknown key "{".".join(parts)}": "{rest[0]}" is no key of the recipe, and none of its stages', hint=hint
    )


def _set(
    annotation: Any, value: Any, parts: Sequence[str], text: str, *, said: str, path: KeyPath
) -> tuple[Any, KeyPath]:
    """Gives a copy of `value` in which the value at `parts` is the one that `text` spells, and its path."""
    if not parts:
        return expand(annotation, parse_value(annotation, text)), path
    part, rest = parts[0], parts[1:]
    if is_list(annotation):
        return _set_item(annotation, value, parts, text, said=said, path=path)
    section = section_of(annotation, value)
    if section is None and annotation is not Any and not str(annotation).startswith("dict"):
        raise RecipeError(f'override "{said}": there is no key "{part}" below {spoken(path)}')
    table = dict(value) if isinstance(value, Mapping) else {}
    inner: Any = Any
    if section is not None:
        if part not in section.model_fields and takes_any_key(section):
            part, rest = "cells", parts
        if part not in section.model_fields:
            close = suggestion(section, part)
            corrected = ".".join([*said.split(".")[: -len(parts)], close, *rest])
            where = kind_of(section) or spoken(path) or "a recipe"
            raise RecipeError(
                f'unknown key "{part}" in the override "{said}"; {where} has no such key',
                hint=f'did you mean "{corrected}"?' if close else f"keys: {', '.join(key_names(section))}",
            )
        inner = section.model_fields[part].annotation
    table[part], full = _set(inner, table.get(part), rest, text, said=said, path=(*path, part))
    return table, full


def _set_item(
    annotation: Any, value: Any, parts: Sequence[str], text: str, *, said: str, path: KeyPath
) -> tuple[Any, KeyPath]:
    items = list(value) if isinstance(value, list | tuple) else []
    name = spoken(path)
    if not parts[0].isdigit() or not 1 <= int(parts[0]) <= len(items):
        labels = stage_labels(items) if name == "stage" else []
        raise RecipeError(
            f'override "{said}": {name} has {len(items)} items, found "{parts[0]}" as its position',
            hint=f"{', '.join(labels)}" if labels else f"count from 1: {name}.1, or replace the list: {name}=[…]",
        )
    index = int(parts[0]) - 1
    items[index], full = _set(
        item_type(annotation, index), items[index], parts[1:], text, said=said, path=(*path, index)
    )
    return tuple(items), full


def parse_value(annotation: Any, text: str) -> Any:
    """Gives `text` as a TOML value, or as plain text where it is none or where the key holds text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed["value"]
    if set(parsed) != {"value"} or (annotation is str and not isinstance(value, str)):
        return text
    if sections(annotation) == () or isinstance(value, str | dict | list):
        return value
    return text
