"""What is wrong with a recipe, in our words: pydantic's findings with file, line and what to type."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rlvr.config.keys import expected, is_list, item_type, key_names, nearest, section_of, sections, spoken, suggestion
from rlvr.config.lines import KeyPath, line_of
from rlvr.config.overrides import stage_labels
from rlvr.config.section import Section
from rlvr.errors import RecipeError

MOST_SHOWN = 3


@dataclass(frozen=True)
class Origin:
    """Where checked values were written: a file with the line of each key, and the paths that overrides set."""

    source: Path | None
    lines: Mapping[KeyPath, int]
    overridden: Sequence[KeyPath]

    def place(self, path: KeyPath) -> str:
        """Gives "recipe.toml:12: " or "override: " for the value at `path`."""
        if any(path[: len(set_path)] == set_path or set_path[: len(path)] == path for set_path in self.overridden):
            return "override: "
        if self.source is None:
            return ""
        line = line_of(self.lines, path)
        return f"{self.source}:{line}: " if line else f"{self.source}: "


def recipe_error(error: ValidationError, section: type[Section], values: Any, origin: Origin) -> RecipeError:
    """Gives one error that names the first few findings, each with its place, and the hint of the first."""
    found: list[tuple[str, str]] = []
    for detail in sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden"):
        if detail["type"] in ("too_short", "too_long") and _has_inner_errors(error, detail):
            continue
        finding = _finding(detail, section, values, origin)
        if finding not in found:
            found.append(finding)
    shown = [message for message, _ in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        shown.append(f"… and {len(found) - MOST_SHOWN} more")
    return RecipeError("\n".join(shown), hint=next((hint for _, hint in found if hint), ""))


def _has_inner_errors(error: ValidationError, outer: ErrorDetails) -> bool:
    """Says whether items of the same list failed: a list whose items fail is also reported as too short."""
    place = outer["loc"]
    return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in error.errors())


def _finding(detail: ErrorDetails, root: type[Section], values: Any, origin: Origin) -> tuple[str, str]:
    path = _value_path(detail["loc"], root)
    kind = detail["type"]
    key, table = path[-1] if path else "", path[:-1]
    where = _table_name(table, values)
    section, _ = _at(root, values, table)
    if kind == "extra_forbidden":
        close = suggestion(section, str(key)) if section else ""
        hint = f'did you mean "{close}"?' if close else f"keys: {', '.join(key_names(section))}" if section else ""
        return f'{origin.place(path)}unknown key "{key}" in {where}', hint
    if kind == "missing" and isinstance(key, str):
        field = section.model_fields[key] if section else None
        words = expected(field.annotation, field) if field else "a value"
        meaning = f": {field.description}" if field and field.description else ""
        return f'{origin.place(table)}{where} needs the key "{key}"{meaning}', f"add {key} = … ({words})"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_finding(detail, path, values, origin)
    if kind == "value_error":
        return f"{origin.place(path)}{_table_name(path, values)}: {detail['ctx']['error']}", ""
    if kind == "missing":
        path, table = table, table[:-1]
    _, field = _at(root, values, path)
    while table and isinstance(path[len(table)], int):
        table = table[:-1]
    return _value_finding(detail, path, _table_name(table, values), field, origin)


def _value_finding(
    detail: ErrorDetails, path: KeyPath, where: str, field: FieldInfo | None, origin: Origin
) -> tuple[str, str]:
    annotation: Any = field.annotation if field else None
    whole_field = bool(path) and isinstance(path[-1], str)
    if field is None:
        words = detail["msg"][0].lower() + detail["msg"][1:]
    elif whole_field:
        words = "expected " + expected(annotation, field)
    else:
        words = "expected " + expected(item_type(annotation, int(path[-1])))
    given = json.dumps(detail["input"], ensure_ascii=False, default=str)
    given = given if len(given) <= 60 else given[:57] + "…"
    name = str(path[-1]) if whole_field else spoken(path[-2:])
    place = f" in {where}" if where != "the recipe" else ""
    close = ""
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        close = nearest(detail["input"], [str(choice) for choice in _choices(annotation)])
    hint = f'did you mean "{close}"?' if close else ""
    if is_list(annotation) and whole_field and not isinstance(detail["input"], list | tuple):
        hint = f"write a list: {name} = [{given}]"
    return f"{origin.place(path)}{name} = {given}{place}; {words}", hint


def _kind_finding(detail: ErrorDetails, path: KeyPath, values: Any, origin: Origin) -> tuple[str, str]:
    where = _table_name(path, values)
    kinds = detail.get("ctx", {}).get("expected_tags", "").replace("'", "")
    if detail["type"] == "union_tag_not_found":
        return (
            f'{origin.place(path)}{where} needs the key "kind"',
            'add kind = "…": pretrain, sft, dpo, reward_model, rlvr, iterate or evaluate',
        )
    given = detail["ctx"]["tag"]
    close = nearest(given, kinds.split(", "))
    hint = f'did you mean "{close}"?' if close else ""
    return f'{origin.place((*path, "kind"))}kind = "{given}" in {where}; expected one of {kinds}', hint


def _choices(annotation: Any) -> tuple[Any, ...]:
    inner = get_args(annotation)
    return _choices(inner[0]) if is_list(annotation) else inner


def _value_path(place: tuple[int | str, ...], root: type[Section]) -> KeyPath:
    """Removes the stage's kind, which pydantic puts between its index and its keys."""
    if root.__name__ == "Recipe" and len(place) > 2 and place[0] == "stage":
        return (*place[:2], *place[3:])
    return place


def _at(root: type[Section], values: Any, path: KeyPath) -> tuple[type[Section] | None, FieldInfo | None]:
    """Gives the section at `path`, or the field that the value there belongs to."""
    annotation: Any = root
    field: FieldInfo | None = None
    for part in path:
        if isinstance(part, int):
            if not is_list(annotation):
                return None, None
            annotation = item_type(annotation, part)
            values = values[part] if isinstance(values, list | tuple) and part < len(values) else None
            continue
        section = section_of(annotation, values)
        field = section.model_fields.get(part) if section else None
        if field is None:
            return None, None
        annotation = field.annotation
        values = values.get(part) if isinstance(values, Mapping) else None
    return (section_of(annotation, values) if sections(annotation) else None), field


def _table_name(path: KeyPath, values: Any) -> str:
    if not path:
        return "the recipe"
    if path[0] == "stage" and len(path) > 1 and isinstance(values, Mapping):
        label = stage_labels(values["stage"])[int(path[1])]
        return spoken(path[2:]) + f" of {label}" if len(path) > 2 else label
    return spoken(path)
