"""A recipe from end to end: the base is measured, then each stage trains, is measured and hands its checkpoint on.

A reward model is no policy: later stages find it by its stage's name, and the next one goes on with the policy before.
"""

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rlvr import keyed
from rlvr.app.export import export_model
from rlvr.app.importing import import_from
from rlvr.app.meter import Meter
from rlvr.app.progress import Progress
from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.app.trust import audits_of, versions_of
from rlvr.app.wiring import STAGES, House, load_items, make_parts, open_house
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import Resolved, continued, from_json, resolved_json
from rlvr.config.schema import NewModelConfig, Recipe
from rlvr.config.supervised import PretrainConfig, RewardModelConfig
from rlvr.data.rows import data_files
from rlvr.errors import ModelError, RunError
from rlvr.models.checkpoint import latest_checkpoint, save_checkpoint
from rlvr.models.policy import create_model
from rlvr.models.tokenizer import check_reload, train_tokenizer
from rlvr.runs.folder import CHECKPOINTS, CONFIG, PROVENANCE, Run
from rlvr.runs.lock import locked
from rlvr.runs.page.page import PAGE, write_page
from rlvr.runs.provenance import collect
from rlvr.runs.report import REINFORCED, SEEN, DomainReport, StageReport, write_report
from rlvr.runs.sinks import SINKS
from rlvr.runs.summary import condition_table, gain_lines, headline, report_table
from rlvr.stages.beyond import beyond_ancestors
from rlvr.stages.conditions import problem_lines, read_conditions
from rlvr.stages.evaluate import RESULT, Change, Measurement, changes_between, measure, read_measurement
from rlvr.stages.iterate import ROUND, measuring_lines, round_lines
from rlvr.stages.parts import last_checkpoint, whole
from rlvr.stages.reward_model import accuracy_line, read_accuracy

log = logging.getLogger(__name__)

BASE = "0-base"
DONE = "done.json"
TABLE_COLUMNS = 100


def start(resolved: Resolved) -> Path:
    """Makes the run's folder, takes the recipe through all of its stages and gives the folder."""
    resolved = fitted(resolved)
    recipe = resolved.in_force
    import_from(resolved.source.parent)
    path = Path(recipe.runs) / recipe.name
    run = Run.create(path, config=resolved_json(resolved), provenance=_provenance(recipe), replace=recipe.replace)
    with locked(run.path):
        return _all_stages(run, resolved)


def resume(path: Path, *, more_steps: int = 0) -> Path:
    """Goes on with a run from its last whole checkpoint; a finished one is only reported again.

    With `more_steps` its last stage, of kind rlvr, is followed by one that continues it for so many steps.
    Works in the folder where the run was started, so that its relative paths mean what they meant.
    """
    run = Run.open(path.absolute())
    if more_steps:
        with locked(run.path):
            known = from_json(run.config())
            last = known.recipe.stage[-1]
            if not (run.path / f"{len(known.recipe.stage)}-{last.name or last.kind}" / DONE).is_file():
                raise RunError(f"{path} has not ended: its last stage is not done", hint=f"first: rlvr resume {path}")
            run.write_json(CONFIG, resolved_json(continued(known, more_steps)))
            run.event("continued", steps=more_steps)
    started_in = Path(str(run.read_json(PROVENANCE).get("folder", ".")))
    if started_in.is_dir():
        os.chdir(started_in)
    resolved = from_json(run.config())
    import_from(resolved.source.parent)
    with locked(run.path):
        run.event("resume", libraries=collect(data_hashes={}, verifier_versions={})["libraries"])
        return _all_stages(run, resolved)


def _all_stages(run: Run, resolved: Resolved) -> Path:
    """Runs what is not done yet; the report is rewritten after each stage."""
    recipe = resolved.in_force
    with Progress() as progress:
        house = open_house(recipe)
        current = _base(house, run)
        base = _measured(house, run.child(BASE), recipe.evaluation, checkpoint=current, parent=None)
        results = [("base", base)]
        reports = [_report(run.child(BASE), "base", current, set(), results, ())]
        trained: set[str] = set()
        parent, goes_on = current, list[str]()
        for number, stage in enumerate(recipe.stage, start=1):
            name = stage.name or stage.kind
            child = run.child(f"{number}-{name}")
            if not getattr(stage, "continues", False):
                parent, goes_on = current, []
            made = _trained(house, child, progress, stage, begin=current, parent=parent)
            progress.note(f"{name}: {made}")
            trained |= set(child.read_json(DONE)["domains"])
            if isinstance(stage, RewardModelConfig):
                house.reward_models[name] = made
                results.append((name, replace(results[-1][1], kl=None)))  # The policy is the one from before.
                if accuracy := read_accuracy(child):
                    progress.note(f"{name}: {accuracy_line(accuracy)}")
            else:
                current = made
                for line in round_lines(child):
                    progress.note(f"{name}: {line}")
                config = stage if isinstance(stage, EvaluateConfig) else recipe.evaluation
                results.append((name, _measured(house, child, config, checkpoint=current, parent=parent)))
            reports.append(_report(child, stage.kind, current, trained, results, goes_on))
            goes_on.append(name)
            write_report(run, reports)
            write_page(run)
        house.scorer.close()
    if recipe.export:
        export_model(run, current, recipe, reports)
    run.event("ended")
    _print(run, reports, left_out_line(resolved))
    return run.path


def _print(run: Run, reports: Sequence[StageReport], left_out: str) -> None:
    console = Console(stderr=True)
    console.width = console.width if console.is_terminal else TABLE_COLUMNS
    if first := headline(reports):
        console.print(first, style="bold", highlight=False, markup=False)
    console.print(report_table(reports, width=console.width))
    for line in [*gain_lines(reports), *([left_out] if left_out else [])]:
        console.print(line, highlight=False, markup=False)
    console.print(f"all of it, with curves and transcripts: {run.path / PAGE}", highlight=False, markup=False)


def _base(house: House, run: Run) -> Path:
    """Gives the directory that the first stage starts from; a new model is made in the run, once."""
    model = house.recipe.model
    if model.new is None:
        return Path(model.path)
    child = run.child(BASE)
    if found := latest_checkpoint(child.checkpoints):
        return found[0]
    tokenizer = train_tokenizer(
        (document.prompt + document.text for document in _tokenizer_documents(house.recipe, model.new)),
        vocab_size=model.new.tokenizer.vocabulary_size,
        max_length=int(model.new.settings.get("max_position_embeddings", 2048)),
    )
    network = create_model(
        model.new.architecture,
        model.new.settings,
        tokenizer=tokenizer,
        seed=int(keyed.bits(house.recipe.seed, "init")) % 2**31,
        device=house.device,
    )
    check_reload(tokenizer, network.config)
    return save_checkpoint(child.checkpoints, 0, model=network, tokenizer=tokenizer, trainer_state={"step": 0})


def _tokenizer_documents(recipe: Recipe, new: NewModelConfig) -> Sequence[Any]:
    first = recipe.stage[0]
    data = new.tokenizer.data or (first.data if isinstance(first, PretrainConfig) else ())
    if not data:
        raise ModelError(
            "a new model needs text for its tokenizer, and the first stage has no documents",
            hint='model.new.tokenizer.data=["SOURCE:SPLIT"]',
        )
    return load_items("document", data)


def _trained(house: House, run: Run, progress: Progress, stage: Any, *, begin: Path, parent: Path) -> Path:
    """Runs one stage from `begin`, or gives the checkpoint of one that is done.

    `parent` is what the stage is compared with: `begin`, unless it continues another, with which it shares it.
    """
    if done := _done(run):
        return done
    found = last_checkpoint(run)
    meter = Meter()
    start = begin if isinstance(stage, RewardModelConfig) else found or begin
    parts = make_parts(house, start=start, parent=parent, stage=stage)
    run.fsync = False  # Each checkpoint waits for the metrics before it; a kill loses nothing either way.
    listener = progress.stage(run.path.name)
    run.listeners += [listener, *(SINKS[name](run) for name in house.recipe.sinks)]

    def announce(steps: int, first: int) -> None:
        meter.add([*measuring_lines(run), *(line for line in run.metrics() if line["step"] < first)])
        listener.expect(steps, first)
        if first == 0 and (conditions := read_conditions(run)):
            progress.show(condition_table(conditions))
            for line in problem_lines(conditions):
                progress.note(line if stage.conditions.required else f"{line}. It is trained all the same.")

    checkpoint = STAGES[stage.kind](replace(parts, announce=announce), stage, run)
    inside = checkpoint.path.is_relative_to(run.path)
    run.write_json(
        DONE,
        {
            "checkpoint": str(checkpoint.path.relative_to(run.path) if inside else checkpoint.path),
            "step": checkpoint.step,
            "domains": list(checkpoint.domains),
            **meter.durations(),
        },
    )
    return checkpoint.path


def _done(run: Run) -> Path | None:
    """Gives the checkpoint of a stage that ended; None when it did not, or when that checkpoint is no longer whole."""
    if not (run.path / DONE).is_file():
        return None
    path = Path(run.read_json(DONE)["checkpoint"])
    # A checkpoint that the stage only passed on is named from the working directory.
    if not (path.parts[0] == CHECKPOINTS or path.parts[0].startswith(ROUND)):
        return path
    return run.path / path if whole(run, run.path / path, DONE) else None


def _measured(
    house: House, run: Run, config: EvaluateConfig | None, *, checkpoint: Path, parent: Path | None
) -> Measurement:
    """Measures a checkpoint, or reads what was measured; nothing where there is no evaluation."""
    if config is None:
        return Measurement({}, (), None, None)
    place = run if (run.path / RESULT).is_file() else run.child("evaluation")
    if (place.path / RESULT).is_file():
        return read_measurement(place)
    return measure(make_parts(house, start=checkpoint, parent=parent, stage=config), config, place)


def _report(
    run: Run,
    kind: str,
    checkpoint: Path,
    trained: AbstractSet[str],
    results: Sequence[tuple[str, Measurement]],
    goes_on: Sequence[str],
) -> StageReport:
    """Gives a stage's part of the report: the last of `results`, and what it gained over the ones before.

    The last of those before, which it goes on from, are no ancestors: what it is beyond was known before them.
    """
    (*ancestors, (name, found)) = results
    changes = changes_between(ancestors[-1][1], found) if ancestors else {}
    domains = {
        domain: replace(_changed(report, changes.get(domain)), trained=domain.removesuffix(SEEN) in trained)
        for domain, report in found.domains.items()
    }
    rollouts = [line for line in run.metrics() if "rollout/informative_rate" in line]
    drawn = math.fsum(line["rollout/prompts_drawn"] for line in rollouts)
    informative = math.fsum(line["rollout/informative_rate"] * line["rollout/prompts_drawn"] for line in rollouts)
    done: dict[str, Any] = {"cpu_seconds": 0.0, "elapsed_seconds": 0.0, "domains": []}
    done |= run.read_json(DONE) if (run.path / DONE).is_file() else {}
    return StageReport(
        name=name,
        kind=kind,
        checkpoint=str(checkpoint),
        cpu_seconds=done["cpu_seconds"],
        seconds=done["elapsed_seconds"],
        domains=domains,
        kl=found.kl,
        perplexity=found.perplexity,
        no_signal_rate=1 - informative / drawn if drawn else None,
        beyond=beyond_ancestors(ancestors[: len(ancestors) - len(goes_on)], found, done["domains"])
        if kind in REINFORCED
        else {},
        conditions=read_conditions(run),
        continues=tuple(goes_on),
    )


def _changed(report: DomainReport, change: Change | None) -> DomainReport:
    if change is None:
        return report
    return replace(report, gain=change.gain, only_before=change.only_before, only_after=change.only_after)


def _provenance(recipe: Recipe) -> dict[str, Any]:
    """Gives where the run comes from: code, libraries, machine, and a hash of every data file that it names."""
    configs = [*recipe.stage, *([recipe.evaluation] if recipe.evaluation else [])]
    named = [data for config in configs for data in (*config.data, *getattr(config, "text", ()))]
    if recipe.model.new:
        named += recipe.model.new.tokenizer.data
    places = {Path(data.path or data.source) for data in named}
    places |= {Path(data.options["quarantine"]) for data in named if "quarantine" in data.options}
    files = {file for place in places if place.exists() for file in data_files(place)}
    hashes = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return collect(data_hashes=hashes, verifier_versions=versions_of(recipe)) | {
        "audits": audits_of(recipe),
        "folder": str(Path.cwd()),
        "gpu": gpu,
        "torch_threads": recipe.threads or torch.get_num_threads(),
    }
