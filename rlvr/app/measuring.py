"""`rlvr evaluate`: from the command line to settings, and from a result to a table."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from rlvr.app.sandboxing import fitted, left_out_line
from rlvr.config.data import EvaluateConfig
from rlvr.config.reading import Resolved, from_json, read_evaluation
from rlvr.errors import UsageError
from rlvr.runs.folder import Run, is_run
from rlvr.runs.report import StageReport
from rlvr.runs.summary import readout_lines, report_table

log = logging.getLogger(__name__)


def evaluation_settings(
    checkpoint: str,
    *,
    data: Sequence[str],
    text: Sequence[str],
    limit: int | None,
    samples: int | None,
    overrides: Sequence[str],
) -> tuple[EvaluateConfig, int]:
    """Gives what to measure and the run's seed.

    Without `data` and `text`, the [evaluation] of the run that holds the checkpoint is taken.

    Raises UsageError when there is neither, and RunError when that run's config.json cannot be read.
    """
    values, seed = _of_run(Path(checkpoint))
    if data or text:
        values |= {"data": list(data), "text": list(text)}
    if not values.get("data") and not values.get("text"):
        raise UsageError(
            f"nothing to evaluate {checkpoint} on: it lies in no run whose recipe has an [evaluation]",
            hint=f"rlvr evaluate {checkpoint} --data gsm8k:test",
        )
    if samples is not None:
        values["samples"] = samples
    config = read_evaluation(values, overrides)
    if limit is not None:
        words = [f"data.{index}.limit={limit}" for index in range(1, len(config.data) + 1)]
        config = read_evaluation(values, [*overrides, *words])
    return config, seed


def _of_run(checkpoint: Path) -> tuple[dict[str, Any], int]:
    """Gives the [evaluation] and the seed of the run around a checkpoint; ({}, 0) where there is none.

    Raises RunError when that run's config.json cannot be read.
    """
    trained_by = recipe_of(checkpoint)
    if trained_by is None:
        return {}, 0
    resolved = fitted(trained_by)
    if left_out := left_out_line(resolved):
        log.warning("%s", left_out)
    recipe = resolved.in_force
    return (recipe.evaluation.model_dump(mode="json") if recipe.evaluation else {}), recipe.seed


def recipe_of(checkpoint: Path) -> Resolved | None:
    """Gives the recipe whose run holds the checkpoint; None for a model that no run here has made."""
    for folder in checkpoint.absolute().parents:
        if is_run(folder) and "recipe" in (content := Run.open(folder).config()):
            return from_json(content)
    return None


def print_result(report: StageReport, *, as_json: bool) -> None:
    """Prints a result to stdout: as a table, or as the JSON that a stage has in report.json."""
    if as_json:
        print(json.dumps(asdict(report), ensure_ascii=False, indent=1))
        return
    wide = None if sys.stdout.isatty() else 120
    Console(width=wide).print(report_table([report]))
    if any(len(domain.readouts) > 1 for domain in report.domains.values()):
        print("\n".join(readout_lines(report)))
    if report.perplexity is not None:
        print(f"perplexity {report.perplexity:.2f}")
