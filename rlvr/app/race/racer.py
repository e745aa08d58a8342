"""One racer's job, in a process of its own: train until a step, be measured there, stop for now.

It ends when the process that started it does, so that a race can be killed and taken up again.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvr.app.importing import at_home
from rlvr.app.wiring import House, make_parts, open_house
from rlvr.config.rlvr import RlvrConfig
from rlvr.errors import EngineError, RlvrError, TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.lock import locked
from rlvr.runs.publish import latest_whole
from rlvr.stages.evaluate import RESULT, Measurement, measure, read_measurement
from rlvr.stages.parts import last_checkpoint
from rlvr.stages.rlvr import rlvr

PROBLEM = "error: "
"""What begins the line that says why a job failed."""
BROKEN = 3
"""The exit code of a racer whose training cannot go on: it would fail again."""
RACE, FRESH = "race", "fresh"
"""The halves of the held-out tasks: by one the race is decided, by the other the winner is judged."""


def advance(folder: Path, until: int, *, fresh: bool = False) -> None:
    """Takes the racer to that step, where it is not further by now, and measures it there.

    A step beyond those of its stage is one of the stage that continues it.
    """
    with _working_in(folder) as (run, house):
        child, checkpoint, done = _reached(run, house, until)
        if done == until:  # Else it was there before, and was measured.
            _measure(house, checkpoint, child.child(place_name(until, fresh=fresh)), FRESH if fresh else RACE)


def _reached(run: Run, house: House, until: int) -> tuple[Run, Path, int]:
    """Gives the folder of the first stage, the checkpoint after `until` steps, and how many it has."""
    stage = house.recipe.stage[0]
    assert isinstance(stage, RlvrConfig), "a racer has one stage, of kind rlvr, and what continues it"
    child = stage_of(run, stage)
    if until > stage.steps:  # The pipeline has taken the winner there.
        more = run.child(house.recipe.stage[1].folder(2))
        path = last_checkpoint(more)
        assert path is not None, "a stage that ended has a checkpoint"
        return child, path, until
    begin = Path(house.recipe.model.path)
    child.fsync = False  # Each checkpoint waits for the metrics before it.
    parts = make_parts(house, start=last_checkpoint(child) or begin, parent=begin, stage=stage)
    checkpoint = rlvr(replace(parts, until=until), stage, child)
    return child, checkpoint.path, checkpoint.step


def stage_of(run: Run, stage: RlvrConfig) -> Run:
    """The folder of the racer's one stage."""
    return run.child(stage.folder(1))


def checkpoint_of(folder: Path) -> Path | None:
    """Gives the last whole checkpoint of a racer's run, of its last stage that has any; None before the first."""
    stages = [stage for stage in Run.open(folder).stages if stage.checkpoints.is_dir()]
    if not stages:
        return None
    found = latest_whole(stages[-1].checkpoints)
    return found[0] if found else None


def place_name(step: int, *, fresh: bool = False) -> str:
    """The folder, inside that of the stage, with what was measured after so many steps."""
    return f"{'fresh' if fresh else 'rung'}-{step:06d}"


def measured(place: Path) -> Measurement | None:
    """Gives what was measured there; None where nothing was."""
    return read_measurement(Run(place)) if (place / RESULT).is_file() else None


def half(tasks: Sequence[Any], which: str) -> list[Any]:
    """Gives the tasks of that half. Which one a task is in is a hash of its name."""
    return [task for task in tasks if (RACE, FRESH)[hashlib.blake2b(task.id.encode()).digest()[0] % 2] == which]


def _measure(house: House, checkpoint: Path, place: Run, which: str) -> None:
    evaluation = house.recipe.evaluation
    assert evaluation is not None, "a race is decided by held-out tasks"
    config = evaluation.model_copy(update={"text": (), "low_temperature": 0.0, "prompts": evaluation.prompts[:1]})
    parts = make_parts(house, start=checkpoint, parent=None, stage=config)

    def load(kind: Any, data: Any) -> list[Any]:
        return half(house.load_held_out(kind, data), which)

    measure(replace(parts, load_held_out=load), config, place)


@contextmanager
def _working_in(folder: Path) -> Iterator[tuple[Run, House]]:
    """Opens a racer's run for this process alone, in the folder where the race was started."""
    run = Run.open(folder.absolute())
    with locked(run.path):
        house = open_house(at_home(run).in_force)
        yield run, house
        house.scorer.close()


def _end_with_parent() -> None:
    """Ends this process when its standard input does, which is a pipe from the race."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(argv: Sequence[str]) -> int:
    """`python -m rlvr.app.race.racer FOLDER STEP [fresh]`."""
    _end_with_parent()
    try:
        advance(Path(argv[0]), int(argv[1]), fresh=argv[2:] == ["fresh"])
    except RlvrError as error:
        print(f"{PROBLEM}{error.message}", file=sys.stderr)
        return BROKEN if isinstance(error, TrainingError | EngineError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
