"""The schema seen as keys: what each one expects, and which section it belongs to."""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from rlvr.config.data import DataConfig, EvaluationDataConfig
from rlvr.config.lines import KeyPath
from rlvr.config.rlvr import AlgorithmConfig, ShapingConfig
from rlvr.config.schema import DEVICE, Recipe
from rlvr.config.section import Section

_WORDS = {str: "text", bool: "true or false", int: "an integer", float: "a number"}
_SECTION_WORDS: dict[type[Section], str] = {AlgorithmConfig: 'a name such as "dapo", or a table with a preset'}
_LIST_WORDS: dict[type[Section], str] = {
    DataConfig: 'a list such as ["gsm8k:train"]',
    EvaluationDataConfig: 'a list such as ["gsm8k:test"]',
    ShapingConfig: "a list of names or tables",
}


@dataclass(frozen=True)
class Key:
    """One key of the schema: where it stands ("rlvr.optimizer.learning_rate"), its field and its default there."""

    name: str
    field: FieldInfo
    default: Any


def all_keys() -> list[Key]:
    """Gives every key of a recipe, in the schema's order; keys of a stage begin with its kind."""
    return list(_keys_of(Recipe, None, ""))


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Gives (dotted key, value) for all that is in a JSON value, such as a resolved recipe; lists count from 1."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for name, inner in items:
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def stage_sections() -> dict[str, type[Section]]:
    """Gives the section of each kind of stage."""
    return {kind_of(section): section for section in sections(Recipe.model_fields["stage"].annotation)}


def spoken(path: KeyPath) -> str:
    """Gives a path as people write it: dotted, counted from 1."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)


def sections(annotation: Any) -> tuple[type[Section], ...]:
    """Gives the sections that a value of that type may hold: several for a stage, none for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,)
    return tuple(section for inner in get_args(annotation) for section in sections(inner))


def is_list(annotation: Any) -> bool:
    """Says whether the type is a list in TOML (a tuple of the schema)."""
    return get_origin(_plain(annotation)) is tuple


def item_type(annotation: Any, index: int) -> Any:
    """Gives the type of one item of a list."""
    arguments = get_args(_plain(annotation))
    return arguments[0] if arguments[-1] is Ellipsis else arguments[min(index, len(arguments) - 1)]


def section_of(annotation: Any, value: Any) -> type[Section] | None:
    """Gives the section that `value` is, by its `kind` where there is a choice; None where it is no section."""
    candidates = sections(_plain(annotation)) if not is_list(annotation) else ()
    if len(candidates) == 1:
        return candidates[0]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return next((section for section in candidates if kind_of(section) == kind), None)


def kind_of(section: type[Section]) -> str:
    """Gives the `kind` of a stage's section, "" for other sections."""
    field = section.model_fields.get("kind")
    return str(get_args(field.annotation)[0]) if field is not None else ""


def expected(annotation: Any, field: FieldInfo | None = None) -> str:
    """Says in words what a value of that type looks like, with its range: "an integer, at least 1"."""
    words = _type_words(_plain(annotation))
    if field is None:  # an item of a list has its bounds in its type
        field = next((part for part in get_args(annotation) if isinstance(part, FieldInfo)), None)
    return ", ".join([words, *_bounds(field)]) if field is not None else words


def nearest(name: str, names: Iterable[str]) -> str:
    """Gives the name most like `name`, or "" when none is."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def suggestion(section: type[Section], name: str) -> str:
    """Gives what an unknown key of a section may have meant: a key that looks like it, or a deeper one of that name."""
    deeper = (key.name for key in _keys_of(section, None, "") if key.name.endswith("." + name))
    return nearest(name, key_names(section)) or next(deeper, "")


def key_names(section: type[Section]) -> list[str]:
    """Gives the keys that a section takes."""
    return list(section.model_fields)


def takes_any_key(section: type[Section]) -> bool:
    """Says whether further keys of the section are cells that are checked later."""
    return section is AlgorithmConfig


def _plain(annotation: Any) -> Any:
    """Removes Annotated and None from a type."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        if len(inner) == 1:
            return _plain(inner[0])
    return annotation


def _type_words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if origin is tuple:
        if arguments[-1] is not Ellipsis:
            return f"a list of {len(arguments)} numbers"
        inner = sections(arguments[0])
        if inner:
            return _LIST_WORDS.get(inner[0], "a list of tables")
        return f"a list of values, each {expected(arguments[0])}"
    return _SECTION_WORDS.get(annotation, "a table")


def _bounds(field: FieldInfo) -> list[str]:
    bounds = []
    for rule in field.metadata:
        for attribute, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
            if getattr(rule, attribute, None) is not None:
                bounds.append(f"{words} {getattr(rule, attribute)}")
        if getattr(rule, "min_length", None) is not None:
            bounds.append(f"at least {rule.min_length} of them")
        if getattr(rule, "pattern", None) is not None:
            device = rule.pattern == DEVICE
            bounds.append("auto, cpu, cuda or cuda:N" if device else "of letters, digits, dots, dashes and underscores")
    return bounds


def _keys_of(section: type[Section], defaults: Section | None, prefix: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        if name == "kind" and defaults is None:
            default = kind_of(section)
        yield Key(prefix + name, field, default)
        if section is Recipe and name == "stage":
            for kind, stage in stage_sections().items():
                yield from _keys_of(stage, None, f"{kind}.")
        else:
            for inner in sections(field.annotation):
                given = default if isinstance(default, inner) else None
                yield from _keys_of(inner, given, f"{prefix}{name}.")
