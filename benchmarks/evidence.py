"""The evidence for the laptop recipe: 3 seeds of RLVR on 2 bases, 3 runs with shuffled rewards, 256 tasks a domain.

RLVR goes on for 500 steps; the demo has 80, because its limit is four minutes. Instruction lines are measured on
four times as many tasks: there the stages before RLVR differ least, by less than what 256 tasks can tell. Tasks and
stories are drawn by a hash of the recipes and the number of steps, so that what was chosen by one draw is judged by
another. In one more run all demonstrations show their working: what the gain owes to those that do not.

    make evidence                        # or: python benchmarks/evidence.py --jobs 2

Makes what is missing and keeps what is done: killed at any moment, the same command goes on. A run of another recipe,
other settings or another base is thrown away and made anew. Runs lie in runs/evidence, their figures in
docs/lab/evidence (with those, a run counts as made on any machine), the result in docs/lab/laptop-evidence.md and in
the results tables of both READMEs.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_kept import Kept, keep, portable, read_kept
from evidence_readme import NAME, WORDS, results_table, write_between
from evidence_runs import Finished, origin_of, read_finished
from evidence_tables import lab_page

from rlvr.app.export import ORIGIN, weights_hash
from rlvr.config.keys import flat
from rlvr.config.reading import from_json, read_recipe, resolved_json
from rlvr.errors import RecipeError, RlvrError
from rlvr.runs.atomic import replace_file
from rlvr.runs.folder import PROVENANCE, Run, is_run
from rlvr.runs.report import read_report
from rlvr.verifiers.code import sandboxes

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "evidence"
KEPT = ROOT / "docs" / "lab" / "evidence"
RECIPE = ROOT / "recipes" / "laptop.toml"
BASE_RECIPE = ROOT / "recipes" / "laptop-base.toml"
SHIPPED = ROOT / "models" / "laptop-base"
SECOND = ROOT / "models" / "laptop-base-2"
SECOND_BASE_SEED = 2
SEEDS = (1, 2, 3)
TASKS = 256
MORE = {4: 4}
"""By place among the evaluation's sources: how many times as many tasks, for instruction lines."""
STEPS = 500
"""Of RLVR, in every run."""
DRAWN_DOMAINS = 5
"""So many of the evaluation's sources draw their tasks by a seed; the facts after them are the same for every seed."""
DEMONSTRATED = 6
"""So many of SFT's sources, all of them, have demonstrations that only say the answer."""
TRIES = 3
"""How often a run is taken up again after it ended with an error or by a signal."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of `rlvr`: its name, the recipe with its overrides, and the runs that it needs first."""

    name: str
    recipe: Path
    overrides: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return RUNS / self.name

    @property
    def kept(self) -> Path:
        """Where its figures are kept."""
        return KEPT / f"{self.name}.json"

    @property
    def words(self) -> tuple[str, ...]:
        """The overrides, with the run's place."""
        return (f"name={self.name}", f"runs={RUNS}", *self.overrides)

    def settings(self) -> dict[str, Any]:
        """Gives the resolved recipe as JSON, as the run's config.json would hold it."""
        recipe = resolved_json(read_recipe(self.recipe, self.words))["recipe"]
        return dict(json.loads(json.dumps(recipe)))


def task_seed() -> int:
    """Gives the seed of the held-out tasks: a hash of both recipes and of how many steps RLVR has.

    Another recipe or number of steps has other tasks: none is chosen on the tasks that it is judged by. Of the recipes
    only what stands in them counts, not the defaults of other keys, which come and go with versions.
    """
    recipes = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (RECIPE, BASE_RECIPE)]
    return int(hashlib.sha256(json.dumps([*recipes, STEPS], sort_keys=True).encode()).hexdigest()[:5], 16)


def plan(tasks: int) -> list[Job]:
    """Gives every run of the protocol; the second base first, because three runs wait for it, then seed by seed."""
    seed = task_seed()
    longer = (
        f"rlvr.steps={STEPS}",
        *(f"evaluation.data.{number}.limit={tasks * MORE.get(number, 1)}" for number in range(1, DRAWN_DOMAINS + 2)),
        *(f"evaluation.data.{number}.options.seed={seed}" for number in range(1, DRAWN_DOMAINS + 1)),
        f"evaluation.text.1.options.seed={seed}",
    )
    jobs = [Job("base-2", BASE_RECIPE, (f"seed={SECOND_BASE_SEED}", f"export={SECOND}"))]
    jobs += [
        Job(f"base{base}-seed{seed}", RECIPE, (f"seed={seed}", f"model.path={path}", *longer), needs)
        for seed in SEEDS
        for base, path, needs in ((1, SHIPPED, ()), (2, SECOND, ("base-2",)))
    ]
    control = ('evaluation.prompts=["chat"]', "evaluation.low_temperature=0", "rlvr.rewards=shuffled", *longer)
    jobs += [Job(f"shuffled-seed{seed}", RECIPE, (f"seed={seed}", f"model.path={SHIPPED}", *control)) for seed in SEEDS]
    worked = tuple(f"sft.data.{number}.options.answer_only_share=0" for number in range(1, DEMONSTRATED + 1))
    first = (f"seed={SEEDS[0]}", f"model.path={SHIPPED}", *worked, *longer)
    jobs.append(Job(f"working-seed{SEEDS[0]}", RECIPE, first))
    return jobs


def is_done(job: Job) -> bool:
    """Says whether the run is the one planned and has a report of all its stages and, where asked for, its export."""
    try:
        if mismatch(job):
            return False
        stages, recipe = read_report(Run(job.folder)), job.settings()
        if len(stages) != 1 + len(recipe["stage"]):
            return False
        if not recipe["export"]:
            return True
        # An older export stays until a new one is whole, so its presence alone says nothing.
        exported = json.loads((Path(recipe["export"]) / ORIGIN).read_text())
        made = weights_hash(Path(stages[-1].checkpoint))
        return made is not None and bool(exported["weights_sha256"] == made)
    except (RlvrError, OSError):
        return False


def mismatch(job: Job) -> str:
    """Says why the run that lies in the job's folder is not the one planned; "" when it is."""
    if not is_run(job.folder):
        return "there is no run"
    run, settings = Run(job.folder), job.settings()
    # Read anew, so that keys younger than the run have their defaults, which were in force.
    try:
        made = resolved_json(from_json(run.config()))["recipe"]
    except RecipeError as error:
        return f"its recipe cannot be read any more: {error.message}"
    if other := differences(json.loads(json.dumps(made)), settings):
        return other
    provenance = run.read_json(PROVENANCE)
    if missing := [word for word in job.words if word not in provenance["command"]]:
        return f"it was started without {', '.join(missing[:3])}"
    if not settings["model"]["path"]:
        return ""
    try:
        started = json.loads(base_file(job).read_text())
    except (OSError, ValueError):
        return "it is not known from which base weights it started"
    if started["instead_of"] == provenance["started"]:
        return "it was being thrown away"
    now = weights_hash(Path(settings["model"]["path"]))
    return "" if started["weights_sha256"] == now else f"the weights of {settings['model']['path']} have changed"


def differences(made: Mapping[str, Any], planned: Mapping[str, Any]) -> str:
    """Says in which keys two recipes differ, but for `replace`; "" when in none."""
    stored, wanted = (dict(flat({**recipe, "replace": None})) for recipe in (made, planned))
    other = [key for key in {**stored, **wanted} if stored.get(key) != wanted.get(key)]
    shown = [f"{key} is {stored.get(key)!r}, planned {wanted.get(key)!r}" for key in other[:3]]
    return "; ".join([*shown, *([f"and {len(other) - 3} more"] if len(other) > 3 else [])])


def kept_mismatch(job: Job) -> str:
    """Says why the figures that are kept are not those of the run planned; "" when they are."""
    try:
        kept = read_kept(job.kept)
    except (RlvrError, ValueError) as error:
        return f"{job.kept} cannot be read: {error}"
    if kept is None:
        return "no figures are kept"
    if other := differences(kept.recipe, portable(job.settings(), ROOT)):
        return other
    return "" if kept.weights_sha256 == bound_to(job) else "they are of other weights of the base"


def bound_to(job: Job) -> str | None:
    """Gives the hash of the weights that the run starts from, or of those that it exports where it makes a base."""
    recipe = job.settings()
    return weights_hash(Path(recipe["model"]["path"] or recipe["export"]))


def keep_figures(job: Job) -> None:
    """Keeps what the run found."""
    run, weights = Run(job.folder), bound_to(job)
    assert weights is not None, "a run that is done has its base"
    if job.settings()["export"]:
        found = Finished(job.name, 0, read_report(run), {}, {}, {}, [], origin_of(run))
    else:
        found = read_finished(job.name, run)
    keep(job.kept, Kept(job.settings(), weights, found), root=ROOT)


def base_file(job: Job) -> Path:
    """The file beside the run that says from which weights it started, and which run it took the place of."""
    return RUNS / f"{job.name}.base.json"


def starting(job: Job) -> list[str]:
    """Notes from which weights the run starts, and gives the words that start it in place of what lies there."""
    words = ["train", str(job.recipe), *job.words]
    old = None
    if is_run(job.folder):
        print(f"thrown away: {job.folder}: {mismatch(job)}", flush=True)
        old = Run(job.folder).read_json(PROVENANCE)["started"]
        words.append("replace=true")
    if path := job.settings()["model"]["path"]:
        noted = {"weights_sha256": weights_hash(Path(path)), "instead_of": old}
        replace_file(base_file(job), json.dumps(noted).encode())
    return words


def make(job: Job) -> None:
    """Makes the run, or goes on with it. Raises SystemExit when it fails again and again."""
    log = RUNS / f"{job.name}.log"
    for _ in range(TRIES):
        if is_done(job):
            return
        words = starting(job) if mismatch(job) else ["resume", str(job.folder)]
        with log.open("a") as out:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            command = [sys.executable, "-m", "rlvr.app.cli", *words]
            subprocess.run(command, stdout=out, stderr=out, cwd=ROOT, env=environment, check=False)
    if not is_done(job):
        raise SystemExit(f"{job.name} failed {TRIES} times; its last words stand in {log}")


def make_all(jobs: Sequence[Job], at_once: int) -> None:
    """Makes all runs, so many at once, each after those that it needs; says what ends and how long it all takes."""
    started = time.monotonic()
    left, running = [job for job in jobs if kept_mismatch(job)], dict[Future[None], Job]()
    done = {job.name for job in jobs if job not in left}
    with ThreadPoolExecutor(at_once) as threads:
        while left or running:
            ready = [job for job in left if done.issuperset(job.needs)][: at_once - len(running)]
            for job in ready:
                left.remove(job)
                running[threads.submit(make, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                future.result()
                keep_figures(job)
                done.add(job.name)
                minutes = (time.monotonic() - started) / 60
                print(f"{len(done)}/{len(jobs)} runs done after {minutes:.0f} min: {job.name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at once (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=TASKS, help="held-out tasks per domain (default: %(default)s)")
    parser.add_argument("--only-tables", action="store_true", help="make no run, only write what the runs say")
    given = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    jobs = plan(given.tasks)
    if not given.only_tables:
        try:
            sandboxes()
        except RlvrError as error:
            raise SystemExit(f"the evidence has functions, whose programs need a sandbox: {error.message}") from None
        make_all(jobs, given.jobs)
    if missing := [f"{job.name}: {why}" for job in jobs if (why := kept_mismatch(job))]:
        raise SystemExit("not the runs of the plan:\n" + "\n".join(missing))
    by_name = sorted(jobs, key=lambda job: job.name)
    (base, *finished) = [kept.finished for job in by_name if (kept := read_kept(job.kept))]
    page = ROOT / "docs" / "lab" / "laptop-evidence.md"
    page.write_text(lab_page(finished, base.stages))
    for readme in WORDS:
        write_between(ROOT / readme, results_table(finished, readme), NAME)
    print(f"written: {', '.join((str(page.relative_to(ROOT)), *WORDS))}")


if __name__ == "__main__":
    main()
