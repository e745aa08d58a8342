"""The gate between stages: whether a stage's checkpoint goes on, or the last one before it that passed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.config.gate import GateConfig
from rlvr.config.schema import Recipe
from rlvr.errors import TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import GateReport, StageReport, read_gate
from rlvr.stages.evaluate import Measurement
from rlvr.stages.gate import NOT_TOLD, checks_of, failures
from rlvr.stages.watch import STOPPED, last_passed
from rlvr.statistics.intervals import Interval

GATE = "gate.json"


@dataclass(frozen=True, slots=True)
class Passage:
    """What came through: the checkpoint that goes on with its measurement, and what the gate said.

    `measurement` is that of the stage where nothing of it went on.
    """

    report: GateReport
    measurement: Measurement


def gate_of(recipe: Recipe, stage: Any) -> GateConfig | None:
    """Gives the gate of a stage: its own, else the recipe's; None where there is none, and for kinds without one."""
    return (stage.gate or recipe.gate) if hasattr(stage, "gate") else None


def pass_gate(
    gate: GateConfig,
    run: Run,
    *,
    made: Path,
    found: Measurement,
    begin: Path,
    earlier: Sequence[tuple[str, Measurement]],
    trained: Sequence[str],
    measure_again: Callable[[Path], Measurement],
    win_rate: Interval | None,
) -> Passage:
    """Judges a stage once per run folder. What goes on is the first that passes of: the checkpoint `made`, the last
    that lost nothing while the stage trained, and `begin`, from which it started.

    `measure_again` gives the measurement of another checkpoint of the stage; `win_rate` is that of `made` over its
    parent, at matched length, None where no judge was asked.
    """
    if (run.path / GATE).is_file():
        report = read_gate(run.read_json(GATE))
        kept = last_passed(run)
        return Passage(report, measure_again(kept) if kept and report.goes_on == str(kept) else found)
    stopped = [line for event in run.events() if event["kind"] == STOPPED for line in event["lost"]]
    checks = checks_of(gate, found, earlier, trained=trained, win_rate=win_rate)
    reasons = (*dict.fromkeys(stopped), *failures(gate, checks))
    goes_on, measurement = made, found
    if failures(gate, checks) and gate.on_failure != "warn":
        goes_on, kept = begin, last_passed(run)
        if kept is not None and kept.name != made.name:
            again = measure_again(kept)
            if not failures(gate, checks_of(gate, again, earlier, trained=trained)):
                goes_on, measurement = kept, again
    report = GateReport(reasons, checks, str(goes_on))
    run.write_json(GATE, asdict(report))
    return Passage(report, measurement)


def stop_where_asked(gate: GateConfig | None, stage: StageReport) -> None:
    """Raises TrainingError where the recipe says that a stage which fails ends the run."""
    found = stage.gate
    if gate is not None and gate.on_failure == "stop" and found is not None and found.failures:
        raise TrainingError(
            f"{stage.name} did not pass its gate: {'; '.join(found.failures)}",
            hint=f"the last checkpoint that passed is {found.goes_on}; report.html has all figures",
        )


def gate_lines(name: str, found: GateReport) -> list[str]:
    """Gives what a gate said of the stage `name`, in a sentence or two."""
    told = sum(check.verdict != NOT_TOLD for check in found.checks)
    if found.passed:
        unsure = [check for check in found.checks if check.verdict == NOT_TOLD]
        most = max((check.tasks_needed or 0 for check in unsure), default=0)
        asked = f" (up to {most:,} tasks would tell)" if most else ""
        rest = f"; {len(unsure)} cannot be told from so few tasks{asked}" if unsure else ""
        return [f"{name} passed its gate: {told} of {len(found.checks)} figures are shown to be kept{rest}"]
    return [f"{name} did not pass its gate: {'; '.join(found.failures)}", f"{found.goes_on} goes on"]
