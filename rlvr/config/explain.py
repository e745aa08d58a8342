"""What a key of a recipe means."""

import inspect
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rlvr.config.keys import Key, all_keys, expected, is_list, kind_of, nearest, sections, stage_sections
from rlvr.config.section import Section
from rlvr.errors import UsageError


def explain_key(key: str) -> str:
    """Gives meaning, unit or range and default of a dotted key, or of every key that ends so; a table lists its keys.

    `key` may be written as in an override: `rlvr.steps`, `stage.rlvr.steps`, `stage.2.steps`, `steps`.

    Raises UsageError, with the nearest names, when no key ends so.
    """
    parts = [part for part in key.strip().split(".") if part and not part.isdigit()]
    if len(parts) > 1 and parts[0] == "stage":
        parts = parts[1:]
    name = ".".join(parts)
    if name in stage_sections():
        return _table(name, stage_sections()[name], "one [[stage]] of this kind")
    keys = all_keys()
    found = [known for known in keys if known.name == name]
    found = found or [known for known in keys if known.name.endswith("." + name)]
    if not found:
        raise UsageError(f'no key of a recipe is called "{key}"', hint=_hint(parts, keys))
    return "\n\n".join(_entry(same) for same in _alike(found))


def _entry(keys: Sequence[Key]) -> str:
    first = keys[0]
    heading = ", ".join(known.name for known in keys)
    inner = sections(first.field.annotation)
    if len(inner) == 1 and first.field.annotation is not None:
        about = "a list; each item is a table" if is_list(first.field.annotation) else "a table"
        return _table(heading, inner[0], about, meaning=first.field.description or "", defaults=first.default)
    lines = [
        heading,
        *_indented(_meaning(first.name.rsplit(".", 1)[-1], first.field)),
        f"  takes: {expected(first.field.annotation, first.field)}",
    ]
    if first.name == "stage":
        lines += [f"  kinds: {', '.join(stage_sections())} (rlvr explain sft lists the keys of one)"]
    else:
        lines += [f"  default: {_default(first.default)}"]
    return "\n".join(lines)


def _table(heading: str, section: type[Section], about: str, *, meaning: str = "", defaults: Any = None) -> str:
    lines = [f"{heading}  ({about})", *_indented(inspect.getdoc(section) or "")]
    if meaning:
        lines += _indented(meaning)
    lines.append("  keys:")
    width = max(len(name) for name in section.model_fields)
    for name, field in section.model_fields.items():
        default = (
            getattr(defaults, name) if isinstance(defaults, section) else field.get_default(call_default_factory=True)
        )
        default = kind_of(section) if name == "kind" else default
        shown = "" if sections(field.annotation) else f" [{_default(default)}]"
        lines.append(f"    {name:<{width}}  {_meaning(name, field)}{shown}")
    return "\n".join(lines)


def _meaning(name: str, field: FieldInfo) -> str:
    if field.description or name == "kind":
        return field.description or "What the stage does."
    inner = sections(field.annotation)
    return (inspect.getdoc(inner[0]) or "").splitlines()[0] if inner else ""


def _alike(keys: Sequence[Key]) -> list[list[Key]]:
    """Groups keys that say the same, so that `checkpoint_every` of four stages is explained once."""
    groups: dict[tuple[str, str, str], list[Key]] = {}
    for known in keys:
        same = (known.field.description or "", expected(known.field.annotation, known.field), _default(known.default))
        groups.setdefault(same, []).append(known)
    return list(groups.values())


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "none, the key is needed"
    if isinstance(value, Section):
        return "a table of defaults"
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)


def _indented(text: str) -> list[str]:
    return list(textwrap.wrap(text, width=110, initial_indent="  ", subsequent_indent="  "))


def _hint(parts: Sequence[str], keys: Sequence[Key]) -> str:
    last = {known.name.rsplit(".", 1)[-1] for known in keys}
    full = {known.name for known in keys}
    close = nearest(".".join(parts), sorted(full)) or (nearest(parts[-1], sorted(last)) if parts else "")
    return f"did you mean {close}?" if close else f"tables: {', '.join(['model', 'evaluation', *stage_sections()])}"
