"""The part of the math verifier that runs in a worker process; only it imports math_verify and sympy."""

import functools
from fractions import Fraction
from typing import Any

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig
from math_verify import parse as math_parse
from math_verify import verify as math_equal
from sympy.core.random import seed  # type: ignore[import-untyped]

from rlvr.verifiers.equality import Policy, rounds_to, same, same_leaf, stands_for
from rlvr.verifiers.forms import MEMBER, Form, parse
from rlvr.verifiers.guard import side_effects_barred
from rlvr.verifiers.rational import decimal
from rlvr.verifiers.vocabulary import as_read, readable, same_case

# Units are none of the library's business: it leaves out letters that might be one (4d, 4k).
_SPELLING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
_CONFIG = [
    LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False, normalization_config=_SPELLING)
]
_DIGITS = 40


def prepare() -> None:
    """Fills the library's caches before the first item is timed."""
    compare({"reference": r"\frac{\sqrt{2}}{x}", "answer": r"\frac{2}{x\sqrt{2}}", "policy": {}})


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    # No time limit of the library's own: its alarm counts wall time and gives "wrong" where the machine is slow.
    found = math_parse(
        f"\\boxed{{{text}}}", extraction_config=_CONFIG, extraction_mode="first_match", parsing_timeout=None
    )
    return tuple(found)


def _number(parsed: tuple[Any, ...]) -> Any:
    expression = parsed[0] if parsed else None
    return expression if isinstance(expression, sympy.Expr) and not expression.free_symbols else None


def _digits(expression: Any) -> Any:
    approximation = expression.evalf(_DIGITS)
    return approximation if approximation.is_number and approximation.is_finite else None


def _close(left: Any, right: Any) -> bool:
    """Gives whether two numbers agree to 25 digits, relative to their size; the library rounds to 6 decimals."""
    a, b = _digits(left), _digits(right)
    if a is None or b is None:
        return False
    size = max(abs(a), abs(b))
    return bool(size == 0 or abs(a - b) <= size * sympy.Float("1e-25", _DIGITS))


def _leaf(reference: str, answer: str, *, rounded: bool) -> bool:
    decided = same_leaf(reference, answer, rounded=rounded)
    if decided is not None:
        return decided
    left, right = _parsed(as_read(reference) or ""), _parsed(as_read(answer) or "")
    if not left or not right:
        return False
    wanted, found = _number(left), _number(right)
    printed = decimal(reference)
    if rounded and printed is not None and printed.unit < 1 and found is not None:
        exact = _digits(found)
        return exact is not None and exact.is_real is True and rounds_to(Fraction(str(exact)), printed)
    literal = decimal(answer)
    if wanted is not None and literal is not None:
        exact = _digits(wanted)
        if exact is not None and exact.is_real is True and stands_for(literal, Fraction(str(exact))):
            return True
    if wanted is not None and found is not None:
        return _close(wanted, found) or _vanishes(wanted - found)
    return bool(math_equal(list(left), list(right), timeout_seconds=None)) or _expands_to_zero(left[0], right[0])


def _expands_to_zero(left: Any, right: Any) -> bool:
    """Gives whether the difference of two expressions vanishes; the library reads a lone symbol as a name."""
    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return False
    difference = left - right
    return _vanishes(difference.subs({symbol: sympy.I for symbol in difference.free_symbols if symbol.name == "i"}))


def _vanishes(difference: Any) -> bool:
    return bool(sympy.expand(difference.doit()) == 0)


def _reads(reference: str, answer: str) -> bool:
    parsed = _parsed(reference)
    return bool(parsed) and bool(math_equal(list(parsed), list(_parsed(answer)), timeout_seconds=None))


def equals_itself(payload: dict[str, str]) -> bool:
    """Gives whether computer algebra can read payload["reference"], or all its single values, and finds it equal."""
    seed(0)
    form = parse(payload["reference"])
    parsed = _parsed(payload["reference"])
    return bool(same(form, form, _reads)) and (form.kind not in ("relation", "plus_minus") or bool(parsed))


def compare(payload: dict[str, Any]) -> bool:
    """Gives whether payload["answer"] equals payload["reference"] under payload["policy"], both LaTeX without a box.

    An answer that breaks the library equals nothing. Raises what the library raises on the reference alone.
    """
    with side_effects_barred():
        try:
            return _compare(payload)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            _compare({**payload, "answer": payload["reference"]})
            return False


def _compare(payload: dict[str, Any]) -> bool:
    seed(0)
    reference, answer = payload["reference"], payload["answer"]
    wanted, found = parse(reference), parse(answer)
    policy = Policy(**payload["policy"])
    result = same(wanted, found, functools.partial(_leaf, rounded=policy.rounded), policy)
    return _whole(reference, answer) if result is None else result


def _whole(reference: str, answer: str) -> bool:
    """Gives whether two answers of different kinds are equal: an interval and a difference of sets, two equations."""
    if not (readable(reference) and readable(answer) and same_case(reference, answer)):
        return False
    left, right = (_parsed(_as_set(parse(text), text)) for text in (reference, answer))
    if not left or not right:
        return False
    if isinstance(left[0], sympy.Eq) and isinstance(right[0], sympy.Eq):
        return _same_equation(left[0], right[0])
    return bool(math_equal(list(left), list(right), allow_set_relation_comp=True, timeout_seconds=None))


def _as_set(form: Form, text: str) -> str:
    """Gives x \\in S as S, and x > 2 as its interval."""
    if form.kind == "union" and all(item.kind == "tuple" for item in form.items):
        return r"\cup".join(_as_set(item, "") for item in form.items)
    if form.kind == "tuple" and len(form.items) == 2 and len(form.brackets) == 2:
        return f"{form.brackets[0]}{form.items[0].text},{form.items[1].text}{form.brackets[1]}"
    return MEMBER.sub("", text, count=1)


def _same_equation(left: Any, right: Any) -> bool:
    """Gives whether one equation is a multiple of the other by a number that is not zero."""
    a, b = (sympy.together((side.lhs - side.rhs).doit()).as_numer_denom()[0] for side in (left, right))
    if sympy.expand(a) == 0 or sympy.expand(b) == 0:
        return False
    factor = sympy.cancel(a / b)
    return bool(factor.is_number and factor.is_finite and factor != 0)
