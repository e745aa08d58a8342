"""Completions of one group that hold the same program: one run, and each its verdict."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rlvr.types import Task
from rlvr.verifiers import code
from rlvr.verifiers.many import text_completion
from rlvr.verifiers.sandbox.result import Result
from rlvr.verifiers.scorer import Scorer

RIGHT = "def solve(xs):\n    return sorted(xs)\n"
WRONG = "def solve(xs):\n    return xs\n"
REFERENCE = {"calls": [{"args": [[3, 1]], "expected": [1, 3]}], "entry": "solve"}
DEADLINE = 30.0


class Runs:
    """Stands in for the sandbox: tells what was run, and holds every run back until it is let go."""

    def __init__(self) -> None:
        self.programs: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def run(self, pool: Any, question: Any, program: str) -> Result:
        self.programs.append(program)
        assert self.go.wait(DEADLINE)
        return Result("calls", int("sorted" in program), 1)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """One thread that runs programs, so that a second one waits in line."""
    made = Runs()
    threads = ThreadPoolExecutor(1)
    monkeypatch.setattr(code, "run", made.run)
    monkeypatch.setattr(code, "sandboxes", lambda packages: None)
    monkeypatch.setattr(code, "_executor", lambda: threads)
    yield made
    made.go.set()
    threads.shutdown()
    assert not code._underway


def task() -> Task:
    return Task("t", (), REFERENCE, "code", "functions", "rows")


def group(asked: Task, texts: list[str]) -> list[float | None]:
    verdicts = asyncio.run(Scorer().score(asked, [text_completion(text) for text in texts]))
    return [verdict.outcome for verdict in verdicts]


def test_a_program_runs_once_for_its_group_whatever_stands_around_it(runs: Runs) -> None:
    fenced = [f"<think>{i}</think>\n```python\n{RIGHT}```" for i in range(3)]
    assert group(task(), [*fenced, WRONG, RIGHT, WRONG, "```rust\nfn\n```"]) == [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    assert sorted(runs.programs) == sorted([WRONG, RIGHT])


def test_another_group_and_a_later_one_run_it_again(runs: Runs) -> None:
    async def both() -> None:
        scorer = Scorer()
        await asyncio.gather(*(scorer.score(t, [text_completion(RIGHT)] * 2) for t in (task(), task())))

    asyncio.run(both())
    assert len(runs.programs) == 2
    one = task()
    group(one, [RIGHT, RIGHT])
    group(one, [RIGHT])
    assert len(runs.programs) == 4


def test_one_that_is_given_up_leaves_the_run_to_its_sibling(runs: Runs) -> None:
    async def give_one_up() -> float | None:
        runs.go.clear()
        asked = task()
        first, second = (asyncio.ensure_future(code.verify(asked, text_completion(RIGHT))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        runs.go.set()
        verdict = await second
        assert first.cancelled()
        return verdict.outcome

    assert asyncio.run(give_one_up()) == 1.0
    assert len(runs.programs) == 1


def test_what_nobody_waits_for_any_more_is_not_begun(runs: Runs) -> None:
    async def give_both_up() -> float | None:
        runs.go.clear()
        asked = task()
        under_way = asyncio.ensure_future(code.verify(asked, text_completion(WRONG)))
        in_line = [asyncio.ensure_future(code.verify(asked, text_completion(RIGHT))) for _ in range(2)]
        await asyncio.sleep(0)
        for waiting in in_line:
            waiting.cancel()
        await asyncio.gather(*in_line, return_exceptions=True)
        again = asyncio.ensure_future(code.verify(asked, text_completion(RIGHT)))  # not joined to what was given up
        await asyncio.sleep(0)
        runs.go.set()
        await under_way
        return (await again).outcome

    assert asyncio.run(give_both_up()) == 1.0
    assert len(runs.programs) == 2


def test_trouble_reaches_every_one_that_waits(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pool: Any, question: Any, program: str) -> Result:
        raise OSError("no more processes")

    monkeypatch.setattr(code, "run", broken)
    assert group(task(), [RIGHT] * 3) == [None, None, None]
