"""Groups to store, and a way to die at every single step that a piece of work takes on the disk."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlvr.types import Completion, Group, Task, Verdict, read_only


def group(draw_index: int = 0, *, outcomes: tuple[float | None, ...] = (1.0, 0.0, None), seconds: float = 0.5) -> Group:
    task = Task(
        id=f"sum-{draw_index}",
        messages=({"role": "user", "content": "What is 2 + 3? 你好"},),
        reference={"answer": "5"},
        verifier="math",
        source="arithmetic",
        domain="arithmetic",
    )
    completions = tuple(
        Completion(
            token_ids=read_only([7, 8 + index, 2], np.int64),
            logprobs=read_only([-0.5, -0.25, -index / 3], np.float32),
            trainable=read_only([True, True, True], np.bool_),
            text=f"answer {index}",
            finish="stop",
            policy_version=4,
        )
        for index in range(len(outcomes))
    )
    verdicts = tuple(
        Verdict(
            outcome,
            "ok" if outcome is not None else "timeout",
            extracted="5",
            path="fast",
            score=outcome,
            seconds=seconds,
        )
        for outcome in outcomes
    )
    rewards = tuple(float("nan") if outcome is None else outcome - 0.1 for outcome in outcomes)
    return Group(task, draw_index, read_only([1, 5, 6], np.int64), completions, verdicts, rewards)


@pytest.fixture
def make_group() -> Callable[..., Group]:
    return group


Work = Callable[[Path], object]


@pytest.fixture
def die_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work, Work, Work], int]:
    """Gives `run(prepare, work, check)`, which kills `work` at each of its dealings with the disk in turn.

    For k = 1, 2, …: prepares a new folder, starts `work` on it in a process that ends without any cleaning up at its
    k-th dealing, and checks the folder. Gives the number of instants tried.
    """

    # A killed process loses nothing that the kernel has; waiting for the disk would only make the tests slow.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def run(prepare: Work, work: Work, check: Work) -> int:
        for deaths in range(1, 1000):
            folder = tmp_path / f"death-{deaths}"
            folder.mkdir()
            prepare(folder)
            process = os.fork()
            if process == 0:
                _work_and_die(work, folder, deaths)
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            check(folder)
            if code != 9:
                assert code == 0, f"the work failed by itself when it was to die at dealing {deaths}"
                return deaths - 1
        raise AssertionError("the work never ended")

    return run


def _work_and_die(work: Work, folder: Path, deaths: int) -> None:
    left = deaths

    def dealing(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        where = str(arguments[0]) if arguments else ""
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate") or (
            event == "open" and where.startswith(str(folder))
        ):
            left -= 1
            if left == 0:
                os._exit(9)

    def half_a_write(descriptor: int, content: bytes, position: int) -> int:
        nonlocal left
        left -= 1
        if left == 0:
            os_pwrite(descriptor, content[: len(content) // 2], position)
            os._exit(9)
        return os_pwrite(descriptor, content, position)

    os_pwrite, os.pwrite = os.pwrite, half_a_write
    sys.addaudithook(dealing)
    try:
        work(folder)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)
