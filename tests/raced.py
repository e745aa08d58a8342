"""A race of three seeds on a tiny model that is rewarded for saying w9."""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tiny import write_base

from rlvr.app.race import racer
from rlvr.app.race.local import log_of

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["rlvr.app.race.racer", "transformers.models.llama.modeling_llama"])

ROWS = """
from rlvr.types import Demonstration, Task, Verdict

def prompt(n):
    return ({"role": "user", "content": f"w{5 + n % 20} w{6 + n % 9}"},)

def tasks(split):
    for n in range(20) if split == "train" else range(20, 60):
        yield Task(f"{split}{n}", prompt(n), 9, "race_rows:verify", "rows", "words")

def shown(split):
    for n in range(8):
        yield Demonstration(f"shown{n}", (*prompt(n), {"role": "assistant", "content": "w7 w9"}), "words")

def verify(task, completion):
    return Verdict(float("w9" in completion.text.split()), "ok")
"""
RECIPE = """
name = "small"
seed = 5
threads = 1
[model]
path = "BASE"
[evaluation]
data = ["race_rows:tasks:evaluation"]
samples = 2
max_completion_tokens = 6
[[stage]]
kind = "sft"
data = ["race_rows:shown:train"]
sequences_per_update = 8
[[stage]]
kind = "rlvr"
algorithm = "grpo"
data = ["race_rows:tasks:train"]
steps = 6
prompts_per_step = 4
group_size = 4
max_completion_tokens = 6
checkpoint_every = 2
conditions = { tasks = 0 }
optimizer = { learning_rate = 2e-2 }
"""


class Forked:
    """To an executor a racer's process, forked from one that has imported everything, which takes seconds a racer."""

    def __init__(self, folder: Path, words: Sequence[str], more: Mapping[str, str]) -> None:
        assert not more, "a racer that is forked sees what the others see"
        pipe, self.stdin = WARM.Pipe(duplex=False)
        self._process = WARM.Process(target=_race, args=(folder, words, pipe))
        self._process.start()
        pipe.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> None:
        self._process.join()


def _race(folder: Path, words: Sequence[str], pipe: Connection) -> None:
    os.setsid()
    os.dup2(pipe.fileno(), sys.stdin.fileno())
    with log_of(folder).open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    sys.exit(racer.main([str(folder), *words]))


@contextmanager
def race_home(folder: Path, *, more: str = "") -> Iterator[Path]:
    """A folder with a tiny base, rows and the recipe of a race, with `more` at its end; races go where they lie, their
    racers are forked, and afterwards all is where it was."""
    before = Path.cwd()
    write_base(folder / "base", scale=0.25)
    (folder / "race_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(RECIPE.replace("BASE", str(folder / "base")) + more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlvr.app.race.local.start_racer", Forked)
        yield folder
    os.chdir(before)


def words(home: Path, name: str, *more: str) -> list[str]:
    race = ["race", str(home / "recipe.toml"), "--seeds", "3", "--rungs", "0.34", "--keep", "2", "--jobs", "2"]
    return [*race, *more, f"name={name}", f"runs={home}"]
