import collections
import math
from typing import Any

import pytest

from rlvr.verifiers.sandbox.compare import Test, holds, same, same_output


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (3.0, 3),
        (3, 3.0),
        (True, True),
        (None, None),
        ("a", "a"),
        ([1, [2]], [1, [2]]),
        ((1, 2), [1, 2]),
        ([(1, 2)], [[1, 2]]),
        ({"a": [1]}, {"a": [1]}),
        (collections.Counter(a=1), {"a": 1}),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (10**400, 10**400),
        ([], []),
    ],
)
def test_a_case_is_met_by_the_same_json_value(value: Any, expected: Any) -> None:
    assert same(value, expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1),
        (1, True),
        (False, 0),
        (0, False),
        (0, None),
        ("", None),
        (None, False),
        ([True], [1]),
        ({"a": 1}, {"a": True}),
        ({1: "a"}, {"1": "a"}),
        ({True: "a"}, {1: "a"}),
        ("1", 1),
        (1, "1"),
        ("ab", ["a", "b"]),
        (["a", "b"], "ab"),
        ({1, 2}, [1, 2]),
        (collections.deque([1]), [1]),
        (range(2), [0, 1]),
        (b"a", "a"),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        (1 + 0j, 1),
        (1.0000000001, 1),
        (math.nan, 1),
        (1, math.nan),
        (10**400, 1.0),
        (10**400, math.inf),
    ],
)
def test_a_case_is_not_met_by_a_value_that_is_only_similar(value: Any, expected: Any) -> None:
    assert not same(value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "met"),
    [
        (1.0000000001, 1, True),
        (1.0000000001, 1.0, True),
        ([0.30000000000000004], [0.3], True),
        (1e12 + 1, 1e12, True),
        (0.3001, 0.3, False),
        (10**12 + 1, 10**12, False),
        (True, 1.0, False),
        (math.nan, 1.0, False),
        (math.inf, 1.0, False),
        ("0.3", 0.3, False),
        (10**400, 1.0, False),
    ],
)
def test_a_tolerance_covers_floats_and_nothing_else(value: Any, expected: Any, met: bool) -> None:
    assert holds(Test("same", expected, tolerance=1e-9), value) is met


@pytest.mark.parametrize(
    ("value", "expected", "met"),
    [
        (True, 1, True),
        (1, True, True),
        (1.0, 1, True),
        ((1,), [1], False),
        ({1, 2}, {2, 1}, True),
        (math.nan, math.nan, False),
        (collections.deque([1]), [1], False),
        (collections.Counter(a=1), {"a": 1}, True),
        (b"a", "a", False),
        ("1", 1, False),
    ],
)
def test_a_double_equals_sign_means_equality_of_python(value: Any, expected: Any, met: bool) -> None:
    assert holds(Test("equal", expected), value) is met
    assert holds(Test("unequal", expected), value) is not met


def test_identity_is_stricter_than_equality() -> None:
    assert holds(Test("is", True), True)
    assert not holds(Test("is", True), 1)
    assert not holds(Test("is", None), False)
    assert holds(Test("is_not", None), 0)
    assert not holds(Test("is_not", None), None)


def test_truth_and_falsehood_are_those_of_python() -> None:
    assert holds(Test("truth"), [0])
    assert not holds(Test("truth"), [])
    assert holds(Test("falsehood"), "")
    assert not holds(Test("falsehood"), "False")


@pytest.mark.parametrize(
    ("value", "met"),
    [
        (0.33, True),
        (0.3300001, True),
        (0.34, False),
        (math.nan, False),
        (math.inf, False),
        ("0.33", False),
        ([], False),
    ],
)
def test_a_difference_below_the_tolerance_is_near(value: Any, met: bool) -> None:
    assert holds(Test("near", 0.33, tolerance=1e-6), value) is met


def test_the_bound_itself_is_near_only_where_the_test_says_so() -> None:
    assert not holds(Test("near", 1, tolerance=1), 2)
    assert holds(Test("near_or_at", 1, tolerance=1), 2)
    assert not holds(Test("near", 1.5, tolerance=1.0), 10**400)


def test_isclose_takes_its_own_tolerances_and_refuses_what_is_no_number() -> None:
    assert holds(Test("isclose", 4188.79, tolerance=1e-3), 4190)
    assert not holds(Test("isclose", 4188.79, tolerance=1e-3), 4200)
    assert holds(Test("isclose", 0.0, tolerance=1e-9, floor=0.1), 0.05)
    assert not holds(Test("isclose", 1.0, tolerance=1e-3), "1.0")
    assert not holds(Test("isclose", 1.0, tolerance=1e-3), math.nan)


def test_membership_works_both_ways_and_never_raises_or_hangs() -> None:
    assert holds(Test("member", [1, 2]), 2)
    assert not holds(Test("member", [1, 2]), 3)
    assert not holds(Test("member", {1, 2}), [1])
    assert not holds(Test("member", "abc"), 1)
    assert holds(Test("contains", "b"), "abc")
    assert not holds(Test("contains", "b"), 7)
    assert not holds(Test("contains", 0.5), range(10**18))
    assert holds(Test("contains", 3), range(10**18))


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        (b"3 1\n", "3 1\n", True),
        (b"3 1", "3 1\n", True),
        (b"3 1  \r\n\n\n", "3 1\n", True),
        (b"1\n\n2\n", "1\n\n2", True),
        (b"1\n2\n", "1\n\n2", False),
        (b"3  1", "3 1", False),
        (b" 3 1", "3 1", False),
        (b"\n3 1", "3 1", False),
        (b"3 1\ndebug", "3 1", False),
        (b"", "", True),
        (b"\n\n", "", True),
        (b"", "0", False),
        (b"YES", "yes", False),
        (b"1.0", "1", False),
        (b"0.30000000001", "0.3", False),
        ("é".encode(), "é", True),
        (b"\xff\xfe", "\ufffd\ufffd", False),
        (b"a\x00", "a", False),
    ],
)
def test_outputs_are_compared_as_contest_judges_do(output: bytes, expected: str, same: bool) -> None:
    assert same_output(output, expected) is same


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        (b"0.30000000001 x", "0.3 x", True),
        (b"0.31 x", "0.3 x", False),
        (b"0.3 y", "0.3 x", False),
        (b"nan", "0.3", False),
        (b"nan", "nan", True),
        (b"inf", "1e999", False),
        (b"0.3\n1", "0.3", False),
        (b"0.3 1", "0.3", False),
    ],
)
def test_an_output_may_have_a_tolerance_for_its_numbers(output: bytes, expected: str, same: bool) -> None:
    assert same_output(output, expected, tolerance=1e-9) is same
