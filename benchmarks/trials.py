"""Trials: many short RLVR runs from one DPO checkpoint of the laptop recipe, their reports kept as JSON.

What is kept is not made again, unless the recipe, its algorithm's cells, the trial's words or the parent's weights have
changed.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rlvr.algorithms.presets import resolve
from rlvr.app.export import weights_hash
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.config.rlvr import REINFORCED
from rlvr.runs.atomic import replace_file
from rlvr.runs.folder import Run, is_run
from rlvr.runs.report import StageReport, read_report

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "trials"
RECIPE = ROOT / "recipes" / "laptop.toml"
LAST_STAGE = "# Practice on every rung"
"""Where the RLVR stage of the laptop recipe begins, with what is said of it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: its name and the overrides of the recipe."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of a trial: the report of its RLVR stage, and what else was asked of its run, as JSON."""

    stage: StageReport
    more: Any


def parent() -> Path:
    """Gives the DPO checkpoint of the laptop recipe with seed 1, made if it is not there: all trials start from it."""
    text = RECIPE.read_text(encoding="utf-8")
    cut = RUNS / "parent.toml"
    cut.parent.mkdir(parents=True, exist_ok=True)
    cut.write_text(text[: text.index("[evaluation]")] + text[text.index("[[stage]]") : text.index(LAST_STAGE)])
    words = (f"runs={RUNS}", "name=parent", f"model.path={ROOT / 'models' / 'laptop-base'}", "replace=true")
    planned = json.loads(json.dumps(resolved_json(read_recipe(cut, words))["recipe"]))
    run = RUNS / "parent"
    if not is_run(run) or Run(run).config()["recipe"] != planned or _last_stage(run) != "dpo":
        train(cut, words)
    assert _last_stage(run) == "dpo", f"{run} has ended"
    return Path(read_report(Run(run))[-1].checkpoint)


def _last_stage(run: Path) -> str:
    return read_report(Run(run))[-1].name if (run / "report.json").exists() else ""


def train(recipe: Path, words: Sequence[str]) -> None:
    """Runs `rlvr train` on one core; its output goes to a log beside the recipe."""
    name = next(word.partition("=")[2] for word in words if word.startswith("name="))
    log = RUNS / f"{name}.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "rlvr.app.cli", "train", str(recipe), *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        if subprocess.run(command, stdout=out, stderr=out, cwd=ROOT, env=environment, check=False).returncode:
            raise SystemExit(f"{name} failed; its last words stand in {log}")


def run_all(
    topic: str,
    recipe: str,
    trials: Sequence[Trial],
    *,
    at_once: int,
    more: Callable[[Path], Any] = lambda run: None,
    start: Path | None = None,
) -> dict[str, Outcome]:
    """Gives each trial's outcome by name, so many at once; figures lie in docs/lab/TOPIC. `more` reads its run.

    All begin at the checkpoint `start`, or at `parent`. One that fails is said to, and missing in what is given.
    """
    start, kept = start or parent(), ROOT / "docs" / "lab" / topic
    weights = weights_hash(start)
    path = RUNS / f"{topic}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe)
    known = {trial.name: {"recipe": identity(path, trial), "parent": weights} for trial in trials}
    missing = [trial for trial in trials if read(kept, trial, known[trial.name]) is None]
    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        waiting = {
            threads.submit(_make, path, trial, start, kept / f"{trial.name}.json", known[trial.name], more): trial
            for trial in missing
        }
        for number, done in enumerate(as_completed(waiting), start=1):
            if error := done.exception():
                print(f"{waiting[done].name} failed: {error}", flush=True)
            minutes = (time.monotonic() - began) / 60
            left = minutes / number * (len(missing) - number)
            print(f"{number}/{len(missing)}  {waiting[done].name}  {left:.0f} min left", flush=True)
    found = {trial.name: read(kept, trial, known[trial.name]) for trial in trials}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def identity(path: Path, trial: Trial) -> str:
    """Gives a hash of all that a trial's recipe says, defaults and the cells of its algorithms included."""
    recipe = read_recipe(path, trial.words).recipe
    stages = [stage for stage in recipe.stage if isinstance(stage, REINFORCED)]
    rows = [asdict(resolve(stage.algorithm.preset, **stage.algorithm.cells)) for stage in stages]
    said = json.dumps([recipe.model_dump(mode="json"), rows], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def _make(
    path: Path, trial: Trial, start: Path, kept: Path, known: Mapping[str, Any], more: Callable[[Path], Any]
) -> None:
    train(path, (f"name={trial.name}", f"runs={RUNS}", f"model.path={start}", "replace=true", *trial.words))
    stage = replace(read_report(Run(RUNS / trial.name))[-1], checkpoint="")
    kept.parent.mkdir(parents=True, exist_ok=True)
    content = {**known, "words": trial.words, "stage": asdict(stage), "more": more(RUNS / trial.name)}
    replace_file(kept, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def read(kept: Path, trial: Trial, known: Mapping[str, Any]) -> Outcome | None:
    """Gives the trial's outcome; None where none is kept, or one of another recipe, parent or other words."""
    path = kept / f"{trial.name}.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if {**known, "words": list(trial.words)} != {key: content[key] for key in ("recipe", "parent", "words")}:
        return None
    return Outcome(TypeAdapter(StageReport).validate_python(content["stage"]), content["more"])
