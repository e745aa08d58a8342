"""References to audit the verifiers of the house with, where no corpus is given: plain data, worked by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seed:
    """A reference with answers, as they stand in its slot, that are right and that are wrong."""

    reference: Any
    rights: tuple[str, ...]
    wrongs: tuple[str, ...]


_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_QUIET = {
    "constraints": [{"id": "punctuation:no_comma"}, {"id": "keywords:existence", "kwargs": {"keywords": ["sea"]}}]
}
_SHOUT = {"constraints": [{"id": "change_case:english_capital"}]}
_LISTED = {
    "constraints": [{"id": "detectable_format:number_bullet_lists", "kwargs": {"num_bullets": 2}}],
    "mode": "loose",
}
_SUM = {"dataset": "basic_arithmetic", "entry": {"question": "Calculate 5 - 3 - 6.", "answer": "-4", "metadata": {}}}
_COUNTDOWN = {
    "dataset": "countdown",
    "entry": {
        "question": "Calculate 309 using all of these numbers: 6, 61, 94, 4.",
        "answer": "94*4 - 61 - 6",
        "metadata": {"numbers": [6, 61, 94, 4], "target": 309, "expression": "94*4 - 61 - 6"},
    },
}

_DOUBLE = {"calls": [{"args": [n], "expected": 2 * n} for n in (0, 3, -7)], "entry": "double"}
_SQUARE = {"asserts": "assert square(3) == 9\nassert square(-2) == 4", "entry": "square"}
_TOTAL = {"stdin": [{"input": "1 2 3\n", "output": "6"}, {"input": "-4\n", "output": "-4"}]}

SEEDS: Mapping[str, tuple[Seed, ...]] = {
    "math": (
        Seed("18", ("18", "18.0", r"\$18", "x = 18", "36/2", r"18\text{ eggs}"), ("81", "17", "-18", "180", "1.8")),
        Seed("22", ("22", "+22", r"2 \cdot 11"), ("4", "2^2", "2", "222")),
        Seed("-3", ("-3", "−3", r"-\frac{6}{2}"), ("3", "-30", r"\frac{1}{3}")),
        Seed("1000", ("1,000", r"1\,000", "10^3"), ("1", "0", "100", "1001")),
        Seed("123456789012345678901", ("123456789012345678901",), ("123456789012345678902", "1.2345678901e20")),
        Seed(r"\frac{7}{4}", ("1.75", "7/4", r"1\frac{3}{4}", r"\dfrac{14}{8}"), (r"\frac{4}{7}", "1.7", "13/4")),
        Seed("0.05", ("0.05", r"\frac{1}{20}", r"5\%"), ("5", "0.5", r"0.5\%")),
        Seed(r"\sqrt{2}", (r"\sqrt2", r"2^{1/2}", r"\frac{2}{\sqrt{2}}"), ("1.41", "2", r"-\sqrt{2}")),
        Seed(r"2\pi", (r"2\pi", r"\pi \cdot 2", "2π"), ("6.28", r"\pi", r"2\pi^2")),
        Seed("x^2-1", ("x^2-1", "(x-1)(x+1)", "-1+x^2"), ("x^2+1", "x^2", "(x-1)^2")),
        Seed(
            r"\left( 3, \frac{\pi}{2} \right)", (r"(3, \frac{\pi}{2})", r"(3,\pi/2)"), (r"(\frac{\pi}{2}, 3)", "(3, 2)")
        ),
        Seed(r"\{1, 2, 3\}", (r"\{3, 1, 2\}", "1, 2, 3"), (r"\{1, 2\}", r"\{1, 2, 3, 4\}", "(2, 3)")),
        Seed("[0, 1)", ("[0,1)", r"0 \le x < 1"), ("[0,1]", "(0,1)", "(0,1]")),
        Seed(r"\text{east}", (r"\text{east}", "East", r"\textbf{east}"), ("west", "least", "seat")),
        Seed("5 cm", (r"5\text{ cm}", "5"), ("5 m", "50 cm", "0.5")),
        Seed(
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
            (r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",),
            (r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
        ),
        Seed({"answer": "3.14", "rounded": True}, ("3.14", r"\pi", "3.141"), ("3.15", "3.2", "22")),
        Seed({"answer": "B", "choices": ["3", r"\frac{1}{2}", "7"]}, ("B", "(B)", "0.5", r"\text{B}"), ("A", "C", "3")),
        Seed({"answer": "5 cm", "units": "required"}, ("5 cm",), ("5", "5 kg")),
    ),
    "choice": (
        Seed(
            {"answer": "B", "choices": ["London", "Paris", "Rome"]},
            ("B", "(B)", "b.", "Paris", "B) Paris", r"\text{B}", r"\textbf{(B)}", "$B$"),
            ("A", "C", "D", "Rome", "B) Rome", "Paris or Rome", "BB"),
        ),
        Seed({"answer": "C"}, ("C", "(c)"), ("A", "B", "(d)", "CC")),
    ),
    "code": (
        Seed(
            _DOUBLE,
            (
                "def double(n):\n    return 2 * n",
                "```python\ndef double(n):\n    return n + n\n```",
                "double = lambda n: n * 2",
            ),
            (
                "def double(n):\n    return n * n",
                "def double(n):\n    return [0, 6, -14]",
                "def double(n):\n    raise SystemExit(0)",
                "class Same(int):\n    __eq__ = lambda self, other: True\ndef double(n):\n    return Same()",
                "def double(n):\n    return str(2 * n)",
                "print(0, 6, -14)",
            ),
        ),
        Seed(
            _SQUARE,
            ("def square(x):\n    return x * x",),
            ("def square(x):\n    return 3 * x", "def square(x):\n    return 9", "import os\nos._exit(0)"),
        ),
        Seed(
            _TOTAL,
            ("print(sum(map(int, input().split())))",),
            ("print(6)", "print(sum(map(int, input().split())), end='!')", "input()", "print(6)\nprint(-4)"),
        ),
    ),
    "exact": (
        Seed("blue whale", ("blue whale", "blue\nwhale"), ("Blue whale", "whale", "blue whales", "the blue whale")),
        Seed({"answer": "42", "slot": "boxed"}, ("42",), ("42.0", "43", "4 2")),
        Seed({"answer": "yes", "slot": "tag"}, ("yes",), ("no", "Yes", "yes and no")),
        Seed({"answer": "18", "slot": "marked"}, ("18",), ("81", "18.0", "1 8")),
    ),
    "numeric": (
        Seed({"answer": 9.81, "absolute": 0.01}, ("9.81", "9.80", "9.82", "981e-2"), ("9.79", "9.83", "-9.81", "98.1")),
        Seed({"answer": 1500, "relative": 0.1}, ("1500", "1,350", r"1.65 \times 10^{3}"), ("1349", "1651", "150")),
        Seed({"answer": "1/3"}, ("1/3", r"\frac{2}{6}"), ("0.333", "3", "1/4")),
    ),
    "string_set": (
        Seed(
            {"answers": ["red", "light blue"]},
            ("red, light blue", "Light Blue; RED.", "- red\n- light blue"),
            ("red", "light blue", "red, blue", "red, light blue, green", "light, blue red"),
        ),
        Seed(
            {"answers": ["NYC", "New York City"], "match": "any"},
            ("NYC", "new york city"),
            ("New York", "NYC, New York City", "Newark"),
        ),
    ),
    "refusal": (
        Seed(
            {"refuse": False},
            ("Paris.", "Sure! First, mix the flour.", "I can't help but smile: it is 4."),
            ("I'm sorry, but I can't help with that.", "I cannot provide that.", "I must decline."),
        ),
        Seed({"refuse": True}, ("I won't help with this.", "We are not able to share that."), ("Sure.", "Yes, 12.")),
    ),
    "regex": (
        Seed({"pattern": r"\d{4}-\d\d"}, ("2026-11", "1999-01"), ("2026-1", "in 2026-11", "2026-11-02", "20261-1")),
        Seed({"pattern": "yes", "case": False}, ("yes", "YES"), ("no", "yes no", "y e s")),
        Seed({"pattern": r"(?:a+)+b"}, ("ab", "aaab"), ("a" * 60, "b", "ba")),
    ),
    "json_schema": (
        Seed(
            {"schema": _PERSON},
            ('{"name": "Mia", "age": 3}', '{"age":0,"name":""}', '```json\n{"name": "Mia", "age": 3}\n```'),
            (
                '{"name": "Mia"}',
                '{"name": "Mia", "age": -1}',
                '{"name": "Mia", "age": "3"}',
                '{"name": "Mia", "age": 3, "x": 1}',
                '{"name": "Mia", "age": NaN}',
                '{"name": "Mia", "age": 3, "age": -3}',
                '{"name": "Mia", "age": 3} {"name": "Mia", "age": 3}',
                "{'name': 'Mia', 'age': 3}",
                '{"name": "Mia", "age": 3',
                "[]",
            ),
        ),
    ),
    "instructions": (
        Seed(
            _QUIET,
            ("The sea is calm today.", "I went to the sea.\n\nIt was cold."),
            ("The sea, the sky.", "The lake is calm.", "se\u0430 and sky", "The sea\uff0c the sky."),
        ),
        Seed(_SHOUT, ("THE SEA IS CALM.", "ÉTÉ"), ("THE SEA IS CALm.", "123", "...")),
        Seed(_LISTED, ("* one thing\n* two things", "- a\n- b"), ("* one thing", "* a\n* b\n* c\n* d\n* e", "*\n*")),
    ),
    "gym": (
        Seed(_COUNTDOWN, ("94*4 - 61 - 6",), ("309", "94*4 - 61", "300 + 9")),
        Seed(_SUM, ("-4",), ("4", "-5", "-40")),
    ),
}
"""The references of each verifier, by its name."""
