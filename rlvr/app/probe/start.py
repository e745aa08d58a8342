"""What a stage would begin with: the checkpoint of the stage before where a run of the recipe has it, else the base."""

from dataclasses import dataclass
from pathlib import Path

from rlvr.app.pipeline import BASE, DONE
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import from_json
from rlvr.config.schema import Recipe
from rlvr.config.supervised import RewardModelConfig
from rlvr.errors import ModelError, RecipeError
from rlvr.models.checkpoint import latest_checkpoint
from rlvr.runs.folder import Run, is_run
from rlvr.runs.publish import damages


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
    run, note = _run_of(recipe, number, folder)
    base = _base(recipe, run)
    current = base
    before = list(enumerate(recipe.stage[: number - 1], start=1))
    not_run: list[str] = []
    for place, stage in before:
        if isinstance(stage, RewardModelConfig | EvaluateConfig):
            continue
        name = stage.name or stage.kind
        found = None if run is None or not_run else _finished(run.path / f"{place}-{name}")
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


def _run_of(recipe: Recipe, number: int, folder: Path) -> tuple[Run | None, str]:
    """Gives the recipe's run where its stages before this one are the recipe's; else why it is of no use."""
    if not is_run(folder):
        return None, ""
    run = Run.open(folder)
    try:
        made_by = from_json(run.config()).in_force
    except RecipeError as error:
        return None, f"{folder} is of no use here: {error.message}"
    if (recipe.model, recipe.seed) != (made_by.model, made_by.seed):
        return None, f"{folder} is of no use here: it was trained from another model or with another seed"
    if recipe.stage[: number - 1] != made_by.stage[: number - 1]:
        return None, f"{folder} is of no use here: its stages before this one are others"
    return run, ""


def _base(recipe: Recipe, run: Run | None) -> Path | None:
    if recipe.model.new is None:
        return Path(recipe.model.path)
    place = run.path / BASE / "checkpoints" if run else None
    found = latest_checkpoint(place) if place and place.is_dir() else None
    return found[0] if found else None


def _finished(stage: Path) -> Path | None:
    """Gives the checkpoint of a stage that ended; None where it did not, or where that is no longer whole."""
    if not (stage / DONE).is_file():
        return None
    path = stage / str(Run(stage).read_json(DONE)["checkpoint"])
    return None if damages(path) else path
