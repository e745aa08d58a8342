"""What a returned value or an output has to satisfy, decided here on the trusted side.

Values come from the codec, so they are exact builtin types whose `==` no program has touched. Each kind of test asks
what the test's author wrote, no more and no less:

    same       a case of the form {"args", "expected"}: the types of JSON have to be the same (true is not 1), except
               that JSON does not tell 3 from 3.0 nor a list from a tuple; NaN is NaN; a tolerance where one is given
    equal      f(x) == y      Python's equality: True == 1 == 1.0, [1] != (1,), NaN equals nothing
    unequal    f(x) != y
    is         f(x) is None, True or False
    is_not     f(x) is not None, True or False
    truth      f(x)           falsehood   not f(x)
    near       abs(f(x) - y) < tolerance
    near_or_at abs(f(x) - y) <= tolerance
    isclose    math.isclose(f(x), y, rel_tol=…, abs_tol=…)
    member     f(x) in y      contains    y in f(x)
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "same", "equal", "unequal", "is", "is_not", "truth", "falsehood", "near", "near_or_at", "isclose",
    "member", "contains",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a value. `tolerance` is absolute, but for "isclose" relative with `floor` the absolute one.

    For "same" a number that is not an integer may differ by `tolerance`, absolute or relative to the larger.
    """

    kind: Kind
    expected: Any = None
    tolerance: float = 0.0
    floor: float = 0.0

    __test__ = False


def holds(test: Test, value: Any) -> bool:
    """Gives whether a value that the codec has read satisfies the test; where Python would raise, it does not."""
    try:
        return _holds(test, value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def _holds(test: Test, value: Any) -> bool:
    expected = test.expected
    match test.kind:
        case "same":
            return same(value, expected, tolerance=test.tolerance)
        case "equal":
            return bool(value == expected)
        case "unequal":
            return bool(value != expected)
        case "is":
            return value is expected
        case "is_not":
            return value is not expected
        case "truth":
            return bool(value)
        case "falsehood":
            return not value
        case "near":
            return bool(abs(value - expected) < test.tolerance)
        case "near_or_at":
            return bool(abs(value - expected) <= test.tolerance)
        case "isclose":
            return math.isclose(value, expected, rel_tol=test.tolerance, abs_tol=test.floor)
        case "member":
            return _member(value, expected)
        case "contains":
            return _member(expected, value)


def _member(item: Any, container: Any) -> bool:
    # A number that is no int is sought in a range one by one, which may take for ever.
    return not (isinstance(container, range) and not isinstance(item, int)) and item in container


def same(value: Any, expected: Any, *, tolerance: float = 0.0) -> bool:
    """Gives whether a value is the expected JSON value; see "same" at the head of this file."""
    if isinstance(expected, bool) or expected is None:
        return value is expected
    if isinstance(expected, int | float):
        return type(value) in (int, float) and _same_number(value, expected, tolerance)
    if isinstance(expected, list | tuple):
        return (
            type(value) in (list, tuple)
            and len(value) == len(expected)
            and all(same(v, e, tolerance=tolerance) for v, e in zip(value, expected, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and len(value) == len(expected)
            and _same_keys(value, expected)
            and all(same(value[key], expected[key], tolerance=tolerance) for key in expected)
        )
    return type(value) is type(expected) and bool(value == expected)


def _same_keys(value: dict[Any, Any], expected: dict[Any, Any]) -> bool:
    kinds = {key: type(key) for key in value}
    return all(key in kinds and kinds[key] is type(key) for key in expected)


def _same_number(value: float, expected: float, tolerance: float) -> bool:
    if value == expected or (isinstance(value, float) and math.isnan(value) and math.isnan(expected)):
        return True
    if not tolerance or (isinstance(value, int) and isinstance(expected, int)):
        return False
    return math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)


def same_output(output: bytes, expected: str, *, tolerance: float = 0.0) -> bool:
    """Gives whether standard output is the expected text, as judges of programming contests compare it.

    White space at the end of a line and empty lines at the end do not count; all else does, empty lines in between and
    spaces inside a line too. With a `tolerance`, words of a line that are finite numbers, not both integers, may
    differ by it, absolute or relative to the larger.
    """
    found, wanted = _lines(output.decode("utf-8", errors="surrogateescape")), _lines(expected)
    if found == wanted or not tolerance or len(found) != len(wanted):
        return found == wanted
    return all(_same_line(f, w, tolerance) for f, w in zip(found, wanted, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(found: str, wanted: str, tolerance: float) -> bool:
    one, other = found.split(), wanted.split()
    return len(one) == len(other) and all(f == w or _near(f, w, tolerance) for f, w in zip(one, other, strict=True))


def _near(found: str, wanted: str, tolerance: float) -> bool:
    try:
        if all(word.lstrip("+-").isdecimal() for word in (found, wanted)):
            return int(found) == int(wanted)
        value, expected = float(found), float(wanted)
    except ValueError:
        return False
    finite = math.isfinite(value) and math.isfinite(expected)
    return finite and math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
