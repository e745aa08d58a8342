"""What a stage would begin with: the checkpoint of the stage before where a run of the recipe has it, else the base."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.app.chain import BASE
from rlvr.app.ended import handed_on, has_ended
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import from_json
from rlvr.config.schema import Recipe
from rlvr.config.supervised import RewardModelConfig
from rlvr.errors import ModelError, RecipeError
from rlvr.runs.folder import Run, is_run
from rlvr.runs.publish import damages, latest_whole


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint; `not_run` names the stages that stand between it and the stage, `note` says why no run helped."""

    checkpoint: Path
    not_run: tuple[str, ...]
    note: str


def start_of(recipe: Recipe, number: int) -> Start:
    """Gives what stage `number`, counted from 1, would begin with, as far as it is there.

    Raises ModelError where that is a new model that nobody has trained yet.
    """
    folder = Path(recipe.runs) / recipe.name
    run, made_by, note = _run_of(recipe, folder)
    current, not_run = _base(recipe, run), list[str]()
    for place, stage in enumerate(recipe.stage[: number - 1], start=1):
        if isinstance(stage, RewardModelConfig | EvaluateConfig):
            continue  # The policy goes on as it was.
        name, made = stage.label, made_by[place - 1 : place]
        if made and made != (stage,):
            note = note or f"{folder} is of no use from {name} on: there it has other settings"
        there = run is not None and made == (stage,) and not not_run
        found = _finished(folder / stage.folder(place), before=current) if there else None
        if found is None:
            not_run.append(name)
        else:
            current = found
    if current is None:
        raise ModelError(
            f"{recipe.name} makes a new model, and no run in {folder} has trained it: every answer would be wrong",
            hint="rlvr train RECIPE runs its stages; then probe the recipe of the next one",
        )
    return Start(current, tuple(not_run), note if not_run else "")


def _run_of(recipe: Recipe, folder: Path) -> tuple[Run | None, tuple[Any, ...], str]:
    """Gives the run in the recipe's folder and its stages, where it began as the recipe does; else why it is no use."""
    if not is_run(folder):
        return None, (), ""
    run = Run.open(folder)
    try:
        made_by = from_json(run.config()).in_force
    except RecipeError as error:
        return None, (), f"{folder} is of no use here: {error.message}"
    if (recipe.model, recipe.seed) != (made_by.model, made_by.seed):
        return None, (), f"{folder} is of no use here: it was trained from another model or with another seed"
    return run, made_by.stage, ""


def _base(recipe: Recipe, run: Run | None) -> Path | None:
    if recipe.model.new is None:
        return Path(recipe.model.path)
    place = run.path / BASE / "checkpoints" if run else None
    found = latest_whole(place) if place and place.is_dir() else None
    return found[0] if found else None


def _finished(stage: Path, *, before: Path | None) -> Path | None:
    """Gives what went on of a stage that ended, which is `before` where its gate let nothing pass.

    None where it did not end, or where its checkpoint is no longer whole.
    """
    if not has_ended(stage):
        return None
    path = handed_on(stage)
    return before if path is None else None if damages(path) else path
