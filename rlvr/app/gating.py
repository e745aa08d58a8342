"""The gate between stages: whether a stage's checkpoint goes on, or the last one before it that passed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rlvr.config.gate import GateConfig
from rlvr.config.schema import Recipe
from rlvr.errors import TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import EARLIER, END, START, GateCheck, GateReport, StageReport, read_gate
from rlvr.stages.evaluate import Measurement
from rlvr.stages.gate import NOT_TOLD, WIN_RATE, checks_of, confidence_of, failures, num_figures
from rlvr.stages.watch import last_passed, step_of, stopped_lines
from rlvr.statistics.intervals import Interval
from rlvr.statistics.noninferiority import tasks_for_gate

GATE = "gate.json"
GAVE_BACK = "nothing that it trained was better than what it began with"
SHUFFLED = 0.1
"""Such a share of the tasks turns from solved to unsolved or back in a stage that loses nothing, at most: assumed
before a stage; afterwards its gate goes by what it did."""

WinRate = Callable[[float], Interval | None]
"""Gives the judge's win rate with an interval of this confidence, None where it cannot be told."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What the gate said, the checkpoint that goes on, and the measurement that the stage is reported with.

    That is of what went on of the stage, or of its end where nothing did.
    """

    report: GateReport
    checkpoint: Path
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
    continues: Sequence[str],
    measure_again: Callable[[Path], Measurement],
    win_rate: WinRate | None,
) -> Passage:
    """Judges a stage once per run folder. What goes on is the first that passes of: the checkpoint `made`, the last
    before it that lost nothing while the stage trained, and `begin`, from which it started.

    `measure_again` gives the measurement of another checkpoint of the stage; `win_rate` that of `made` over its parent,
    at matched length, None where no judge is asked. One that the judge rejects has no earlier checkpoint to fall back
    on, because those were not shown to it.
    """
    kept = None if is_same(made, begin) else last_passed(run, before=step_of(made))
    if (run.path / GATE).is_file():
        report = read_gate(run.read_json(GATE))
    else:
        report = _judged(
            gate,
            made=made,
            begin=begin,
            stopped=stopped_lines(run),
            checks=lambda of, wins: checks_of(gate, of, earlier, trained=trained, win_rate=wins, continues=continues),
            found=found,
            kept=kept,
            measure_again=measure_again,
            win_rate=win_rate,
        )
        run.write_json(GATE, asdict(report))
    if report.handed_on == EARLIER:
        assert kept is not None, "an earlier checkpoint that goes on is there"
        return Passage(replace(report, goes_on=str(kept)), kept, measure_again(kept))
    checkpoint = made if report.handed_on == END else begin
    return Passage(replace(report, goes_on=str(checkpoint)), checkpoint, found)


def _judged(
    gate: GateConfig,
    *,
    made: Path,
    begin: Path,
    stopped: Sequence[str],
    checks: Callable[[Measurement, Interval | None], tuple[GateCheck, ...]],
    found: Measurement,
    kept: Path | None,
    measure_again: Callable[[Path], Measurement],
    win_rate: WinRate | None,
) -> GateReport:
    if is_same(made, begin):  # It was stopped, or gave back what it began with: nothing of it was good.
        return GateReport(tuple(stopped) or (GAVE_BACK,), (), START, str(begin))
    wins = None if win_rate is None else win_rate(confidence_of(gate, found, judged=True))
    ours = checks(found, wins)
    lost = failures(gate, ours)
    reasons = (*stopped, *lost)
    if not lost or gate.on_failure == "warn":
        return GateReport(reasons, ours, END, str(made))
    by_judge = any(line.startswith(WIN_RATE) for line in lost)
    if kept is not None and not by_judge and not failures(gate, checks(measure_again(kept), None)):
        return GateReport(reasons, ours, EARLIER, str(kept))
    return GateReport(reasons, ours, START, str(begin))


def is_same(one: Path, other: Path) -> bool:
    """Says whether two names, from the working directory where they are relative, are of one checkpoint."""
    return one.resolve() == other.resolve()


def sensitivity_line(gate: GateConfig, found: Measurement, samples: int, *, judged: bool) -> str:
    """Says how many tasks a domain should have for the gate's margin, and how few it has; empty where all have enough.

    What a stage will do is not known yet: it is one that turns over SHUFFLED of the tasks, and rates are taken to be
    one half, where the chance of sampling is largest.
    """
    variance = 2 * 0.25 / samples + SHUFFLED
    figures = num_figures(gate, found, judged=judged)
    needed = tasks_for_gate(gate.margin, deviation=variance**0.5, error=gate.error, num_figures=figures)
    short = [f"{domain} {len(rates):,}" for domain, rates in found.sampled.items() if len(rates) < needed]
    if not short:
        return ""
    return (
        f"gate: to tell a loss of twice the margin of {100 * gate.margin:g} points where a stage turns over up to "
        f"{SHUFFLED:.0%} of the tasks takes {needed:,} tasks in each domain; there are fewer: {', '.join(short)}; "
        "larger losses are told all the same"
    )


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
    return [f"{name} did not pass its gate: {'; '.join(found.failures)}", f"what goes on: {found.goes_on}"]
