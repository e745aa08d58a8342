"""A finished run of one RLVR stage on a tiny base, without the training: what the analyses of two checkpoints read."""

from collections.abc import Sequence
from pathlib import Path

from tiny import make_model, make_tokenizer, write_base

from rlvr.config.reading import read_recipe, resolved_json
from rlvr.models.checkpoint import save_checkpoint
from rlvr.runs.folder import Run

ROWS = """
from rlvr.types import Task, Verdict

def tasks(split, domains=("one", "two")):
    for n in range(10):
        prompt = ({"role": "user", "content": f"w{5 + n} w{6 + n % 9}"},)
        yield Task(f"{split}{n}", prompt, 9 + n, "sided_rows:verify", "rows", domains[n % len(domains)])

def verify(task, completion):
    words = completion.text.split()
    if not words:
        return Verdict(0.0, "no_answer")
    return Verdict(float(f"w{task.reference}" in words), "ok", words[-1])
"""
RECIPE = """
name = "run"
seed = 5
[model]
path = "BASE"
[evaluation]
data = ["sided_rows:tasks:evaluation"]
samples = 4
max_completion_tokens = 8
[[stage]]
kind = "rlvr"
algorithm = "grpo"
data = ["sided_rows:tasks:train"]
steps = 1
"""


def write_sides(folder: Path, *, words: Sequence[str] = (), recipe: str = RECIPE) -> Path:
    """Gives the folder of the run; its stage `1-rlvr` holds other random weights than the base, its parent."""
    (folder / "sided_rows.py").write_text(ROWS)
    base = write_base(folder / "base", seed=1)
    (folder / "recipe.toml").write_text(recipe.replace("BASE", str(base)))
    config = resolved_json(read_recipe(folder / "recipe.toml", words))
    run = Run.create(folder / "run", config=config, provenance={"folder": str(folder)})
    end_stage(run, "1-rlvr", seed=2)
    return run.path


def end_stage(run: Run, name: str, *, seed: int, domains: Sequence[str] = ("one",)) -> Run:
    """Gives the folder of a stage that ended with random weights of that seed."""
    stage = run.child(name)
    path = save_checkpoint(
        stage.checkpoints, 1, model=make_model(seed=seed), tokenizer=make_tokenizer(), trainer_state={"step": 1}
    )
    done = {
        "checkpoint": str(path.relative_to(stage.path)),
        "step": 1,
        "domains": list(domains),
        "cpu_seconds": 100.0,
        "elapsed_seconds": 120.0,
    }
    stage.write_json("done.json", done)
    return stage
