"""A recipe from end to end: the base is measured, then each stage trains, is measured and hands its checkpoint on."""

import hashlib
import logging
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rlvr import keyed
from rlvr.app.progress import Progress
from rlvr.app.wiring import SEEN, STAGES, House, load_items, make_engine, make_parts, open_house
from rlvr.config.reading import Resolved, from_json, resolved_json
from rlvr.config.schema import EvaluateConfig, NewModelConfig, PretrainConfig, Recipe
from rlvr.data.chat import encode_prompt, stop_token_ids
from rlvr.engines.base import Request, Sampling
from rlvr.errors import ModelError, RunError
from rlvr.models.checkpoint import latest_checkpoint, save_checkpoint
from rlvr.models.policy import create_model, load_policy, pick_device
from rlvr.models.tokenizer import check_reload, train_tokenizer
from rlvr.runs.folder import Run
from rlvr.runs.lock import locked
from rlvr.runs.provenance import collect
from rlvr.runs.publish import damages
from rlvr.runs.report import StageReport, report_table, write_report
from rlvr.runs.sinks import SINKS
from rlvr.stages.evaluate import measure

log = logging.getLogger(__name__)

BASE = "0-base"
DONE = "done.json"
TABLE_COLUMNS = 100


def start(resolved: Resolved) -> Path:
    """Makes the run's folder, takes the recipe through all of its stages and gives the folder."""
    recipe = resolved.recipe
    _import_from(resolved.source.parent)
    path = Path(recipe.runs) / recipe.name
    run = Run.create(path, config=resolved_json(resolved), provenance=_provenance(recipe), replace=recipe.replace)
    return _all_stages(run, recipe)


def resume(path: Path) -> Path:
    """Goes on with a run from its last whole checkpoint; a finished one is only reported again."""
    run = Run.open(path)
    resolved = from_json(run.config())
    recipe = resolved.recipe
    _import_from(resolved.source.parent)
    run.event("resume", versions=collect(data_hashes={}, verifier_versions={})["libraries"])
    return _all_stages(run, recipe)


def _import_from(folder: Path) -> None:
    """Lets import paths of a recipe name modules in the folder where rlvr was started and in the recipe's own."""
    for place in (str(Path.cwd()), str(folder.absolute())):
        if place not in sys.path:
            sys.path.append(place)


def evaluate_checkpoint(path: str, config: EvaluateConfig, *, seed: int) -> StageReport:
    """Measures one checkpoint outside of its run, which stays untouched."""
    recipe = Recipe.model_validate(
        {"name": "evaluate", "seed": seed, "model": {"path": path}, "evaluation": config, "stage": [config]}
    )
    house = open_house(recipe)
    began, cpu_began = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="rlvr-") as folder:
        run = Run.create(Path(folder) / "evaluate", config={}, provenance={})
        found = measure(make_parts(house, start=path, parent=None, stage=config), config, run)
    house.scorer.close()
    return StageReport(
        name=Path(path).name,
        kind="evaluate",
        checkpoint=path,
        cpu_seconds=time.process_time() - cpu_began,
        seconds=time.perf_counter() - began,
        domains=found.domains,
        kl=None,
        perplexity=found.perplexity,
        no_signal_rate=None,
    )


def generate_text(path: str, prompt: str, *, samples: int, temperature: float, max_tokens: int, seed: int) -> list[str]:
    """Gives completions of one user prompt."""
    policy = load_policy(path, device=pick_device("auto"))
    ids = encode_prompt(policy.tokenizer, [{"role": "user", "content": prompt}])
    engine = make_engine(policy.model, policy.tokenizer, samples, len(ids) + max_tokens)
    sampling = Sampling(temperature, max_tokens, stop_token_ids(policy.tokenizer), seed, "generate")
    engine.submit([Request(0, 0, ids, samples, sampling)])
    texts: dict[int, str] = {}
    while engine.has_work:
        texts.update({done.sample_index: done.completion.text for done in engine.step()})
    return [texts[index] for index in range(samples)]


def _all_stages(run: Run, recipe: Recipe) -> Path:
    """Runs what is not done yet; the report is rewritten after each stage."""
    with locked(run.path), Progress() as progress:
        house = open_house(recipe)
        current = _base(house, run)
        reports = [_report(house, run.child(BASE), "base", "base", checkpoint=current, parent=None)]
        for number, stage in enumerate(recipe.stage, start=1):
            name = stage.name or stage.kind
            child = run.child(f"{number}-{name}")
            parent, current = current, _trained(house, child, progress, stage, current)
            progress.note(f"{name}: {current}")
            reports.append(_report(house, child, name, stage.kind, checkpoint=current, parent=parent))
            write_report(run, _marked(run, reports))
        house.scorer.close()
    if recipe.export:
        _export(current, Path(recipe.export))
    console = Console(stderr=True)
    console.width = console.width if console.is_terminal else TABLE_COLUMNS
    console.print(report_table(_marked(run, reports)))
    return run.path


def _base(house: House, run: Run) -> Path:
    """Gives the directory that the first stage starts from; a new model is made in the run, once."""
    model = house.recipe.model
    if model.new is None:
        return Path(model.path)
    child = run.child("0-base")
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


def _trained(house: House, run: Run, progress: Progress, stage: Any, parent: Path) -> Path:
    """Runs one stage, or gives the checkpoint of one that is done."""
    if done := _done(run):
        return done
    found = latest_checkpoint(run.checkpoints)
    parts = make_parts(house, start=found[0] if found else parent, parent=parent, stage=stage)
    run.fsync = False  # Each checkpoint waits for the metrics before it; a kill loses nothing either way.
    listener = progress.stage(run.path.name)
    run.listeners += [listener, *(SINKS[name](run) for name in house.recipe.sinks)]
    house.domains.clear()
    checkpoint = STAGES[stage.kind](replace(parts, announce=listener.expect), stage, run)
    inside = checkpoint.path.is_relative_to(run.path)
    run.write_json(
        DONE,
        {
            "checkpoint": str(checkpoint.path.relative_to(run.path) if inside else checkpoint.path.resolve()),
            "step": checkpoint.step,
            "domains": sorted(house.domains),
        },
    )
    return checkpoint.path


def _done(run: Run) -> Path | None:
    """Gives the checkpoint of a stage that ended; None when it did not, or when that checkpoint is no longer whole."""
    if not (run.path / DONE).is_file():
        return None
    path = run.path / str(run.read_json(DONE)["checkpoint"])
    trouble = damages(path) if path.is_relative_to(run.path) else []
    if not trouble:
        return path
    log.warning("%s is damaged (%s); the stage goes on from its last whole checkpoint", path, trouble[0])
    run.event("checkpoint_damaged", checkpoint=path.name, damages=trouble)
    (run.path / DONE).unlink()
    return None


def _report(house: House, run: Run, name: str, kind: str, *, checkpoint: Path, parent: Path | None) -> StageReport:
    """Measures a checkpoint on the recipe's [evaluation], if there is one, and gives the stage's line of the report."""
    config = house.recipe.evaluation
    lines = run.metrics()
    informative = [line["rollout/informative_rate"] for line in lines if "rollout/informative_rate" in line]
    found = None
    if config is not None:
        parts = make_parts(house, start=checkpoint, parent=parent, stage=config)
        found = measure(parts, config, run.child("evaluation"))
    return StageReport(
        name=name,
        kind=kind,
        checkpoint=str(checkpoint),
        cpu_seconds=math.fsum(line["time/cpu_seconds"] for line in lines),
        seconds=math.fsum(line["time/step_seconds"] for line in lines),
        domains=found.domains if found else {},
        kl=found.kl if found else None,
        perplexity=found.perplexity if found else None,
        no_signal_rate=1 - math.fsum(informative) / len(informative) if informative else None,
    )


def _marked(run: Run, reports: Sequence[StageReport]) -> list[StageReport]:
    """Marks the domains that some stage of this run has trained on."""
    trained = {
        domain for child in run.children if (child.path / DONE).is_file() for domain in child.read_json(DONE)["domains"]
    }
    return [
        replace(
            report,
            domains={
                name: replace(found, trained=name.removesuffix(SEEN) in trained)
                for name, found in report.domains.items()
            },
        )
        for report in reports
    ]


def _export(checkpoint: Path, target: Path) -> None:
    """Copies the model files, without the trainer's state, to `target`, whole or not at all."""
    if target.exists() and not (target / "config.json").is_file():
        raise RunError(f"export target {target} exists and is no model directory", hint="export=OTHER_FOLDER")
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(checkpoint, fresh, ignore=shutil.ignore_patterns("trainer.pt", "manifest.json"))
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _provenance(recipe: Recipe) -> dict[str, Any]:
    """Gives where the run comes from: code, libraries, machine, and a hash of every data file that it names."""
    named = [data for stage in recipe.stage for data in getattr(stage, "data", ())]
    paths = sorted({data.path for data in named if data.path and Path(data.path).is_file()})
    hashes = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return collect(data_hashes=hashes, verifier_versions={}) | {
        "gpu": gpu,
        "torch_threads": recipe.threads or torch.get_num_threads(),
    }
