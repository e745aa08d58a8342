"""A race of three seeds on a tiny model that is rewarded for saying w9."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiny import write_base

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


@contextmanager
def race_home(folder: Path, *, more: str = "") -> Iterator[Path]:
    """A folder with a tiny base, rows and the recipe of a race, with `more` at its end; races go where they lie, and
    afterwards all is where it was."""
    before = Path.cwd()
    write_base(folder / "base", scale=0.25)
    (folder / "race_rows.py").write_text(ROWS)
    (folder / "recipe.toml").write_text(RECIPE.replace("BASE", str(folder / "base")) + more)
    yield folder
    os.chdir(before)


def words(home: Path, name: str, *more: str) -> list[str]:
    race = ["race", str(home / "recipe.toml"), "--seeds", "3", "--rungs", "0.34", "--keep", "2", "--jobs", "2"]
    return [*race, *more, f"name={name}", f"runs={home}"]
