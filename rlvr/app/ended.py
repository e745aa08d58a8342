"""What a stage that ended left in its folder: the checkpoint that it made, and what its gate let go on."""

from collections.abc import Mapping
from pathlib import Path

from rlvr.app.gating import GATE
from rlvr.runs.folder import Run
from rlvr.runs.report import EARLIER, GateReport, read_gate
from rlvr.stages.parts import PASSED, Checkpoint

DONE = "done.json"


def write_ended(run: Run, made: Checkpoint, durations: Mapping[str, float]) -> None:
    """Marks a stage as ended. A checkpoint inside its folder is named from there, so that a run can be moved."""
    inside = made.path.is_relative_to(run.path)
    path = made.path.relative_to(run.path) if inside else made.path
    found = {"checkpoint": str(path), "is_inside": inside, "step": made.step, "domains": list(made.domains)}
    run.write_json(DONE, {**found, **durations})


def has_ended(stage: Path) -> bool:
    """Says whether the stage in this folder came to its end."""
    return (stage / DONE).is_file()


def made_by(stage: Path) -> Path:
    """Gives the checkpoint that a stage ended with, whole or damaged. The stage has ended.

    One inside the folder of another stage, which this one only passed on, is named from the working directory.
    """
    done = Run(stage).read_json(DONE)
    path = Path(str(done["checkpoint"]))
    return stage / path if done.get("is_inside", True) else path


def handed_on(stage: Path) -> Path | None:
    """Gives the checkpoint that went on from a stage that ended: the one that it made, or an earlier one where only
    that passed its gate; None where nothing passed."""
    found = gate_report(stage)
    if found is not None and found.handed_on == EARLIER:
        return stage / PASSED / Path(found.goes_on).name
    return None if found is not None and found.rejects else made_by(stage)


def gate_report(stage: Path) -> GateReport | None:
    """Gives what the gate of a stage said; None where it has none, or has not been judged yet."""
    return read_gate(Run(stage).read_json(GATE)) if (stage / GATE).is_file() else None
