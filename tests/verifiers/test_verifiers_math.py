"""Equality of mathematical answers, on hand-picked pairs and on the labelled and hostile sets."""

import asyncio
import contextlib
import math
import runpy
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers import math as math_verifier
from rlvr.verifiers import memory
from rlvr.verifiers.equality import same_leaf
from rlvr.verifiers.latex import normalise
from rlvr.verifiers.rational import NotRationalError, UndefinedError, value
from rlvr.verifiers.scorer import Scorer

SHARED = Path(__file__).parents[3] / "shared"
SETS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "math_sets.py"))
"""How the benchmarks read the shared rows."""
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not beside this checkout")


def completion(text: str) -> Completion:
    return Completion(
        read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_), text, "stop", 0
    )


def task(reference: Any, verifier: str = "math") -> Task:
    return Task("t", ({"role": "user", "content": "?"},), reference, verifier, "test", "test")


def verdicts(pairs: Iterable[tuple[Any, str]]) -> list[Verdict]:
    """Gives the verdicts of (reference, completion text) pairs."""

    async def score() -> list[Verdict]:
        scorer = Scorer()
        found = await asyncio.gather(*(scorer.score(task(ref), [completion(text)]) for ref, text in pairs))
        return [one for (one,) in found]

    return asyncio.run(score())


def boxed(pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
    return verdicts([(reference, rf"So it is $\boxed{{{answer}}}$.") for reference, answer in pairs])


RIGHT = [
    *[
        ("18", a)
        for a in ("18", "18.", "18.0", "+18", r"\$18.00", "18 dollars", r"18\text{ eggs}", "x = 18", "36/2", "(18)")
    ],
    *[("1000", a) for a in ("1,000", r"1\,000", "1{,}000", "1 000", "10^3", "1.0\\times 10^{3}")],
    *[("\\frac{7}{4}", a) for a in ("1.75", r"1\frac{3}{4}", "1 3/4", "7/4", r"\dfrac74", "1¾", r"\frac{14}{8}")],
    *[("\\frac{1}{3}", a) for a in (r"0.\overline{3}", "0.333333", r"\frac{2}{6}", "⅓")],
    *[("\\sqrt{2}", a) for a in ("1.41421", "√2", "2^{1/2}", r"\frac{2}{\sqrt{2}}")],
    *[("0.5", a) for a in (r"50\%", r"\frac12", ".5")],
    *[("(1,2)", a) for a in (r"\left(1, 2\right)", "(1,2.0)", "1, 2")],
    *[("1,2", a) for a in ("2,1", r"\{2,1\}", r"1 \text{ and } 2", "x=1, x=2")],
    *[("[-2,7]", a) for a in (r"-2 \le x \le 7", "[-2,7.0]", "-2≤x≤7")],
    *[("\\text{Evelyn}", a) for a in ("Evelyn", r"\textbf{evelyn}", r"\text{Evelyn.}")],
    *[("x^2-1", a) for a in ("(x-1)(x+1)", "-1+x^2")],
    *[
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
        ("2^{100}", str(2**100)),
    ],
    *[("x<2 \\text{ or } x>3", r"(3,\infty)\cup(-\infty,2)"), ("204_5", "204"), ("\\pm 2", r"\pm 2"), ("x", "x+0")],
    *[("10\\text{ hours}", "10 h"), ("5\\text{ m}", "5m"), ("2\\pi\\text{ m}", r"2\pi m"), ("5x", "5 x"), ("5", "5 m")],
    *[("18", r"18\phantom{\frac{1}{2}}"), ("18", r"\vphantom{\{4}18")],
]
WRONG = [
    *[
        ("18", a)
        for a in (
            "19",
            "-18",
            "18.01",
            "18, 19",
            r"18 \text{ or } 19",
            r"\pm 18",
            "1,8",
            r"1\,8",
            r"\ge 18",
            "18 million",
        )
    ],
    *[
        ("4", a)
        for a in ("3=4", "4=3", "5=6=4", "4'", "4!", "3|4", r"\infty", r"\frac{0}{0}", "3\\boxed{4}", "4+x", "4 5")
    ],
    *[("\\frac{1}{3}", a) for a in ("0.33", "0.333334", "3", r"-\frac{1}{3}", r"\frac{1}{3}x")],
    *[("\\sqrt{2}", a) for a in ("1.4142", "1.41422", r"\sqrt{3}", r"\frac{14142135}{10000000}")],
    *[
        ("3.14159265", r"\pi"),
        ("\\pi", "3.14"),
        ("10^{-9}", "0"),
        ("10^{-7}", r"2\cdot 10^{-7}"),
        ("2\\pi", r"2\pi+10^{-8}"),
    ],
    *[("12345678901234567890", "12345678901234567891"), ("2^{100}", str(2**100 - 1)), ("22", "2²"), ("12", "1½")],
    *[("0.5\\%", r"50\%"), ("0.05", "5"), ("5\\text{ cm}", r"5\text{ m}"), ("1011_2", "1011_3"), ("204", "204_5")],
    *[
        ("(1,2)", "(2,1)"),
        ("(1,2,3)", "(1,2)"),
        ("[0,1)", "[0,1]"),
        ("1,1,2", "1,2"),
        ("\\{1,2\\}", "(1,2)"),
        ("345", "3,4,5"),
    ],
    *[("\\text{navy}", "vany"), ("\\text{navy}", r"\text{not navy}"), ("\\text{(C)}", r"\text{(A), (B), (C)}")],
    *[("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"), ("x=4", "y=4")],
    *[("5\\text{ cm}", "5 m"), ("5 cm", "5m"), ("5\\text{ m}", "5 s"), ("2\\pi\\text{ m}", r"2\pi s")],
    *[
        ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", r"\phantom{\begin{pmatrix}1&2\\3&4\end{pmatrix}}"),
        ("4", r"\phantom 4"),
    ],
    ("18", "3" + "!" * 60),
]


def test_right_answers_in_many_spellings_are_accepted() -> None:
    refused = [(pair, v) for pair, v in zip(RIGHT, boxed(RIGHT), strict=True) if v.outcome != 1.0]
    assert refused == []


def test_wrong_answers_that_look_right_are_refused() -> None:
    accepted = [(pair, v) for pair, v in zip(WRONG, boxed(WRONG), strict=True) if v.outcome != 0.0]
    assert accepted == []


def test_statuses_say_why_an_answer_is_wrong() -> None:
    texts = [
        "no box",
        r"\boxed{3} or \boxed{4}",
        r"\boxed{3, 4}",
        r"\boxed{9^{9^{9^{9}}}}",
        r"\boxed{__import__('os')}",
    ]
    found = verdicts([("4", text) for text in texts])
    assert [v.status for v in found] == ["no_answer", "hedged", "hedged", "timeout", "wrong_format"]
    assert [v.outcome for v in found] == [0.0] * 5


def test_parts_tell_the_path_of_the_decision() -> None:
    easy, hard = boxed([("4", "5"), ("x+1", "1+x")])
    assert easy.path == "fast"
    assert hard.path == "algebra"


def test_a_reference_can_name_another_slot() -> None:
    found = verdicts([({"answer": "26", "slot": "marked"}, "13 * 2\nA: 26"), ({"answer": "26"}, "A: 26")])
    assert [v.outcome for v in found] == [1.0, 0.0]


ROUNDED = {"answer": "3.14", "rounded": True}
REQUIRED = {"answer": r"5\text{ cm}", "units": "required"}
EXACT = {"answer": r"50\%", "percent": "exact"}
CHOICES = {"answer": "B", "choices": ["3", r"\frac{1}{2}", r"\sqrt{2}", "0.5x"]}


@pytest.mark.parametrize(
    ("reference", "answer", "outcome"),
    [
        *[(ROUNDED, "3.14", 1.0), (ROUNDED, "3.1416", 1.0), (ROUNDED, r"\pi", 1.0), (ROUNDED, r"\frac{22}{7}", 1.0)],
        *[(ROUNDED, "3.15", 0.0), (ROUNDED, "3.1351", 1.0), (ROUNDED, "3.1349", 0.0), (ROUNDED, r"\sqrt{10}", 0.0)],
        # Without the option a decimal reference is met by that number only, and an integer is never rounded.
        *[("3.14", r"\pi", 0.0), ({"answer": "3", "rounded": True}, r"\pi", 0.0)],
        *[(REQUIRED, r"5\text{ cm}", 1.0), (REQUIRED, "5", 0.0), (REQUIRED, r"5\text{ m}", 0.0)],
        *[(EXACT, r"50\%", 1.0), (EXACT, "0.5", 1.0), (EXACT, "50", 0.0), (r"50\%", "50", 1.0)],
        *[(CHOICES, "B", 1.0), (CHOICES, r"\text{(b)}", 1.0), (CHOICES, "0.5", 1.0), (CHOICES, r"\frac{2}{4}", 1.0)],
        *[(CHOICES, "A", 0.0), (CHOICES, "3", 0.0), (CHOICES, "E", 0.0), (CHOICES, r"2^{1/2}", 0.0)],
    ],
)
def test_a_reference_can_ask_for_more_or_less(reference: Any, answer: str, outcome: float) -> None:
    (found,) = verdicts([(reference, rf"So $\boxed{{{answer}}}$.")])
    assert found.outcome == outcome


def test_a_choice_that_equals_two_of_them_is_wrong() -> None:
    twice = {"answer": "A", "choices": ["0.5", r"\frac{1}{2}"]}
    letter, text = verdicts([(twice, r"\boxed{A}"), (twice, r"\boxed{0.5}")])
    assert (letter.outcome, text.outcome) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"answer": "4", "unit": "required"}, "unknown key 'unit'"),
        ({"answer": "4", "units": "ignored"}, "units is 'ignored'"),
        ({"answer": "4", "slot": ["boxed"]}, "unknown slot"),
        ({"answer": "4", "choices": ["3", "4"]}, "has to be the letter"),
        ({"answer": "C", "choices": ["3", "4"]}, "has to be the letter"),
        ({"answer": "A", "choices": "34"}, "list of strings"),
        ({"answer": "A", "choices": ["9^{9^{9^9}}", "4"]}, "too heavy"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(reference: Any, said: str) -> None:
    assert said in (math_verifier.check_reference(reference) or "")


@pytest.mark.parametrize("reference", [None, 4, {"answer": 4}, {"answer": "4", "slot": "nowhere"}, "", r"\text{}", []])
def test_a_broken_reference_is_no_zero(reference: Any) -> None:
    (found,) = verdicts([(reference, r"\boxed{4}")]) if reference != r"\text{}" else [Verdict(None, "bad_reference")]
    assert (found.outcome, found.status) == (None, "bad_reference")


@pytest.mark.parametrize(
    "reference", ["18", r"\frac{3}{4}", "x^2+1", r"\text{Evelyn}", "(1,2]", "1,2", r"\pm 3", "y=2x"]
)
def test_good_references_equal_themselves(reference: str) -> None:
    assert math_verifier.check_reference(reference) is None


@pytest.mark.parametrize("reference", [r"\frac{0}{0}", r"\frac{", "9^{9^{9^9}}", "", {"gold": "4"}, 18])
def test_references_that_cannot_be_checked_are_named(reference: Any) -> None:
    assert math_verifier.check_reference(reference)


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        # A command's backslash is none that a line break has, and a root reaches over what does not show.
        (r"\\%", r"\\%"),
        (r"\\$0", r"\\ 0"),
        ("\\\tn", "n"),
        (r"\~y", "y"),
        ("√\u200b1", r"\sqrt{1}"),
        (r"√\,y", r"\sqrt{y}"),
        ("√$x", r"\sqrt{x}"),
    ],
)
def test_one_normalisation_settles_the_spelling(text: str, settled: str) -> None:
    assert normalise(text) == settled
    assert normalise(settled) == settled


def test_the_same_question_goes_to_the_pool_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    pool = memory.shared()

    class Counting:
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(args)
            return pool.submit(*args, **kwargs)

    monkeypatch.setattr(memory, "shared", lambda: Counting())
    found = boxed([("x^3+7", "7+x^3")] * 16)
    assert [v.outcome for v in found] == [1.0] * 16
    assert len(asked) == 1


rationals = st.fractions(min_value=-1000, max_value=1000, max_denominator=999)


@given(rationals)
def test_every_spelling_of_a_rational_has_its_value(number: Fraction) -> None:
    sign, size = ("-" if number < 0 else ""), abs(number)
    plain = rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}"
    spellings = [
        plain,
        f"{number.numerator}/{number.denominator}",
        rf"{plain} + 0",
        rf"2 \cdot {plain} / 2" if not sign else plain,
    ]
    if size.denominator == 1 and size > 9:
        digits = str(size.numerator)
        spellings.append(rf"{sign}{digits[0]}.{digits[1:]} \times 10^{{{len(digits) - 1}}}")
        spellings.append(f"{sign}{digits[0]}.{digits[1:]}e{len(digits) - 1}")
    if size > 1 and size.denominator > 1:
        rest = size - math.floor(size)
        spellings.append(rf"{sign}{math.floor(size)}\frac{{{rest.numerator}}}{{{rest.denominator}}}")
        spellings.append(f"{sign}{math.floor(size)} {rest.numerator}/{rest.denominator}")
    assert [value(normalise(text)) for text in spellings] == [number] * len(spellings)


@given(rationals, rationals)
def test_two_rationals_are_equal_only_if_they_are(a: Fraction, b: Fraction) -> None:
    assert same_leaf(f"{a.numerator}/{a.denominator}", f"{b.numerator}/{b.denominator}") is (a == b)


@given(st.text(alphabet="0123456789+-*/^(){}[].,!\\ %frac sqrt=<>_|'\"π½²", max_size=60))
def test_no_text_makes_the_exact_parser_fail_otherwise_than_by_saying_so(text: str) -> None:
    with contextlib.suppress(NotRationalError):
        value(normalise(text))
    math_verifier.too_heavy(normalise(text))
    math_verifier._decide("4", text)


def test_divisions_by_zero_are_told_from_unreadable_text() -> None:
    with pytest.raises(UndefinedError):
        value(r"\frac{1}{1-1}")
    with pytest.raises(NotRationalError, match="too large"):
        value("9^{999999}")


def rows(name: str, every: int = 1) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = SETS["read"](SHARED / name)
    return read[::every]


def mistakes(labelled: Sequence[dict[str, Any]], slot: str = "boxed") -> list[tuple[Any, ...]]:
    found = verdicts([({"answer": row["gold"], "slot": slot}, row["pred"]) for row in labelled])
    return [
        (row["id"], row["gold"], v.extracted, v.outcome)
        for row, v in zip(labelled, found, strict=True)
        if v.outcome != float(row["label"])
    ]


@needs_shared
@pytest.mark.parametrize(
    ("name", "slot", "every"),
    [
        ("data/labelled/gsm8k_model_solutions.jsonl.gz", "marked", 7),
        ("data/labelled/gsm8k_model_solutions_boxed.jsonl.gz", "boxed", 7),
        ("data/labelled/math500_gold_self.jsonl", "boxed", 1),
        ("data/labelled/math500_solution_self.jsonl", "boxed", 1),
        ("data/labelled/math500_mismatch.jsonl", "boxed", 5),
        ("corpora/math_variants.jsonl.gz", "boxed", 5),
    ],
)
def test_labelled_sets_are_judged_without_a_mistake(name: str, slot: str, every: int) -> None:
    assert mistakes(rows(name, every), slot) == []


POLICY_DEPENDENT_REFUSALS = {
    "adv062": "a power of seven million digits is not evaluated",
    "adv066": "a box over the length cap",
    "adv067": "a box over the length cap",
    "adv115": "units are not converted",
    "adv210": "a TeX comment is no comment here",
    "adv220": "a box over the length cap",
    "adv257": "a bare number is no answer",
    "adv258": "a bare number is no answer",
    "adv260": "a bare number is no answer",
}


@needs_shared
def test_the_hostile_corpus_is_judged_by_the_policy_and_nothing_is_executed(tmp_path: Path) -> None:
    labelled = [
        {"id": r["id"], "gold": r["gold"], "label": r["expected"], "pred": SETS["expanded"](r["completion"])}
        for r in rows("corpora/math_answers.jsonl")
    ]
    for row in labelled:
        row["pred"] = row["pred"].replace("{{CANARY}}", str(tmp_path))
    assert {identity for identity, *_ in mistakes(labelled)} == set(POLICY_DEPENDENT_REFUSALS)
    assert list(tmp_path.iterdir()) == []


def test_a_poisoned_answer_is_wrong_with_status_timeout_and_remembered() -> None:
    # The screen lets it pass, but computer algebra does not come to an end with it in time.
    poison = r"\frac{(x+y+z)^{59}}{(x-y)^{57}}"
    first, second = boxed([(r"\frac{\pi^2}{7}", poison)] * 2)
    assert (first.outcome, first.status) == (0.0, "timeout")
    assert (second.outcome, second.status) == (0.0, "timeout")
    assert first.path == "algebra"
    start = asyncio.run(_timed(poison))
    assert start < 0.5


async def _timed(poison: str) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await Scorer().score(task(r"\frac{\pi^2}{7}"), [completion(rf"So it is $\boxed{{{poison}}}$.")])
    return loop.time() - start


@pytest.mark.parametrize(
    "reference",
    [
        "She sold 48/2 = <<48/2=24>>24 clips in May.\nThat is 24 and 48 more.\n#### 72",
        r"We have $x=2$, so $\boxed{70}$ and two more. Therefore the answer is $\boxed{72}$.",
        {"answer": "#### 72"},
    ],
)
def test_a_reference_may_be_a_whole_solution_as_math_and_gsm8k_publish_them(reference: Any) -> None:
    assert math_verifier.check_reference(reference) is None
    assert [v.outcome for v in verdicts([(reference, r"\boxed{72}"), (reference, r"\boxed{24}")])] == [1.0, 0.0]


@pytest.mark.parametrize("reference", [r"\boxed{72} or \boxed{73}", r"\boxed{72", "so\n####", "It costs #### dollars"])
def test_a_solution_that_states_no_single_answer_is_a_bad_reference(reference: str) -> None:
    assert math_verifier.check_reference(reference) == "the reference answer is empty"
    assert [(v.outcome, v.status) for v in verdicts([(reference, r"\boxed{72}")])] == [(None, "bad_reference")]
