"""Trials: many short RLVR runs from one DPO checkpoint of the laptop recipe, their reports kept as JSON.

What is kept is not made again, unless the recipe, its algorithm's cells, the trial's words or the parent's weights have
changed.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from rlvr.algorithms.presets import resolve
from rlvr.app.export import weights_hash
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.config.rlvr import REINFORCED
from rlvr.runs.atomic import replace_file
from rlvr.runs.folder import Run, is_run
from rlvr.runs.report import EVALUATION, StageReport, read_report
from rlvr.stages.evaluate import read_measurement
from rlvr.statistics.intervals import mean_of, paired_difference_interval

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
    """What is kept of a trial: the report of its RLVR stage, by domain the share of each held-out task's samples that
    solve it, in the order of the tasks' names, and what else was asked of its run, as JSON."""

    stage: StageReport
    rates: Mapping[str, Sequence[float]]
    more: Any


Arm = Mapping[int, Outcome]
"""What one way of training gave, by seed."""


def parent() -> Path:
    """Gives the DPO checkpoint of the laptop recipe with seed 1, made if it is not there: all trials start from it."""
    text = RECIPE.read_text(encoding="utf-8")
    cut = RUNS / "parent.toml"
    cut.parent.mkdir(parents=True, exist_ok=True)
    cut.write_text(text[: text.index("[evaluation]")] + text[text.index("[[stage]]") : text.index(LAST_STAGE)])
    words = (f"runs={RUNS}", "name=parent", f"model.path={ROOT / 'models' / 'laptop-base'}", "replace=true")
    run = RUNS / "parent"
    if not _is_made_of(run, cut, words) or _last_stage(run) != "dpo":
        train(cut, words)
    assert _last_stage(run) == "dpo", f"{run} has ended"
    return Path(read_report(Run(run))[-1].checkpoint)


def _is_made_of(run: Path, recipe: Path, words: Sequence[str]) -> bool:
    planned = json.loads(json.dumps(resolved_json(read_recipe(recipe, words))["recipe"]))
    return is_run(run) and bool(Run(run).config()["recipe"] == planned)


def _last_stage(run: Path) -> str:
    return read_report(Run(run))[-1].name if (run / "report.json").exists() else ""


def train(recipe: Path, words: Sequence[str]) -> None:
    """Runs `rlvr train` on one core, or goes on with a run of this recipe that was broken off; its output goes to a log
    beside the run."""
    said = dict(word.split("=", 1) for word in words)
    run, log = Path(said["runs"]) / said["name"], Path(said["runs"]) / f"{said['name']}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        verb = ["resume", str(run)] if _is_made_of(run, recipe, words) else ["train", str(recipe), *words]
        command = [sys.executable, "-m", "rlvr.app.cli", *verb]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        if subprocess.run(command, stdout=out, stderr=out, cwd=ROOT, env=environment, check=False).returncode:
            raise SystemExit(f"{said['name']} failed; its last words stand in {log}")


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

    All begin at the checkpoint `start`, or at `parent`. Ends the program, all others made, where one failed.
    """
    start, kept = start or parent(), ROOT / "docs" / "lab" / topic
    weights = weights_hash(start)
    runs = RUNS / topic / weights[:8]
    runs.mkdir(parents=True, exist_ok=True)
    path = runs.parent / "recipe.toml"
    path.write_text(recipe)
    known = {trial.name: {"recipe": identity(path, trial), "parent": weights} for trial in trials}
    missing = [trial for trial in trials if read(kept, trial, known[trial.name]) is None]
    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        waiting = {
            threads.submit(_make, runs, trial, start, kept / f"{trial.name}.json", known[trial.name], more): trial
            for trial in missing
        }
        for number, done in enumerate(as_completed(waiting), start=1):
            if error := done.exception():
                print(f"{waiting[done].name} failed: {error}", flush=True)
            minutes = (time.monotonic() - began) / 60
            left = minutes / number * (len(missing) - number)
            print(f"{number}/{len(missing)}  {waiting[done].name}  {left:.0f} min left", flush=True)
    found = {trial.name: read(kept, trial, known[trial.name]) for trial in trials}
    if failed := [name for name, outcome in found.items() if outcome is None]:
        raise SystemExit(f"{len(failed)} of {len(trials)} failed: {', '.join(failed)}; the others are kept in {kept}")
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def identity(path: Path, trial: Trial) -> str:
    """Gives a hash of all that a trial's recipe says, defaults and the cells of its algorithms included."""
    recipe = read_recipe(path, trial.words).recipe
    stages = [stage for stage in recipe.stage if isinstance(stage, REINFORCED)]
    rows = [asdict(resolve(stage.algorithm.preset, **stage.algorithm.cells)) for stage in stages]
    said = json.dumps([recipe.model_dump(mode="json"), rows], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def _make(
    runs: Path, trial: Trial, start: Path, kept: Path, known: Mapping[str, Any], more: Callable[[Path], Any]
) -> None:
    words = (f"name={trial.name}", f"runs={runs}", f"model.path={start}", "replace=true", *trial.words)
    train(runs.parent / "recipe.toml", words)
    run = runs / trial.name
    stage = replace(read_report(Run(run))[-1], checkpoint="")
    kept.parent.mkdir(parents=True, exist_ok=True)
    content = {
        **known,
        "words": trial.words,
        "stage": asdict(stage),
        "rates": held_out(run),
        "more": more(run),
    }
    replace_file(kept, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def held_out(run: Path) -> dict[str, list[float]]:
    """Gives by domain what share of each task's samples the last stage of a run solves, tasks in their names' order."""
    sampled = read_measurement(Run.open(run).stages[-1].child(EVALUATION)).sampled
    return {domain: [rates[task] for task in sorted(rates)] for domain, rates in sampled.items()}


def by_arm(found: Mapping[str, Outcome]) -> dict[str, Arm]:
    """Gives the outcomes of trials that are called ARM-seedN by arm and seed."""
    arms: dict[str, dict[int, Outcome]] = {}
    for name, outcome in found.items():
        arm, _, seed = name.rpartition("-seed")
        arms.setdefault(arm, {})[int(seed)] = outcome
    return dict(arms)


def against(arm: Arm, reference: Arm, domains: Sequence[str]) -> str:
    """Says how many points more an arm solves than another on the same tasks, a mean over the domains.

    The interval is paired by task, of rates that are means over the seeds which both have; behind it stands the
    difference of each seed, and chance between seeds is seen there only.
    """
    seeds = sorted(arm.keys() & reference.keys())
    if not seeds or arm is reference:
        return "–"
    sides = [[_averaged(side, seeds, domain) for side in (reference, arm)] for domain in domains]
    gain = mean_of([paired_difference_interval(before, after) for before, after in sides])
    return f"{gain.points('')}: {', '.join(f'{_ahead(arm[s], reference[s], domains):+.1f}' for s in seeds)}"


def _averaged(arm: Arm, seeds: Sequence[int], domain: str) -> list[float]:
    return list(np.mean([arm[seed].rates[domain] for seed in seeds], axis=0))


def _ahead(one: Outcome, other: Outcome, domains: Sequence[str]) -> float:
    return 100 * statistics.mean(float(np.mean(one.rates[d]) - np.mean(other.rates[d])) for d in domains)


def read(kept: Path, trial: Trial, known: Mapping[str, Any]) -> Outcome | None:
    """Gives the trial's outcome; None where none is kept, or one of another recipe, parent or other words."""
    path = kept / f"{trial.name}.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if {**known, "words": list(trial.words)} != {key: content[key] for key in ("recipe", "parent", "words")}:
        return None
    return Outcome(TypeAdapter(StageReport).validate_python(content["stage"]), content["rates"], content["more"])
