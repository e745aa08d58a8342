"""A number within a tolerance; for exact answers in mathematics there is `math`."""

from fractions import Fraction
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.latex import normalise
from rlvr.verifiers.rational import NotRationalError, value
from rlvr.verifiers.reference import answered, read_reference

VERSION = "numeric-2"

_KEYS = {"answer": (int, float, str), "absolute": (int, float), "relative": (int, float)}


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"answer": number, "absolute": …, "relative": …, "slot": …}."""
    read = read_reference(reference, _KEYS, required=("answer",))
    if isinstance(read, str):
        return read
    if _stated(read["answer"]) is None:
        return f"the answer {str(read['answer'])[:80]!r} is no number"
    for key in ("absolute", "relative"):
        tolerance = _stated(read.get(key, 0))
        if tolerance is None or tolerance < 0:
            return f"{key} is {str(read[key])[:80]!r}; a number, at least 0, was expected"
    return None


def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where |answer − reference| <= max(absolute, relative · |reference|), both 0 by default.

    The reference is {"answer": 9.81, "absolute": 0.01, "relative": 0.0, "slot": …}, the slot "boxed_or_whole" by
    default. Numbers are read exactly: 1,000, 1.2e-3, 3/4, \\frac{3}{4}, 50\\%; a unit or a second number is refused.
    """
    if check_reference(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="boxed_or_whole", version=VERSION)
    if isinstance(answer, Verdict):
        return answer
    found, wanted = _number(answer), _stated(task.reference["answer"])
    if found is None:
        return Verdict(0.0, "wrong_format", answer[:200], version=VERSION)
    assert wanted is not None, "check_reference has seen to it"
    absolute, relative = (_stated(task.reference.get(key, 0)) or Fraction(0) for key in ("absolute", "relative"))
    near = abs(found - wanted) <= max(absolute, relative * abs(wanted))
    return Verdict(float(near), "ok", answer[:200], version=VERSION)


def _stated(number: int | float | str) -> Fraction | None:
    """Gives the exact number of a reference; an integer of any length, a float as it is written."""
    return Fraction(number) if isinstance(number, int) else _number(str(number))


def _number(text: str) -> Fraction | None:
    text = normalise(text.strip().rstrip("."))
    percent = text.endswith("%")
    text = text.removesuffix("%").strip()
    mantissa, e, exponent = text.replace("E", "e").partition("e")
    if e and exponent.lstrip("+-").isdecimal() and len(exponent) <= 5:
        text = rf"{mantissa} \times 10^{{{int(exponent)}}}"
    try:
        number = value(text)
    except NotRationalError:
        return None
    return number / 100 if percent else number
