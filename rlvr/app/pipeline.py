"""A recipe from end to end: a run's folder is made, or opened again, and taken through all stages."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rlvr import keyed
from rlvr.app.chain import BASE, begin_chain
from rlvr.app.ended import handed_on, has_ended, made_by
from rlvr.app.export import export_model
from rlvr.app.gating import gate_of, stop_where_asked
from rlvr.app.importing import at_home, import_from
from rlvr.app.progress import Progress
from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.app.trust import audits_of, versions_of
from rlvr.app.wiring import House, load_items, open_house
from rlvr.config.reading import Resolved, continued, from_json, resolved_json
from rlvr.config.schema import NewModelConfig, Recipe
from rlvr.config.supervised import PretrainConfig
from rlvr.data.rows import data_files
from rlvr.errors import ModelError, RunError
from rlvr.models.checkpoint import save_checkpoint
from rlvr.models.policy import create_model
from rlvr.models.tokenizer import check_reload, train_tokenizer
from rlvr.runs.folder import CONFIG, Run
from rlvr.runs.lock import locked
from rlvr.runs.page.page import PAGE, write_page
from rlvr.runs.provenance import collect
from rlvr.runs.publish import latest_whole
from rlvr.runs.report import StageReport, write_report
from rlvr.runs.summary import gain_lines, headline, report_table

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


def resume(path: Path, *, more_steps: int = 0, evaluate_every: int | None = None) -> Path:
    """Goes on with a run from its last whole checkpoint; a finished one is only reported again.

    With `more_steps` its last stage, of kind rlvr, is followed by one that continues it for so many steps, with
    held-out evaluations as far apart as `evaluate_every` says, or as before.
    Works in the folder where the run was started, so that its relative paths mean what they meant.
    """
    run = Run.open(path.absolute())
    if more_steps:
        with locked(run.path):
            known = from_json(run.config())
            last = known.recipe.stage[-1]
            folder = run.path / last.folder(len(known.recipe.stage))
            if not has_ended(folder):
                raise RunError(f"{path} has not ended: its last stage is not done", hint=f"first: rlvr resume {path}")
            if handed_on(folder) != made_by(folder):
                raise RunError(
                    f"{path} cannot be continued: the end of {folder.name} did not pass its gate",
                    hint="see in report.html what it lost, and train with other settings",
                )
            run.write_json(CONFIG, resolved_json(continued(known, more_steps, evaluate_every=evaluate_every)))
            run.event("continued", steps=more_steps)
    resolved = at_home(run)
    with locked(run.path):
        run.event("resume", libraries=collect(data_hashes={}, verifier_versions={})["libraries"])
        return _all_stages(run, resolved)


def _all_stages(run: Run, resolved: Resolved) -> Path:
    """Runs what is not done yet; the report is rewritten after each stage."""
    recipe = resolved.in_force
    with Progress() as progress:
        house = open_house(recipe)
        chain = begin_chain(house, run, progress, _base(house, run))
        for number, stage in enumerate(recipe.stage, start=1):
            chain.add(house, run.child(stage.folder(number)), progress, stage)
            write_report(run, chain.reports)
            write_page(run)
            stop_where_asked(gate_of(recipe, stage), chain.reports[-1])
        house.scorer.close()
    if recipe.export:
        export_model(run, chain.current, recipe, chain.reports)
    run.event("ended")
    _print(run, chain.reports, left_out_line(resolved))
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
    if found := latest_whole(child.checkpoints):
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


def gpu_name() -> str | None:
    """Gives what the GPU of this machine is called; None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


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
    return collect(data_hashes=hashes, verifier_versions=versions_of(recipe)) | {
        "audits": audits_of(recipe),
        "folder": str(Path.cwd()),
        "gpu": gpu_name(),
        "torch_threads": recipe.threads or torch.get_num_threads(),
    }
