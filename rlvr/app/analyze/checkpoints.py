"""How long a stage's answers were and how right, checkpoint by checkpoint, from evaluations that its run holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from rlvr.app.analyze.sides import Sides, begun_measured_in
from rlvr.config.rlvr import IterateConfig
from rlvr.runs.folder import ROLLOUTS, rollout_name
from rlvr.runs.report import EVALUATION
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.iterate import rounds_of
from rlvr.statistics.intervals import Interval, rate_interval

SPLIT = "evaluate"
COLUMNS = ("domain", "task_id", "token_ids", "outcome", "threshold")


@dataclass(frozen=True, slots=True)
class LengthPoint:
    """After `step` steps: the mean tokens of a completion, and the share right over tasks."""

    step: int
    tokens: float
    accuracy: Interval


def length_curve(sides: Sides) -> dict[str, tuple[LengthPoint, ...]]:
    """Gives by domain the points of a stage, from before its first step to its end; nothing is sampled."""
    found: dict[str, dict[int, LengthPoint]] = {}
    for step, path in _files(sides).items():
        for domain, point in _points(path, step).items():
            found.setdefault(domain, {})[step] = point
    return {domain: tuple(points[step] for step in sorted(points)) for domain, points in found.items()}


def _files(sides: Sides) -> dict[int, Path]:
    """Gives the rollouts of each evaluation by the steps that the stage had taken."""
    first = rollout_name(SPLIT, 0)
    before, stage = begun_measured_in(sides.run, sides.house.recipe, sides.chosen), sides.stage.path
    files = {0: before / ROLLOUTS / first} if before else {}
    for path in sorted((stage / ROLLOUTS).glob(f"{SPLIT}-[0-9]*.parquet")):
        files[int(path.stem.rpartition("-")[2]) + 1] = path
    if isinstance(sides.chosen.config, IterateConfig):
        for number, child in enumerate(rounds_of(sides.stage)):
            files[number * sides.chosen.config.steps] = child.path / EVALUATION / ROLLOUTS / first
    files[int(sides.done["step"])] = stage / EVALUATION / ROLLOUTS / first
    return {step: path for step, path in files.items() if path.is_file()}


def _points(path: Path, step: int) -> Mapping[str, LengthPoint]:
    table = read_rollouts(path, columns=COLUMNS)
    table = table.filter(pc.is_valid(table["outcome"]))
    domains = np.array(table["domain"].to_pylist(), dtype=object)
    tasks = np.array(table["task_id"].to_pylist(), dtype=object)
    tokens = pc.list_value_length(table["token_ids"]).to_numpy()
    right = table["outcome"].to_numpy() >= table["threshold"].to_numpy()
    points = {}
    for domain in dict.fromkeys(domains):
        own = domains == domain
        _, places = np.unique(tasks[own], return_inverse=True)
        rates = np.bincount(places, weights=right[own]) / np.bincount(places)
        points[str(domain)] = LengthPoint(step, float(tokens[own].mean()), rate_interval(rates))
    return points
