"""Verdicts that are kept: in any process, across kills, and nothing but numbers from 0 to 1."""

import asyncio
import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from endpoint import Reply, completion, endpoint, says, settings, task
from judging import run, verify

from rlvr.errors import UsageError
from rlvr.types import Verdict
from rlvr.verifiers.judge.cache import Cache
from rlvr.verifiers.judge.judge import Judge

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("short_back_off")


def test_the_cache_answers_what_was_asked_before_in_any_process(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "judge.db")
    with endpoint(says("yes")) as seen:

        async def ask(text: str, **changes: Any) -> tuple[Verdict, Judge]:
            async with Judge(settings(seen.url, cache_path=path, **changes)) as judge:
                return await judge.verify(task(), completion(text)), judge

        first, _ = asyncio.run(ask("4"))
        again, judge = asyncio.run(ask("4"))
        assert len(seen.requests) == 1
        assert (again.outcome, again.status, again.path) == (first.outcome, first.status, first.path)
        assert judge.counts.cache_hits == 1
        asyncio.run(ask("5"))
        asyncio.run(ask("4", model="other"))
        asyncio.run(ask("4", temperature=0.5))
        assert len(seen.requests) == 4


def test_what_could_not_be_told_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "judge.db"
    verify([Reply("nothing")], cache_path=str(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    connection.close()


def _put(path: str, first: int) -> None:
    cache = Cache(path)
    for i in range(first, first + 40):
        cache.put(f"key {i}", 0.5)


def test_several_processes_write_to_one_cache(tmp_path: Path) -> None:
    path = str(tmp_path / "judge.db")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put, args=(path, first)) for first in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
        assert writer.exitcode == 0
    cache = Cache(path)
    assert [cache.get(f"key {i}") for i in range(81)] == [0.5] * 80 + [None]


def test_a_killed_process_leaves_every_verdict_that_it_has_put(tmp_path: Path) -> None:
    path = str(tmp_path / "judge.db")
    program = (
        "import sys, itertools\nfrom rlvr.verifiers.judge.cache import Cache\ncache = Cache(sys.argv[1])\n"
        "for i in itertools.count():\n    cache.put(f'key {i}', 0.5)\n    print(i, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout
        for _ in range(30):
            writer.stdout.readline()
        writer.kill()
        last = 29 + len(writer.stdout.read().split(b"\n")) - 1
    cache = Cache(path)
    assert [cache.get(f"key {i}") for i in range(last + 1)] == [0.5] * (last + 1)


def test_a_cache_holds_nothing_but_numbers_from_0_to_1(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "judge.db")
    for key, value in {"a": 10.0, "b": float("inf"), "c": -1.0, "d": 0.25}.items():
        cache.put(key, value)
    assert [cache.get(key) for key in "abcd"] == [None, None, None, 0.25]
    cache.put("d", 0.75)
    assert cache.get("d") == 0.25


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and they are not to be overwritten " * 100)
    with pytest.raises(UsageError, match="cannot be used as the judge's cache"):
        Judge(settings("http://localhost/v1", cache_path=str(path)))
    assert path.read_text().startswith("these are notes")


def test_a_cache_that_breaks_later_costs_no_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "judge.db"

    async def ask(judge: Judge) -> list[Verdict]:
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_text("no database " * 1000)
        return [await judge.verify(task(), completion(text)) for text in ("4", "5")]

    verdicts, _, _ = run(says("yes"), ask, cache_path=str(path))
    assert [v.outcome for v in verdicts] == [1.0, 1.0]
    assert len([r for r in caplog.records if "cache" in r.message]) == 1
