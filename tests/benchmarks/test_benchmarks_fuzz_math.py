"""The first cases of the fuzzing of the math verifier, and that a broken property is found and shrunk."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.verifiers.pool import close_shared, configure_shared

ROOT = Path(__file__).resolve().parents[2]
NUM_CASES = {
    "math_verify agrees": 20,
    "equality is symmetric": 60,
    "a reference equals itself": 60,
    "a wrong answer stays wrong": 150,
}
"""Cases of the properties that ask worker processes; of the others there are 300."""
NAMES = (
    "extract reads",
    "extract leaves thinking alone",
    "the exact path judges",
    "the exact path judges completions",
    "the spelling settles",
    "values are exact",
    "equality is symmetric",
    "a reference equals itself",
    "a wrong answer stays wrong",
    "a wrong form stays wrong",
    "math_verify agrees",
)


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        close_shared()  # workers get the import path of the moment when they start
        configure_shared(1)
        yield importlib.import_module("fuzz_math")
        close_shared()
        configure_shared(0)
    for name in ("fuzz_math", "fuzz_math_cases"):
        sys.modules.pop(name, None)


def test_every_property_is_tried_here(fuzz: Any) -> None:
    assert set(fuzz.PROPERTIES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cases_of_each_property_hold(fuzz: Any, name: str) -> None:
    found = [fuzz.attempt(name, 0, number) for number in range(NUM_CASES.get(name, 300))]
    assert [find for find in found if find is not None] == []


def test_a_case_that_breaks_a_property_is_shrunk_to_what_breaks_it(fuzz: Any) -> None:
    prop = fuzz.Property(lambda draw, seeds: (), lambda left, right: "both" if "4" in left and "x" in right else "")
    assert fuzz.shrunk(prop, ("12345", "wxyz")) == ("4", "x")


def test_an_exception_and_a_slow_case_are_faults(fuzz: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz.broken(fuzz.Property(lambda draw, seeds: (), lambda text: text.missing), ("a",)).startswith("Attribute")
    monkeypatch.setattr(fuzz, "CAP_SECONDS", -1.0)
    assert "CPU-seconds" in fuzz.broken(fuzz.Property(lambda draw, seeds: (), lambda text: ""), ("a",))
    assert fuzz.broken(fuzz.Property(lambda draw, seeds: (), lambda text: "", timed=False), ("a",)) == ""


def test_the_properties_tell_right_from_wrong(fuzz: Any) -> None:
    # Each is given a case that it must find wrong, made by hand.
    assert fuzz.value_is_known(r"\frac{1}{2}", "2/1")
    assert fuzz.wrong_stays_wrong("4", "5", r"\boxed{RIGHT}")
    assert fuzz.agrees_with_library("1/2", "1/2") == ""
    assert fuzz.drawn("extract reads", 3, 7) == fuzz.drawn("extract reads", 3, 7)
    assert fuzz.drawn("extract reads", 3, 7) != fuzz.drawn("extract reads", 4, 7)
