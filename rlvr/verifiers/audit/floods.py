"""Attacks by size: megabytes, a hundred thousand boxes or braces, and short expressions of huge values."""

from collections.abc import Iterator

from rlvr.verifiers.audit.cases import BOXES, Target

MANY = 100_000
_FILLER = "so we go on, and on, "


def very_long(target: Target) -> Iterator[tuple[str, str]]:
    """Gives (name, completion) of long texts that hold no right answer in the slot."""
    wrong = target.others[0]
    yield "2 MB of words", _FILLER * MANY
    yield "a million digits", target.placed("7" * 1_000_000)
    yield "open braces", target.placed("{" * MANY)
    yield "nested braces", target.placed("{" * MANY + wrong + "}" * MANY)
    yield "brackets", "[" * MANY
    yield "open thinking", "<think>" * MANY
    yield "open tags", "<answer>" * MANY + target.placed(wrong)
    if target.single:
        yield "thinking", "</think>" * MANY + target.placed(wrong)
        yield "backslashes", target.placed("\\" * MANY)
    if target.single and target.slot in BOXES:
        yield "open boxes", r"\boxed{" * MANY + wrong
        yield "boxes", rf"\boxed{{{wrong}}} " * MANY
        half = rf"\boxed{{{wrong}}} " * (MANY // 2)
        yield "boxes, a right one among them", rf"{half}\boxed{{{target.right}}} {half}"


def blow_up(target: Target) -> Iterator[tuple[str, str]]:
    """Gives (name, completion) of answers whose value is too large to compute."""
    for name, text in (
        ("tower", "9^{9^{9^{9^{9}}}}"),
        ("tower in Python", "9**9**9**9**9"),
        ("power of powers", "((((((10^{99})^{99})^{99})^{99})^{99})^{99})"),
        ("factorial", "99999999!"),
        ("factorials", "3" + "!" * 60),
        ("sum", r"\sum_{n=1}^{10^{12}} \frac{1}{n}"),
        ("binomial", r"\binom{99999999}{44444444}"),
        ("expansion", "(a+b+c+d)^{9999}"),
        ("fractions", r"\frac{1}{1+" * 150 + "1" + "}" * 150),
        ("roots", r"\sqrt{2+" * 150 + "1" + "}" * 150),
        ("exponent", "1e999999999"),
        ("long decimal", f"0.{'3141592653' * 190}"),
    ):
        yield name, target.placed(text)
