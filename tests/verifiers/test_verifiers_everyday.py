"""Choices, numbers, sets of texts, patterns and JSON: what is right, what is wrong, and what is no reference."""

import asyncio
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers import memory, pool
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE, REFERENCE_CHECKS, VERIFIERS, VERSIONS
from rlvr.verifiers.worker_handle import Reply

CITIES = {"answer": "B", "choices": ["London", "Paris", "Rome"]}
LETTER = {"answer": "c"}
G = {"answer": 9.81, "absolute": 0.01}
COLORS = {"answers": ["red", "light blue"]}
ALIASES = {"answers": ["NYC", "New York, NY"], "match": "any"}
MONTH = {"pattern": r"\d{4}-\d\d"}
PERSON = {
    "schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name"],
        "additionalProperties": False,
    }
}
TREE = {"schema": {"type": "object", "properties": {"c": {"$ref": "#"}}, "additionalProperties": False}}

CASES: list[tuple[str, Any, str, float, str]] = [
    *[("choice", CITIES, text, 1.0, "ok") for text in ("B", "(B)", "b.", "**B**", "Paris", " paris. ", "B) Paris")],
    *[
        ("choice", CITIES, text, 1.0, "ok")
        for text in ("**B) Paris**", "B (Paris)", "B - Paris", "B, Paris", "B\u200b")
    ],
    *[("choice", CITIES, text, 1.0, "ok") for text in (r"So \boxed{B}.", r"\boxed{Paris}", "<think>A?</think>B")],
    *[
        ("choice", CITIES, text, 1.0, "ok")
        for text in (r"\boxed{\text{B}}", r"\boxed{\textbf{(B)}}", "$B$", r"\text{Paris}")
    ],
    *[("choice", CITIES, text, 0.0, "ok") for text in ("A", "Rome", "C: Rome", "D", r"\text{A}")],
    *[("choice", CITIES, text, 0.0, "hedged") for text in ("B: Rome", "B) or C", "A. B. C.", "B (Rome)", "B, C")],
    *[("choice", CITIES, text, 0.0, "wrong_format") for text in ("Paris or Rome", "B or C", "I think it is B", "AB")],
    *[("choice", CITIES, "<think>B", 0.0, "no_answer"), ("choice", LETTER, "C", 1.0, "ok")],
    *[
        ("numeric", G, text, 1.0, "ok")
        for text in ("9.81", "9.82", "9.8", r"\boxed{9.805}", "981e-2", r"\frac{981}{100}")
    ],
    *[("numeric", G, text, 0.0, "ok") for text in ("9.79", "9.8201", "-9.81", "1/0.1")],
    *[
        ("numeric", G, text, 0.0, "wrong_format")
        for text in ("9.81 m", "9.81 or 9.8", "nan", "inf", "1/0", "1e99999999")
    ],
    # An integer of more digits than Python turns into text.
    ("numeric", {"answer": 10**5000}, "5", 0.0, "ok"),
    *[("numeric", {"answer": 1000, "relative": 0.1}, text, 1.0, "ok") for text in ("900", "1,100", "1.0e3")],
    *[("numeric", {"answer": "1/3"}, "0.3333333", 0.0, "ok"), ("numeric", {"answer": 0.5}, r"50\%", 1.0, "ok")],
    *[
        ("string_set", COLORS, text, 1.0, "ok")
        for text in (
            "red, light blue",
            "Light  Blue; RED.",
            "- red\n- light blue",
            "red and light blue",
            "Red, and light blue.",
            '"red", **light blue**',
            "red & light blue",
        )
    ],
    ("string_set", {"answers": ["salt and pepper", "oil"]}, "oil and vinegar", 0.0, "ok"),
    *[
        ("string_set", {"answers": ["salt and pepper", "oil"]}, text, 1.0, "ok")
        for text in ("oil, salt and pepper", "Salt and pepper\nand oil")
    ],
    ("string_set", {"answers": ["sand", "land"]}, "sand, land", 1.0, "ok"),
    *[
        ("string_set", COLORS, text, 0.0, "ok")
        for text in ("red", "red, blue", "red, light blue, green", "light, blue red", "red or light blue", "and, red")
    ],
    *[("string_set", ALIASES, text, 1.0, "ok") for text in ("nyc", "New York, NY.")],
    *[("string_set", ALIASES, text, 0.0, "ok") for text in ("New York", "NYC, New York, NY")],
    ("string_set", {"answers": ["pH"], "case": True}, "PH", 0.0, "ok"),
    *[("regex", MONTH, "2026-11", 1.0, "ok"), ("regex", MONTH, "in 2026-11", 0.0, "ok")],
    ("regex", {**MONTH, "match": "anywhere"}, "in 2026-11, surely", 1.0, "ok"),
    ("regex", {"pattern": "yes", "case": False}, r"\boxed{YES}", 1.0, "ok"),
    ("regex", {"pattern": "(a+)+b"}, "a" * 200, 0.0, "timeout"),
    *[
        ("json_schema", PERSON, text, 1.0, "ok")
        for text in ('{"name": "Mia"}', '```json\n{"name": "Mia", "age": 3}\n```')
    ],
    *[("json_schema", PERSON, text, 0.0, "ok") for text in ('{"age": 3}', '{"name": "Mia", "x": 1}', '"Mia"')],
    ("json_schema", PERSON, '{"name": "Mia", "age": -1}', 0.0, "ok"),
    *[
        ("json_schema", PERSON, f'{{"name": "{"a" * 9_000}"}}', 1.0, "ok"),
        ("exact", "a", "a" * 9_000, 0.0, "wrong_format"),
    ],
    *[
        ("json_schema", PERSON, text, 0.0, "wrong_format")
        for text in (
            "Mia",
            '{"name": "Mia"} or so',
            '{"name": "a", "name": "b"}',
            '{"name": "a", "age": NaN}',
            "[" * 99_999,
        )
    ],
    # A text that is too much for the validator is wrong: else a model could make itself untold.
    ("json_schema", {"schema": {"multipleOf": 0.01}}, "1" + "0" * 400, 0.0, "wrong_format"),
    *[("json_schema", TREE, '{"c": ' * depth + "{}" + "}" * depth, 1.0, "ok") for depth in (3, 99)],
    *[("json_schema", TREE, '{"c": ' * depth + "{}" + "}" * depth, 0.0, "wrong_format") for depth in (100, 400)],
    ("json_schema", {"schema": {"type": "string"}}, f'"{"[" * 200}\\""', 1.0, "ok"),
]

UNUSABLE = (
    {"$ref": "http://localhost:1/x.json"},
    {"$ref": "file:///etc/passwd"},
    {"$ref": "#/$defs/no"},
    {"$ref": "#"},
)
"""Schemas that no text can be held against."""


def judge(cases: list[tuple[str, Any, str]]) -> list[Verdict]:
    async def all_of_them() -> list[Verdict]:
        scorer = Scorer()
        found = await asyncio.gather(
            *(scorer.score(task(name, reference), [completion(text)]) for name, reference, text in cases)
        )
        scorer.close()
        return [verdict for (verdict,) in found]

    return asyncio.run(all_of_them())


def task(verifier: str, reference: Any) -> Task:
    return Task("one", (), reference, verifier, "tests", "tests")


def completion(text: str) -> Completion:
    none = read_only([], np.int64), read_only([], np.float32), read_only([], np.bool_)
    return Completion(*none, text, "stop", 0)


def test_each_case_gets_its_outcome_and_status() -> None:
    found = judge([(name, reference, text) for name, reference, text, _, _ in CASES])
    wrong = [
        (name, text[:60], outcome, status, verdict)
        for (name, _, text, outcome, status), verdict in zip(CASES, found, strict=True)
        if (verdict.outcome, verdict.status) != (outcome, status) or verdict.version != VERSIONS[name]
    ]
    assert wrong == []


def test_a_schema_that_cannot_be_used_leaves_the_text_untold_and_fetches_nothing() -> None:
    loop = {"properties": {"a": {"$ref": "#/properties/a"}}}
    schemas = [*UNUSABLE, loop, {"type": "objekt"}, {"pattern": "("}]
    found = judge([("json_schema", {"schema": schema}, text) for schema in schemas for text in ('{"a": 1}', '"a"')])
    told = {(verdict.outcome, verdict.status) for verdict in found}
    # A pattern says nothing of an object, nor does the loop of a text.
    assert told == {(None, "bad_reference"), (1.0, "ok")}
    assert [verdict.outcome for verdict in found].count(1.0) == 2


def test_the_same_question_goes_to_the_workers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Counting:
        def submit(self, function: str, payload: Any, **limits: float) -> Future[Reply]:
            asked.append(payload)
            return pool.shared().submit(function, payload, **limits)

    monkeypatch.setattr(memory, "shared", Counting)
    pattern = {"pattern": "(b+)+c"}
    found = judge([("regex", pattern, text) for text in ("b" * 60, "bc") * 4])
    assert [(verdict.outcome, verdict.status) for verdict in found] == [(0.0, "timeout"), (1.0, "ok")] * 4
    assert judge([("regex", pattern, "bc")])[0].outcome == 1.0
    assert sorted(payload["text"] for payload in asked) == ["b" * 60, "bc"]


def test_what_the_workers_said_is_forgotten_in_turn_and_trouble_of_the_machine_at_once() -> None:
    small = memory.Memory(2)
    kinds = iter(("host", "value", "value", "value", "value"))

    class Scripted:
        def submit(self, function: str, payload: Any, **limits: float) -> Future[Reply]:
            future: Future[Reply] = Future()
            future.set_result(Reply(next(kinds), payload))
            return future

    def ask(payload: int) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "shared", Scripted)
            return small.ask("f", payload, cpu_seconds=1.0, version="1").result().kind

    assert [ask(1), ask(1), ask(1), ask(2), ask(3)] == ["host", "value", "value", "value", "value"]
    assert ask(2) == "value"
    assert ask(1) == "value"  # the fifth of the script: it had been forgotten for 3
    with pytest.raises(StopIteration):
        ask(3)


def test_precision_and_recall_of_a_set_are_parts() -> None:
    (found,) = judge([("string_set", COLORS, "red, green, blue, pink")])
    # One of four named is right, and one of two wanted is named.
    assert dict(found.parts) == {"precision": 0.25, "recall": 0.5}


@pytest.mark.parametrize(
    ("name", "reference", "said"),
    [
        ("choice", {"answer": "D", "choices": ["x", "y"]}, "A to B"),
        ("choice", {"answer": "A", "choices": ["x", "X "]}, "same text"),
        ("choice", {"choices": ["x"]}, "no 'answer'"),
        ("choice", "A", "expected an object"),
        ("numeric", {"answer": "about 3"}, "is no number"),
        ("numeric", {"answer": "7" * 5000}, "is no number"),
        ("numeric", {"answer": True}, "a bool"),
        ("numeric", {"answer": 3, "absolute": -1}, "at least 0"),
        ("numeric", {"answer": 3, "tolerance": 1}, "unknown key 'tolerance'"),
        ("string_set", {"answers": []}, "list of texts"),
        ("string_set", {"answers": ["red", "**"]}, "list of texts"),
        ("string_set", {"answers": ["a, b"]}, "comma"),
        ("string_set", {"answers": ["a"], "match": "some"}, "known: all, any"),
        ("regex", {"pattern": "("}, "cannot be read"),
        ("regex", {"pattern": "a", "slot": "nowhere"}, "unknown slot"),
        ("choice", {"answer": "A", "slot": ["boxed"]}, "unknown slot"),
        ("exact", {"answer": "A", "slot": {}}, "unknown slot"),
        ("math", {"answer": "1", "slot": ["boxed"]}, "unknown slot"),
        ("gym", {"dataset": "spell_backward", "entry": {"answer": "A"}, "slot": ["tag"]}, "unknown slot"),
        ("json_schema", {"schema": {"type": "objekt"}}, "not valid"),
        ("json_schema", {"schema": {"$ref": "https://example.org/schema.json"}}, "cannot be used"),
        ("json_schema", {"schema": []}, "a list"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(name: str, reference: Any, said: str) -> None:
    assert said in (REFERENCE_CHECKS[name](reference) or "")
    (found,) = judge([(name, reference, "A")]) if name != "json_schema" else [Verdict(None, "bad_reference")]
    assert (found.outcome, found.status) == (None, "bad_reference")


def test_good_references_have_no_fault() -> None:
    given = {"choice": CITIES, "numeric": G, "string_set": COLORS, "regex": MONTH, "json_schema": PERSON}
    assert {name: REFERENCE_CHECKS[name](reference) for name, reference in given.items()} == dict.fromkeys(given)


def test_every_verifier_has_a_check_and_a_version() -> None:
    assert VERIFIERS.keys() == VERSIONS.keys() == REFERENCE_CHECKS.keys() - {JUDGE}


def test_texts_of_a_set_may_be_set_in_latex() -> None:
    rows = [
        {"completion": rf"\boxed{{{answer}}}", "answer": ["red", "blue"]}
        for answer in (r"\text{red}, \text{blue}", r"\text{red}")
    ]
    assert [verdict.outcome for verdict in verify_many(rows, "string_set")] == [1.0, 0.0]
