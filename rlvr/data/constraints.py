"""References of the verifier "instructions" from the published layouts of IFEval, IFBench and Tulu/open-instruct.

    IFEval, IFBench  {instruction_id_list: [name, …], kwargs: [{…} or null, …]}
    Tulu             {ground_truth: "[{'instruction_id': [name, …], 'kwargs': [{…} or None, …]}]"}, a Python or a JSON
                     literal, or what it says as lists and objects

Arguments that are null belong to other constraints and are dropped. Whether a name is known and its arguments are
right is for the verifier to say.
"""

import ast
import json
from collections.abc import Mapping
from typing import Any

from rlvr.errors import DataError

_MAX_LITERAL = 200_000
"""Characters of a literal; a longer one is no list of constraints."""


def reference_of(names: Any, kwargs: Any, **options: str) -> dict[str, Any]:
    """Gives the reference for constraints of these names with these arguments, one object or null for each.

    `options` are the verifier's own (`mode`, `score`). Raises: DataError where the two do not fit together.
    """
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"the constraints are {str(names)[:80]!r}, expected a list of names")
    kwargs = [None] * len(names) if kwargs is None else kwargs
    if not isinstance(kwargs, list) or len(kwargs) != len(names):
        raise DataError(f"kwargs are {str(kwargs)[:80]!r}, expected a list of {len(names)}, one for each constraint")
    if not all(isinstance(given, Mapping | None) for given in kwargs):
        raise DataError("kwargs hold something that is neither an object nor null")
    constraints = [
        {"id": name, "kwargs": {key: value for key, value in (given or {}).items() if value is not None}}
        for name, given in zip(names, kwargs, strict=True)
    ]
    return {"constraints": constraints, **options}


def reference_from_label(label: Any) -> Any:
    """Gives the reference for a label of Tulu's, whose outcome is the mean over its constraints; our own as it is.

    Raises: DataError where it is neither.
    """
    value = _literal(label) if isinstance(label, str) else label
    if isinstance(value, list) and len(value) == 1:
        value = _literal(value[0]) if isinstance(value[0], str) else value[0]
    if isinstance(value, Mapping) and "constraints" in value:
        return dict(value)
    if isinstance(value, Mapping) and "instruction_id" in value:
        return reference_of(value["instruction_id"], value.get("kwargs"), score="mean")
    old = isinstance(value, Mapping) and "func_name" in value
    found = "the older layout with func_name, which is not read" if old else repr(str(label)[:80])
    raise DataError(f"expected constraints as [{{'instruction_id': […], 'kwargs': […]}}], found {found}")


def _literal(text: str) -> Any:
    if len(text) > _MAX_LITERAL:
        raise DataError(f"the label has {len(text)} characters, expected at most {_MAX_LITERAL}")
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    raise DataError(f"the label {text[:80]!r} is no literal")
