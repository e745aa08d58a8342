"""Many rows at once: order is kept, a bad row costs only itself, from any thread and inside a running loop."""

import asyncio
import gc
import threading
from dataclasses import fields, replace
from typing import Any

import pytest

from rlvr.errors import UsageError
from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers import many
from rlvr.verifiers.many import WINDOW, reference_fault, verify_many

BAD = [None, 7, "text", [], {}, {"completion": 5, "answer": "4"}, {"completion": r"\boxed{4}"}, {"answer": "4"}]


def outcomes(rows: list[Any], verifier: str = "math", **given: Any) -> list[float | None]:
    return [verdict.outcome for verdict in verify_many(rows, verifier, **given)]


def row(answer: str, boxed: str) -> dict[str, str]:
    return {"completion": rf"So \boxed{{{boxed}}}.", "answer": answer}


def test_verdicts_come_in_the_order_of_the_rows_whichever_way_they_went() -> None:
    # Every third goes through a worker process, the others are told at once.
    rows = [row("x+1", "1+x") if n % 3 == 0 else row(str(n), str(n + n % 2)) for n in range(60)]
    found = list(verify_many(rows))
    assert [v.outcome for v in found] == [1.0 if n % 3 == 0 else float(n % 2 == 0) for n in range(60)]
    assert [v.path for v in found] == ["algebra" if n % 3 == 0 else "fast" for n in range(60)]


def test_a_row_that_is_none_gets_no_outcome_and_says_why_and_the_others_are_judged() -> None:
    found = list(verify_many([*BAD, row("4", "4")]))
    assert [v.status for v in found] == ["bad_row"] * len(BAD) + ["ok"]
    assert {v.outcome for v in found[:-1]} == {None}
    assert all(v.extracted for v in found[:-1])
    assert found[-1].outcome == 1.0


class Unreadable(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    "bad",
    [
        {"completion": 10**5000, "answer": "4"},  # has no text: Python refuses to write more than 4300 digits
        [10**5000],
        {**row("4", "4"), "id": 10**5000},
        {"completion": "4", "answer": 10**5000},
        Unreadable(row("4", "4")),
    ],
)
def test_a_row_that_cannot_even_be_shown_costs_only_itself(bad: Any) -> None:
    assert [v.status for v in verify_many([bad, row("4", "4")])] == ["bad_row", "ok"]


def test_rows_are_read_lazily_and_only_so_far_ahead() -> None:
    read = []

    def endless() -> Any:
        for number in range(10**9):
            read.append(number)
            yield row("4", "5")

    verdicts = verify_many(endless())
    assert next(verdicts).outcome == 0.0
    assert len(read) <= WINDOW + 1
    verdicts.close()


def test_options_and_field_names_reach_the_verifier() -> None:
    rows = [{"text": "A: 26", "gold": "26"}, {"text": "A: 26", "gold": {"answer": "27"}}]
    given = {"completion_field": "text", "answer_field": "gold", "options": {"slot": "marked"}}
    assert outcomes(rows, **given) == [1.0, 0.0]
    assert outcomes(rows, completion_field="text", answer_field="gold") == [0.0, 0.0]


def test_a_reference_is_preferred_to_an_answer() -> None:
    assert outcomes([{"completion": r"\boxed{4}", "reference": {"answer": "4"}, "answer": "5"}]) == [1.0]


def test_every_verdict_says_its_seconds_without_the_waiting() -> None:
    fast, _, algebra = verify_many([row("4", "4"), row("x+1", "1+x"), row("x+2", "2+x")])
    assert 0 < fast.seconds < 1
    assert 0 < algebra.seconds < 60


def test_verdicts_that_nobody_waits_for_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    verdicts = verify_many([row(f"x+{n}", f"{n}+x") for n in range(200)])
    assert next(verdicts).outcome == 1.0
    verdicts.close()
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == []


def test_what_is_wrong_with_a_reference_is_said() -> None:
    fault = reference_fault({"answer": "4"}, "math", options={"slto": "boxed"})
    assert "unknown key 'slto'" in (fault or "")
    assert reference_fault({"answer": "4"}, "math", options={}) is None
    assert reference_fault({"answer": "4"}, f"{__name__}:raising", options={}) is None
    assert reference_fault({}, "math", options={}) is None


def test_an_unknown_verifier_is_named_before_a_row_is_read() -> None:
    def never() -> Any:
        raise AssertionError("a row was read")
        yield

    with pytest.raises(UsageError, match="no verifier 'maths'"):
        verify_many(never(), "maths")


def raising(task: Task, completion: Completion) -> Verdict:
    if "bomb" in completion.text:
        raise ValueError("boom")
    return Verdict(1.0, "ok")


def test_a_function_of_the_users_that_raises_costs_only_its_row() -> None:
    rows = [{"completion": text, "answer": ""} for text in ("fine", "a bomb", "fine")]
    found = list(verify_many(rows, f"{__name__}:raising"))
    assert [(v.outcome, v.status) for v in found] == [(1.0, "ok"), (None, "crash"), (1.0, "ok")]


def test_it_works_in_other_threads_and_inside_a_running_loop() -> None:
    rows = [row("x+1", "1+x"), row("3", "4")]
    results: list[list[float | None]] = []
    threads = [threading.Thread(target=lambda: results.append(outcomes(rows))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    async def inside() -> list[float | None]:
        return outcomes(rows)

    assert results == [[1.0, 0.0]] * 3
    assert asyncio.run(inside()) == [1.0, 0.0]


def test_ten_megabytes_are_judged_like_anything_else() -> None:
    long = "x = {" * 2_000_000
    assert outcomes([{"completion": long, "answer": "4"}, {"completion": long + r" \boxed{4}", "answer": "4"}]) == [
        0,
        1,
    ]


def test_a_verdict_keeps_all_but_its_seconds_when_it_is_timed() -> None:
    values = {"outcome": 0.5, "status": "hedged", "extracted": "4", "path": "fast", "score": 2.0, "version": "math-0"}
    verdict = Verdict(parts={"format": 1.0}, seconds=9.0, **values)
    defaults = {field.name for field in fields(Verdict) if getattr(verdict, field.name) == field.default}
    assert not defaults, "every field has a value of its own here"
    assert many._timed(verdict, 0.25) == replace(verdict, seconds=0.25)


def test_whole_numbers_are_compared_as_such_and_long_or_padded_ones_the_long_way() -> None:
    pairs = [
        ("7", "7", 1),
        ("-7", "7", 0),
        ("-0", "0", 1),
        ("007", "7", 1),
        ("9" * 40, "9" * 40, 1),
        ("9" * 40, "9", 0),
    ]
    rows = [{"completion": f"\\boxed{{{answer}}}", "answer": reference} for answer, reference, _ in pairs]
    assert [verdict.outcome for verdict in verify_many(rows)] == [right for _, _, right in pairs]
