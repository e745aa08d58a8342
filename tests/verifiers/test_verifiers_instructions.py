"""Constraints on a text: what each check counts, what a bad reference is told, and how hostile text is met."""

import inspect
import time
from typing import Any

import numpy as np
import pytest

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.instructions import arguments
from rlvr.verifiers.instructions.catalogue import CONSTRAINTS
from rlvr.verifiers.instructions.verify import MAX_CHARACTERS, VERSION, check_reference, verify
from rlvr.verifiers.table import REFERENCE_CHECKS, VERIFIERS, VERSIONS

LOWER = {"id": "change_case:english_lowercase", "kwargs": {}}
SIX = {"id": "count:words_exactly", "kwargs": {"num_words": 6}}
LAMP = {"id": "keywords:existence", "kwargs": {"keywords": ["lamp"]}}
RIVER = {"id": "startend:end_checker", "kwargs": {"end_phrase": "river"}}


def verdict(text: str, *constraints: dict[str, Any], **options: str) -> Verdict:
    reference = {"constraints": list(constraints), **options}
    task = Task("t", ({"role": "user", "content": "?"},), reference, "instructions", "test", "test")
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    return verify(task, Completion(ids, logprobs, trainable, text, "stop", 0))


def test_a_text_that_keeps_every_constraint_is_right_and_each_is_a_part() -> None:
    found = verdict("a red lamp near the river", LOWER, SIX, LAMP, RIVER)
    assert (found.outcome, found.status, found.extracted) == (1.0, "ok", "a red lamp near the river")
    assert found.parts == {
        "change_case:english_lowercase/0": 1.0,
        "count:words_exactly/1": 1.0,
        "keywords:existence/2": 1.0,
        "startend:end_checker/3": 1.0,
    }


def test_one_broken_constraint_makes_the_outcome_0_and_the_parts_say_which() -> None:
    found = verdict("the red lamp near a Hill", LOWER, SIX, LAMP, RIVER)
    assert (found.outcome, found.status) == (0.0, "ok")
    assert list(found.parts.values()) == [0.0, 1.0, 1.0, 0.0]


def test_a_constraint_that_comes_twice_has_two_parts() -> None:
    other = {"id": "keywords:existence", "kwargs": {"keywords": ["owl"]}}
    assert verdict("a lamp", LAMP, other).parts == {"keywords:existence/0": 1.0, "keywords:existence/1": 0.0}


def test_only_the_text_after_the_thinking_part_counts() -> None:
    assert verdict("<think>LAMP?</think>a red lamp near the river", LOWER, SIX).outcome == 1.0
    found = verdict("<think>a lamp</think>an owl", LAMP)
    assert (found.outcome, found.status) == (0.0, "ok")


@pytest.mark.parametrize("text", ["", " \n\t", "<think>a lamp", "<think>a lamp</think>\n", "\u200b\ufeff"])
def test_without_a_text_there_is_no_answer(text: str) -> None:
    # A text of no words would keep "fewer than 9 words" and "no comma".
    fewer = {"id": "length_constraints:number_words", "kwargs": {"num_words": 9, "relation": "less than"}}
    found = verdict(text, fewer, {"id": "punctuation:no_comma", "kwargs": {}})
    assert (found.outcome, found.status) == (0.0, "no_answer")


@pytest.mark.parametrize(
    ("name", "kwargs", "text", "kept"),
    [
        ("change_case:english_lowercase", {}, "ok", True),
        ("change_case:english_lowercase", {}, "a lamp, 3 owls!", True),
        ("change_case:english_lowercase", {}, "a Lamp", False),
        ("change_case:english_lowercase", {}, "123", False),
        ("change_case:english_lowercase", {}, "straße é", True),
        # don, t, well, known, a_b, 3: six words.
        ("count:words_exactly", {"num_words": 6}, "don't well-known a_b 3 …", True),
        ("count:words_exactly", {"num_words": 3}, "don't well-known", False),
        ("count:words_exactly", {"num_words": 2}, "one\x85two", True),
        ("change_case:english_lowercase", {}, "привет мир", False),
        ("change_case:english_capital", {}, "ПРИВЕТ МИР", False),
        ("change_case:english_capital", {}, "ÉTÉ À PARIS, МИР", True),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "a b c", True),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "a b", False),
        ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "a b", True),
        ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "a b c", False),
        ("keywords:existence", {"keywords": ["art"]}, "A PARTY", True),
        ("keywords:existence", {"keywords": ["lamp", "owl"]}, "a lamp", False),
        ("keywords:existence", {"keywords": ["a.c"]}, "abc", False),
        ("keywords:frequency", {"keyword": "owl", "frequency": 2, "relation": "at least"}, "Owl and owls", True),
        ("keywords:frequency", {"keyword": "aa", "frequency": 2, "relation": "at least"}, "aaa", False),
        ("keywords:frequency", {"keyword": "owl", "frequency": 2, "relation": "less than"}, "owl, owl", False),
        ("count:word_exactly", {"keyword": "owl", "frequency": 1}, "Owl and owls", True),
        ("count:word_exactly", {"keyword": "owl", "frequency": 2}, "owl,owl owl", False),
        ("count:word_exactly", {"keyword": "owl", "frequency": 0}, "a lamp", True),
        ("keywords:forbidden_words", {"forbidden_words": ["rock"]}, "a rocket", True),
        ("keywords:forbidden_words", {"forbidden_words": ["rock", "sea"]}, "the SEA", False),
        ("keywords:forbidden_words", {"forbidden_words": ["C++"]}, "in C++ again", False),
        ("keywords:forbidden_words", {"forbidden_words": ["lamp"]}, "a la\u200bmp", False),
        ("keywords:forbidden_words", {"forbidden_words": ["lamp"]}, "a _lamp_ here", False),
        ("keywords:forbidden_words", {"forbidden_words": ["lamp"]}, "a __lamp__ here", False),
        ("keywords:forbidden_words", {"forbidden_words": ["lamp"]}, "lamp_post = my_lamp", True),
        ("keywords:forbidden_words", {"forbidden_words": ["lamp"]}, "ⓛⓐⓜⓟ", False),
        ("count:word_exactly", {"keyword": "owl", "frequency": 2}, "an _owl_ and an owl", True),
        ("keywords:letter_frequency", {"letter": "A", "let_frequency": 2, "let_relation": "at least"}, "Aa", True),
        ("keywords:letter_frequency", {"letter": "!", "let_frequency": 2, "let_relation": "less than"}, "!!", False),
        ("startend:start_checker", {"first_word": "Lamp"}, '"lamp, and more"', True),
        ("startend:start_checker", {"first_word": "lamp"}, "lamps", False),
        ("startend:start_checker", {"first_word": "lamp"}, "_Lamp_ light", True),
        ("startend:start_checker", {"first_word": "lamp"}, "…!", False),
        ("startend:end_checker", {"end_phrase": "the River"}, '  "to the river" ', True),
        ("startend:end_checker", {"end_phrase": "river"}, "to the river.", False),
        ("startend:end_checker", {"end_phrase": "river."}, "to the river.", True),
        ("punctuation:no_comma", {}, "a b", True),
        ("punctuation:no_comma", {}, "a, b", False),
        ("punctuation:no_comma", {}, "a、 b", False),
        ("punctuation:punctuation_dot", {}, "an owl。", False),
        ("punctuation:punctuation_exclamation", {}, "an owl ❗", False),
        ("punctuation:no_comma", {}, "一、二，三", True),
    ],
)
def test_each_check_counts_as_its_definition_says(name: str, kwargs: dict[str, Any], text: str, kept: bool) -> None:
    assert verdict(text, {"id": name, "kwargs": kwargs}).outcome == float(kept)


HIDDEN = {
    "zero-width space": "\u200b",
    "direction isolates": "\u2066\u2069",
    "variation selector": "\ufe0f",
    "grapheme joiner": "\u034f",
    "Mongolian separator": "\u180e",
    "tag": "\U000e0061",
    "mark that joins no letter": "\u0335",
    "enclosing mark": "\u20dd",
    "control characters": "\x00\x1b\x7f\x9f",
    "Hangul fillers": "\u3164\u115f\u1160\uffa0",
    "unassigned, shown as nothing": "\u2065\ufff0\U000e0fff",
}


@pytest.mark.parametrize("sign", HIDDEN.values(), ids=HIDDEN)
def test_what_shows_nothing_hides_no_word_splits_none_and_is_none(sign: str) -> None:
    forbidden = {"id": "keywords:forbidden_words", "kwargs": {"forbidden_words": ["lamp"]}}
    three = {"id": "count:words_exactly", "kwargs": {"num_words": 3}}
    assert verdict(f"a red la{sign}mp", forbidden).outcome == 0.0
    found = verdict(f"a {sign} red {sign}la{sign}mp{sign} {sign}", three, LAMP)
    assert (found.outcome, found.status) == (1.0, "ok")
    assert verdict(sign * 3, LAMP).status == "no_answer"


def test_a_blank_of_braille_is_a_blank() -> None:
    assert verdict("\u2800" * 9, LAMP).status == "no_answer"
    assert verdict("a\u2800lamp", {"id": "count:words_exactly", "kwargs": {"num_words": 2}}).outcome == 1.0


def test_a_letter_and_its_accent_are_one_letter_however_they_are_written() -> None:
    for keyword in ("caf\u00e9", "cafe\u0301"):
        constraint = {"id": "count:word_exactly", "kwargs": {"keyword": keyword, "frequency": 2}}
        assert verdict("caf\u00e9, cafe\u0301 and cafe", constraint).outcome == 1.0


def test_a_constraint_that_asks_for_nothing_visible_is_named() -> None:
    fault = check_reference({"constraints": [{"id": "keywords:existence", "kwargs": {"keywords": ["\u3164"]}}]})
    assert "a list of texts" in str(fault)


def test_marks_without_end_are_joined_in_little_time() -> None:
    started = time.perf_counter()
    assert verdict("a" + "\u0301\u0316" * (MAX_CHARACTERS // 2 - 1), LAMP).outcome == 0.0
    assert time.perf_counter() - started < 0.5


def test_a_published_row_fills_the_arguments_of_other_constraints_with_null() -> None:
    kwargs = {"keywords": None, "num_words": 2, "relation": "at least"}
    constraint = {"id": "length_constraints:number_words", "kwargs": kwargs}
    assert check_reference({"constraints": [constraint, {"id": "punctuation:no_comma", "kwargs": None}]}) is None
    assert verdict("a lamp", constraint, {"id": "punctuation:no_comma", "kwargs": None}).outcome == 1.0


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("lamp", "expected {\"constraints\": [one or more]}, found 'lamp'"),
        ({"constraints": []}, "one or more"),
        ({"constraints": ["lamp"]}, 'expected {"id": name'),
        ({"constraints": [{"id": "x:y", "kwargs": {}}]}, "unknown constraint 'x:y'; known: change_case"),
        ({"constraints": [{"id": ["x"], "kwargs": {}}]}, "unknown constraint"),
        ({"constraints": [{"id": "words:vowels", "kwargs": {}}]}, "did you mean 'words:vowel'?"),
        ({"constraints": [{"id": "count:words_exactly", "kwargs": []}]}, 'expected {"id": name'),
        ({"constraints": [{"id": "count:words_exactly", "kwargs": {}}]}, "takes ['num_words'], found []"),
        ({"constraints": [LAMP, {"id": "punctuation:no_comma", "kwargs": {"n": 1}}]}, "takes [], found ['n']"),
        ({"constraints": [{"id": "count:words_exactly", "kwargs": {"num_words": -1}}]}, "a whole number from 0"),
        ({"constraints": [{"id": "count:words_exactly", "kwargs": {"num_words": True}}]}, "found 'True'"),
        ({"constraints": [{"id": "keywords:existence", "kwargs": {"keywords": "lamp"}}]}, "a list of texts"),
        ({"constraints": [{"id": "keywords:existence", "kwargs": {"keywords": [" "]}}]}, "a list of texts"),
        ({"constraints": [{"id": "startend:start_checker", "kwargs": {"first_word": "a b"}}]}, "one word"),
        (
            {"constraints": [{"id": "length_constraints:number_words", "kwargs": {"num_words": 2, "relation": "<"}}]},
            'relation of length_constraints:number_words: expected "less than" or "at least", found \'<\'',
        ),
    ],
)
def test_a_bad_reference_is_named(reference: Any, said: str) -> None:
    assert said in str(check_reference(reference))
    task = Task("t", ({"role": "user", "content": "?"},), reference, "instructions", "test", "test")
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    found = verify(task, Completion(ids, logprobs, trainable, "lamp", "stop", 0))
    assert (found.outcome, found.status) == (None, "bad_reference")


HARD = (
    ".",
    "!",
    "?! ",
    "*",
    "* ",
    "- x\n",
    "\n",
    "[",
    "[a",
    "<<",
    "<<a",
    '"',
    "'",
    "{",
    "_",
    "Section ",
    "P.S. ",
    "1.",
    "#",
    "e.g. ",
    "😀",
    "а",
    "<i>",
    "-",
    "a\n\n",
    "क्",
    ",",
    "Question 1. ",
)
"""Stretches on which a pattern that backtracks, or a check that looks back, would take time by the square."""

SAMPLES = {
    arguments.CHARACTER: "e",
    arguments.COUNT: 3,
    arguments.PERCENTAGE: 30.0,
    arguments.PLACE: 2,
    arguments.ANY_TEXTS: [],
    arguments.RELATION: "at least",
    arguments.TEXT: "(a+)+$ lamp a",
    arguments.TEXTS: ["a", "(a+)+$"],
    arguments.WHOLE_TEXT: "a lamp near the river",
    arguments.WORD: "a",
}
EVERY = tuple(
    {"id": name, "kwargs": {key: SAMPLES.get(kind, "en") for key, kind in constraint.arguments.items()}}
    for name, constraint in CONSTRAINTS.items()
)
"""Every constraint with arguments that are hard on a careless pattern."""


@pytest.mark.parametrize(
    "text",
    [
        "a" * MAX_CHARACTERS,
        "a " * (MAX_CHARACTERS // 2),
        "a\x00" * 1000,
        "\ud800 lamp",
        "a" + "́" * 5000,
        "((((" * 9999,
        "İ🦉",
        *((sign * 20_000)[:19_999] + "a" for sign in HARD),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_hostile_text_gets_a_verdict_from_every_check_in_bounded_time(text: str) -> None:
    assert check_reference({"constraints": list(EVERY)}) is None
    started = time.process_time()
    found = verdict(text, *EVERY)
    assert (found.outcome, found.status, len(found.parts)) == (0.0, "ok", len(CONSTRAINTS))
    assert time.process_time() - started < 5.0


def test_the_twelve_loose_readings_of_a_hostile_text_take_bounded_time() -> None:
    started = time.process_time()
    assert verdict("* **a** b.\n" * 4000, *EVERY, mode="loose").status == "ok"
    assert time.process_time() - started < 30.0


def test_a_text_over_the_cap_is_not_read() -> None:
    found = verdict("lamp " * 2_000_000, LAMP)
    assert (found.outcome, found.status, len(found.extracted)) == (0.0, "wrong_format", 200)


def test_every_check_takes_exactly_the_arguments_that_its_constraint_names() -> None:
    for name, constraint in CONSTRAINTS.items():
        parameters = set(inspect.signature(constraint.check).parameters) - {"text"}
        assert parameters == set(constraint.arguments), name


def test_the_table_of_verifiers_holds_it() -> None:
    assert (VERIFIERS["instructions"], REFERENCE_CHECKS["instructions"]) == (verify, check_reference)
    assert VERSIONS["instructions"] == VERSION == "instructions-4"
