"""Every source of data by name, and `load`, which turns a name and a split into items.

A source is a function `(split, **options) -> Iterable` of tasks, demonstrations, preferences or documents. To add one,
write a line here, or name it in a recipe as "package.module:function". It may yield a BadRow in place of an item.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from rlvr.data import code, files, gsm8k, gym, hub, humaneval, ifeval, math, mbpp, pairs
from rlvr.data.rows import BadRow, data_files, is_data_file, read_rows
from rlvr.data.synthetic import corpus, facts, items, stories
from rlvr.errors import DataError
from rlvr.types import Demonstration, Document, Preference, Solution, Task

Kind = Literal["task", "solution", "demonstration", "preference", "document"]
Source = Callable[..., Iterable[Any]]
T = TypeVar("T")

SOURCES: dict[str, Source] = {
    "arithmetic": partial(items.tasks, "arithmetic"),
    "instructions": partial(items.tasks, "instructions"),
    "functions": partial(items.tasks, "functions"),
    "facts": facts.tasks,
    "gsm8k": gsm8k.tasks,
    "math": math.tasks,
    "math500": math.math500_tasks,
    "ifeval": partial(ifeval.tasks, "ifeval"),
    "ifbench": partial(ifeval.tasks, "ifbench"),
    "humaneval": humaneval.tasks,
    "mbpp": partial(mbpp.tasks, mbpp.FULL),
    "mbpp_sanitized": partial(mbpp.tasks, mbpp.SANITIZED),
    "apps": partial(code.tasks, "apps"),
    "livecodebench": partial(code.tasks, "livecodebench"),
    "acecode": partial(code.tasks, "acecode"),
    "gym": gym.tasks,
    "file": files.tasks,
    "hub": hub.tasks,
}
SOLUTIONS: dict[str, Source] = {
    "humaneval": humaneval.solutions,
    "mbpp": partial(mbpp.solutions, mbpp.FULL),
    "mbpp_sanitized": partial(mbpp.solutions, mbpp.SANITIZED),
    "apps": partial(code.solutions, "apps"),
    "livecodebench": partial(code.solutions, "livecodebench"),
    "acecode": partial(code.solutions, "acecode"),
    "pairs": pairs.solutions,
    "file": files.solutions,
}
EVERY_SPLIT: Mapping[str, tuple[str, ...]] = {
    "humaneval": ("test",),
    "mbpp": ("few_shot", "test", "all"),
    "mbpp_sanitized": ("few_shot", "test", "all"),
}
"""The splits that together are the whole of a source whose published parts are not "all"."""
DEMONSTRATIONS: dict[str, Source] = {
    "arithmetic": partial(items.demonstrations, "arithmetic"),
    "instructions": partial(items.demonstrations, "instructions"),
    "functions": partial(items.demonstrations, "functions"),
    "gym/chain_sum": partial(items.demonstrations, "chain_sum"),
    "gym/spell_backward": partial(items.demonstrations, "spell_backward"),
    "gsm8k": gsm8k.demonstrations,
    "math": math.demonstrations,
    "mbpp": partial(mbpp.demonstrations, mbpp.FULL),
    "mbpp_sanitized": partial(mbpp.demonstrations, mbpp.SANITIZED),
    "file": files.demonstrations,
    "hub": hub.demonstrations,
}
PREFERENCES: dict[str, Source] = {
    "arithmetic": partial(items.preferences, "arithmetic"),
    "instructions": partial(items.preferences, "instructions"),
    "functions": partial(items.preferences, "functions"),
    "gym/chain_sum": partial(items.preferences, "chain_sum"),
    "gym/spell_backward": partial(items.preferences, "spell_backward"),
    "gsm8k": gsm8k.preferences,
    "file": files.preferences,
    "hub": hub.preferences,
}
DOCUMENTS: dict[str, Source] = {
    "corpus": corpus.documents,
    "arithmetic": partial(items.documents, "arithmetic"),
    "instructions": partial(items.documents, "instructions"),
    "functions": partial(items.documents, "functions"),
    "stories": stories.documents,
    "facts": facts.documents,
    "gsm8k": gsm8k.documents,
    "file": files.documents,
    "hub": hub.documents,
}

TABLES: dict[str, Mapping[str, Source]] = {
    "task": SOURCES,
    "solution": SOLUTIONS,
    "demonstration": DEMONSTRATIONS,
    "preference": PREFERENCES,
    "document": DOCUMENTS,
}
TYPES: dict[str, type] = {
    "task": Task,
    "solution": Solution,
    "demonstration": Demonstration,
    "preference": Preference,
    "document": Document,
}
ENDLESS = ("arithmetic", "instructions", "functions", "gym/chain_sum", "gym/spell_backward", "corpus", "stories")
"""Generators that give as many items as are asked for, so that `load` needs a limit; so does `facts` as documents."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many rows could not be used, and the first of them as "file:line: reason" ("" where there is none)."""

    count: int
    first: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The items of a source and what was skipped of it."""

    items: tuple[T, ...]
    skipped: Skipped


def load(
    kind: Kind,
    source: str,
    split: str,
    *,
    path: str | Path | None = None,
    limit: int | None = None,
    quarantine: str | Path | None = None,
    reference: Mapping[str, Any] | None = None,
    **options: Any,
) -> Loaded[Any]:
    """Gives the first `limit` items (all where None) of a split of a source, and counts the rows it had to skip.

    `source` is a name of the kind's table, "gym/GENERATOR", the path of a data file, or "package.module:function".
    Rows that are bad, repeat an id, or whose item `quarantine` names (a file that `rlvr calibrate` wrote) are skipped
    and counted up to the last item that is taken. `reference` is added to the reference of every task, such as
    {"limits": {"cpu_seconds": 10}, "packages": ["numpy"]} to those of programs.

    Raises: DataError where the source or an option is unknown, a file is missing, an endless source has no limit, or
    no item is left.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}, expected at least 1")
    if is_data_file(source):
        source, path = "file", path or source
    elif source.startswith("gym/") and source not in TABLES[kind]:
        source, options = "gym", {**options, "name": source.removeprefix("gym/")}
    function = _function(kind, source)
    if is_endless(kind, source) and limit is None:
        raise DataError(f"the source {source!r} has no end, so it needs a limit", hint="set limit to a number of items")
    given = {**options, **({} if path is None else {"path": path})}
    named = {} if quarantine is None else read_quarantine(quarantine)
    if limit is not None and "limit" in inspect.signature(function).parameters:
        given["limit"] = limit + len(named)
    _check_options(source, function, given)
    label = f"{source}:{split}" if path is None else f"{source}:{split} at {path}"
    loaded = _collect(function(split, **given), kind, label, limit, named)
    if not reference:
        return loaded
    return Loaded(tuple(_with_reference(item, reference, label) for item in loaded.items), loaded.skipped)


def _with_reference(item: Any, added: Mapping[str, Any], label: str) -> Any:
    """Gives a task, or a solution's task, with more in its reference; tests beside the program are a check apart."""
    if isinstance(item, Solution):
        return replace(item, task=_with_reference(item.task, added, label))
    if not isinstance(item, Task) or not isinstance(item.reference, Mapping):
        raise DataError(f"{label}: the option reference is for tasks whose reference is an object")
    check = "in_process" if added.get("in_process") and item.verifier == "code" else item.check
    return replace(item, reference={**item.reference, **added}, check=check)


def read_quarantine(path: str | Path) -> dict[str, str]:
    """Gives id -> reason of a file of {"id", "reason"} rows. Raises: DataError where it cannot be read as such."""
    found = {}
    for row in read_rows(data_files(path)):
        if isinstance(row, BadRow) or not isinstance(row.values.get("id"), str):
            reason = row.reason if isinstance(row, BadRow) else "no id"
            raise DataError(f"{row.where}: {reason}", hint="rlvr calibrate SOURCE --output FILE writes one")
        found[row.values["id"]] = str(row.values.get("reason", ""))
    return found


def is_endless(kind: str, source: str) -> bool:
    """Says whether the source gives as many items of the kind as are asked for."""
    return source in ENDLESS or (kind, source) == ("document", "facts")


def _collect(
    rows: Iterable[Any], kind: Kind, label: str, limit: int | None, quarantined: Mapping[str, str]
) -> Loaded[Any]:
    items: dict[str, Any] = {}
    count, first = 0, ""
    for row in rows:
        bad = _why_bad(row, items, kind, label, quarantined)
        if bad is None:
            items[row.id] = row
            if len(items) == limit:
                break
        else:
            first = first or f"{bad.where}: {bad.reason}"
            count += 1
    if not items:
        found = f"; {count} bad rows, the first: {first}" if count else ""
        raise DataError(f"{label} gives no {kind}{found}", hint="check the file and the split, or add usable rows")
    return Loaded(tuple(items.values()), Skipped(count, first))


def _why_bad(
    row: Any, items: Mapping[str, Any], kind: Kind, label: str, quarantined: Mapping[str, str]
) -> BadRow | None:
    if isinstance(row, BadRow):
        return row
    is_item: bool = isinstance(row, TYPES[kind])
    if not is_item:
        raise DataError(f"{label} gives {type(row).__name__}, expected {TYPES[kind].__name__}")
    if row.id in quarantined:
        return BadRow(label, f"{row.id} is quarantined: {quarantined[row.id]}")
    return BadRow(label, f"the id {row.id!r} occurs twice") if row.id in items else None


def _function(kind: Kind, source: str) -> Source:
    table = TABLES[kind]
    if source in table:
        return table[source]
    if ":" in source:
        return _imported(source)
    near = difflib.get_close_matches(source, list(table), n=1)
    known = f"known are {', '.join(table)}, gym/GENERATOR, a data file or package.module:function"
    hint = f"did you mean {near[0]!r}? {known}" if near else known
    raise DataError(f"there is no {kind} source {source!r}", hint=hint)


def _imported(source: str) -> Source:
    module, _, name = source.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's module raises
        raise DataError(
            f"the source {source!r} cannot be imported: {type(error).__name__}: {error}",
            hint="expected package.module:function; check that Python finds the module from here",
        ) from error
    if not callable(function):
        raise DataError(f"the source {source!r} is {type(function).__name__}, expected a function")
    return function  # type: ignore[no-any-return]


def _check_options(source: str, function: Source, given: Mapping[str, Any]) -> None:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(names) == len(parameters):
        for option in given:
            if option not in names:
                near = difflib.get_close_matches(option, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(names) or 'none'}"
                raise DataError(f"the source {source!r} has no option {option!r}", hint=hint)
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name in names and parameter.name not in given:
            raise DataError(
                f"the source {source!r} needs the option {parameter.name!r}", hint=f"set {parameter.name} = …"
            )
