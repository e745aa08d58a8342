"""Small Python functions written from a description that leaves one number out, and from two examples that tell it.

    Write f(x): add 4, then multiply by 3, then subtract a number. f(2) = 11, f(5) = 20.

Rung r (1 to 5) has r + 1 operations. The working goes from the first example's input forward and from its output back
until they meet at the number, one line an operation. A function is held to inputs that the prompt does not show: some
far below and some far above, so that a program which only fits the examples is wrong. No program of the evaluation
split stands line for line in the train split, with whichever number left out; one that gives the same values may.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.exercise import Exercise, drawn
from rlvr.data.synthetic.problems import HIGHEST

DOMAIN = "functions"

HIGHEST_RUNG = 5

_WRITTEN = (0.4, 0.3, 0.2, 0.1, 0.0)
"""How often written text has a function of rung 1, 2, …: long ones are rare, the longest do not occur."""

_LARGEST_INPUT = 20
"""Inputs of the examples go from 1 to this, and all values on the way from 1 to HIGHEST."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A sort of operation: its wordings, its line of Python, its calculation, and how it is undone.

    `back` calculates the input from the output, `missing` the number from both; empty where that cannot be done.
    """

    wordings: tuple[str, ...]
    line: str
    apply: Callable[[int, int], int]
    forward: str
    back: str = ""
    missing: str = ""


KINDS: Mapping[str, _Kind] = {
    "+": _Kind(
        ("add {n}", "make it {n} more"), "x += {n}", lambda x, n: x + n, "{x}+{n}={y}", "{y}-{n}={x}", "{y}-{x}={n}"
    ),
    "-": _Kind(
        ("subtract {n}", "take away {n}"), "x -= {n}", lambda x, n: x - n, "{x}-{n}={y}", "{y}+{n}={x}", "{x}-{y}={n}"
    ),
    "*": _Kind(
        ("multiply by {n}", "take it times {n}"), "x *= {n}", lambda x, n: x * n,
        "{x}*{n}={y}", "{y}/{n}={x}", "{y}/{x}={n}",
    ),
    "from": _Kind(
        ("subtract it from {n}", "take it from {n}"), "x = {n} - x", lambda x, n: n - x,
        "{n}-{x}={y}", "{n}-{y}={x}", "{x}+{y}={n}",
    ),
    "max": _Kind(
        ("make it at least {n}", "raise it to {n} if it is less"), "x = max(x, {n})", max, "max({x}, {n})={y}"
    ),
    "min": _Kind(
        ("make it at most {n}", "lower it to {n} if it is more"), "x = min(x, {n})", min, "min({x}, {n})={y}"
    ),
}  # fmt: skip

OPENINGS = ("Write f(x)", "Write a function f(x)", "Code f(x)", "Define f(x) in Python")
UNKNOWN = ("a number", "some number", "an unknown number")

Operation = tuple[str, int]


def exercises(
    split: str, *, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
) -> Iterator[tuple[int, Exercise]]:
    """Gives endless (index, exercise) of that split, as `Domain` says."""
    weights = [(_WRITTEN[rung - 1], rung) for rung in range(min_rung, max_rung + 1)]
    return drawn(split, f"{DOMAIN}/{purpose}", seed, weights, _exercise, lambda made: made.key, written=written)


def _exercise(dice: Dice, rung: int) -> Exercise:
    shown: list[int] = []
    while len(shown) < 2:
        start = dice.between(1, _LARGEST_INPUT)
        operations = _operations(dice, start, rung + 1)
        others = [x for x in range(1, _LARGEST_INPUT + 1) if x != start and _stays_small(operations, x)]
        shown = [start, dice.pick(others)] if others and _solvable(operations) else []
    unknown = dice.pick([place for place in range(len(operations)) if _can_miss(operations, place)])
    lines = [KINDS[kind].line.format(n=n) for kind, n in operations]
    return Exercise(
        question=_question(dice, operations, unknown, shown),
        lines=_working(operations, unknown, shown[0]),
        answer="\n    ".join(["def f(x):", *lines, "return x"]),
        frame="fence",
        reference={
            "calls": [{"args": [x], "expected": _values(operations, x)[-1]} for x in _hidden(dice, shown)],
            "entry": "f",
        },
        verifier="code",
        rung=rung,
        key="; ".join(lines),
    )


def _operations(dice: Dice, start: int, count: int) -> list[Operation]:
    """Gives operations that keep every value from `start` on within 1..HIGHEST; no kind twice in a row."""
    value, found = start, list[Operation]()
    while len(found) < count:
        kind = dice.weighted(((3.0, "+"), (3.0, "-"), (2.0, "*"), (1.0, "from"), (0.5, "max"), (0.5, "min")))
        numbers = [n for n in range(2, HIGHEST + 1) if 1 <= KINDS[kind].apply(value, n) <= HIGHEST]
        limited = kind in ("max", "min")
        repeated = bool(found) and found[-1][0] == kind
        if not numbers or repeated or (limited and any(one in ("max", "min") for one, _ in found)):
            continue
        n = dice.pick([n for n in numbers if abs(n - value) < 10 or not limited])
        value = KINDS[kind].apply(value, n)
        found.append((kind, n))
    return found


def _values(operations: list[Operation], x: int) -> list[int]:
    """Gives the input and the value after each operation."""
    values = [x]
    for kind, n in operations:
        values.append(KINDS[kind].apply(values[-1], n))
    return values


def _stays_small(operations: list[Operation], x: int) -> bool:
    return all(1 <= value <= HIGHEST for value in _values(operations, x))


def _can_miss(operations: list[Operation], place: int) -> bool:
    """Whether the number at `place` can be worked out: it and all behind it can be undone."""
    return all(KINDS[kind].back for kind, _ in operations[place:])


def _solvable(operations: list[Operation]) -> bool:
    return _can_miss(operations, len(operations) - 1)


def _question(dice: Dice, operations: list[Operation], unknown: int, shown: list[int]) -> str:
    told = []
    for place, (kind, n) in enumerate(operations):
        number = dice.pick(UNKNOWN) if place == unknown else str(n)
        told.append(dice.pick(KINDS[kind].wordings).format(n=number))
    steps = dice.pick((", then ", ", ", "; ")).join(told)
    first, second = (f"f({x}) = {_values(operations, x)[-1]}" for x in shown)
    return f"{dice.pick(OPENINGS)}: {steps}. {first}{dice.pick((', ', ' and '))}{second}."


def _working(operations: list[Operation], unknown: int, start: int) -> tuple[str, ...]:
    """Gives the calculations from the input forward, from the output back, and of the number where they meet."""
    values = _values(operations, start)
    steps = [
        (KINDS[kind], {"x": values[place], "n": n, "y": values[place + 1]})
        for place, (kind, n) in enumerate(operations)
    ]
    forward = [kind.forward.format(**fields) for kind, fields in steps[:unknown]]
    back = [kind.back.format(**fields) for kind, fields in reversed(steps[unknown + 1 :])]
    kind, fields = steps[unknown]
    return (*forward, *back, kind.missing.format(**fields))


def _hidden(dice: Dice, shown: list[int]) -> list[int]:
    """Gives inputs to test on: small ones that are not shown, and large ones on both sides that meet every limit."""
    small = dice.some([x for x in range(50) if x not in shown], 2)
    return [*small, *(dice.between(-99, -50) for _ in range(2)), *(dice.between(100, 150) for _ in range(2))]
