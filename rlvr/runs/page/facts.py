"""What a run folder holds for the page: its stages, as planned and as measured, and where they left their files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.runs.folder import METRICS, PROVENANCE, Run, is_run
from rlvr.runs.report import REINFORCED, REPORT, StageReport, measured_in, read_report

BASE = "base"
NO_TRAINING = ("evaluate", "reward_model")
"""Kinds of stage that pass the policy on as it was."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the plan, the base as number 0. `report` is None until it was measured, `run` until it began.

    `settings` is the stage's part of the recipe, empty for the base and where there is no recipe.
    """

    name: str
    kind: str
    run: Run | None
    report: StageReport | None
    settings: Mapping[str, Any]

    def metrics(self) -> list[dict[str, float]]:
        """Gives the stage's lines of metrics so far, oldest first; none before it began."""
        return self.run.metrics() if self.run and (self.run.path / METRICS).is_file() else []

    @property
    def measurement(self) -> Run | None:
        """The run that holds this stage's evaluation; None where there is none."""
        if self.run is None:
            return None
        if self.kind == "evaluate":
            return self.run
        place = self.run.path / measured_in(self.report.gate if self.report else None)
        return Run(place) if is_run(place) else None


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as the page sees it: stages in order, the base first; whatever is missing was not written yet."""

    name: str
    stages: tuple[Stage, ...]
    provenance: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def reports(self) -> list[StageReport]:
        """The stages that were measured, in order."""
        return [stage.report for stage in self.stages if stage.report is not None]

    @property
    def pair(self) -> tuple[Stage, Stage] | None:
        """The stage that the page is about and the one it builds on: the last RLVR stage, or else the last one at all.

        One that its gate rejected is neither, unless there is no other. None where only the base was measured.
        """
        reports = [stage.report for stage in self.stages]
        measured = [number for number, report in enumerate(reports) if number and report is not None]
        ended = [number for number in measured if (report := reports[number]) and report.went_on] or measured
        rlvr = [number for number in ended if self.stages[number].kind in REINFORCED]
        trained = [number for number in ended if self.stages[number].kind not in NO_TRAINING]
        for numbers in (rlvr, trained, ended):
            if numbers:
                before = [0, *(number for number in ended if number < numbers[-1])]
                return self.stages[before[-1]], self.stages[numbers[-1]]
        return None


def read_facts(run: Run) -> Facts:
    """Gives what the run's folder holds by now. Raises RunError for a file that is damaged."""
    config = run.config()
    reports = read_report(run) if (run.path / REPORT).is_file() else []
    planned = _planned(config, reports)
    stages = []
    for number, (name, kind, settings) in enumerate(planned):
        path = run.path / f"{number}-{name}"
        report = reports[number] if number < len(reports) else None
        stages.append(Stage(name, kind, Run(path) if is_run(path) else None, report, settings))
    return Facts(run.path.resolve().name, tuple(stages), run.read_json(PROVENANCE), config)


def _planned(config: Mapping[str, Any], reports: Sequence[StageReport]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Gives name, kind and settings of each stage: as the recipe says, as far as the report where there is none."""
    recipe = config.get("recipe")
    if not isinstance(recipe, Mapping):
        return [(report.name, report.kind, {}) for report in reports]
    stages = [(stage.get("name") or stage["kind"], stage["kind"], stage) for stage in recipe.get("stage", ())]
    return [(BASE, BASE, {}), *stages]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took. CPU-seconds of training and of measuring; tokens learned from and written; None: not known.

    `peak_gigabytes` is the most memory that the process had held when the stage, with its measuring, ended.
    """

    stage: str
    steps: int
    cpu_seconds: float
    seconds: float
    measuring_cpu_seconds: float
    learned_tokens: float | None
    written_tokens: float | None
    peak_gigabytes: float | None


def costs(stages: Sequence[Stage]) -> list[Cost]:
    """Gives the cost of each stage that began, the base with what measuring it took."""
    return [_cost(stage) for stage in stages if stage.run is not None]


def _cost(stage: Stage) -> Cost:
    lines = stage.metrics() if stage.kind != "evaluate" else []
    measured = stage.measurement.metrics() if stage.measurement else []
    learned = [line[key] for line in lines for key in ("train/tokens", "train/learned_tokens") if key in line]
    group_size = stage.settings.get("group_size") if stage.kind in REINFORCED else None
    written = [
        line["rollout/completion_tokens_mean"] * line["rollout/prompts_drawn"] * group_size
        for line in lines
        if group_size and "rollout/completion_tokens_mean" in line
    ]
    peaks = [line["memory/peak_bytes"] for line in (*lines, *measured) if "memory/peak_bytes" in line]
    return Cost(
        stage=stage.name,
        steps=len(lines),
        cpu_seconds=stage.report.cpu_seconds if stage.report else _total(lines, "time/cpu_seconds"),
        seconds=stage.report.seconds if stage.report else _total(lines, "time/step_seconds"),
        measuring_cpu_seconds=_total(measured, "time/cpu_seconds"),
        learned_tokens=math.fsum(learned) if learned else None,
        written_tokens=math.fsum(written) if written else None,
        peak_gigabytes=max(peaks) / 1e9 if peaks else None,
    )


def _total(lines: Sequence[Mapping[str, float]], key: str) -> float:
    return math.fsum(line.get(key, 0.0) for line in lines)
