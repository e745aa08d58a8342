"""Held-out evaluations while a stage trains: what is lost stops it, and it says when nothing was gained any more.

step due ──▶ held-out samples ──▶ lost more than the gate puts up with? no gain since when? ──▶ go on, or stop
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rlvr.config.gate import GateConfig
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.folder import ROLLOUTS, Record, Run
from rlvr.runs.publish import damages
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.change import RatesByDomain, mean_gain
from rlvr.stages.evaluate import held_out
from rlvr.stages.gate import domain_checks, failures
from rlvr.stages.parts import PASSED, Checkpoint, Parts

log = logging.getLogger(__name__)

SPLIT = "evaluate"
STOPPED = "stopped.json"
"""What a stage lost that was stopped for it."""
COLUMNS = ("domain", "task_id", "outcome", "threshold")
NOTICE_AFTER = 2
"""So many evaluations without a gain are worth a word."""


class Watch:
    """The held-out evaluations of one stage that learns from rewards, also those before it was stopped and resumed.

    `stops` says that no further step is made; `passed` that the last evaluation was made at this step and lost
    nothing.
    """

    def __init__(self, parts: Parts, config: RlvrConfig, run: Run, domains: Sequence[str], *, steps_done: int) -> None:
        """Reads the evaluations of the `steps_done` steps that were made before."""
        self._parts, self._config, self._domains, self._run = parts, config, domains, run
        self.stops = self.passed = False
        self._lost: tuple[str, ...] = ()
        before = [(0, parts.earlier[-1][1])] if parts.earlier else []
        self._seen: list[tuple[int, RatesByDomain]] = [*before, *rates_by_step(run)]
        if len(self._seen) > len(before) and self._seen[-1][0] == steps_done:
            self._judge(quietly=True)

    def look(self, record: Record, step: int) -> None:
        """Measures the weights as they are after `step` steps where the recipe asks for it."""
        self.passed = False
        evaluation, every = self._parts.evaluation, self._config.evaluate_every
        if evaluation is None or not every or step % every:
            return
        metrics, rates = held_out(self._parts, evaluation, record, version=step)
        record.metrics(metrics)
        self._seen.append((step, rates))
        self._judge(quietly=False)
        if (since := flat_since(self._seen, self._domains)) is not None:
            record.metrics({"eval/steps_without_gain": float(step - since)})

    def result(self, made: Checkpoint) -> Checkpoint:
        """Gives what the stage hands on: what it made, or where it lost too much the last weights that did not."""
        if not self._lost:
            (self._run.path / STOPPED).unlink(missing_ok=True)
            return made
        self._run.write_json(STOPPED, {"lost": list(self._lost)})
        kept = last_passed(self._run, before=made.step + 1)
        if kept is None:
            return replace(made, path=self._parts.begin or self._parts.origin, step=0)
        return replace(made, path=kept, step=step_of(kept))

    def _judge(self, *, quietly: bool) -> None:
        step, rates = self._seen[-1]
        gate, say = self._parts.gate, log.debug if quietly else log.warning
        lost = _lost(gate, rates, self._parts.earlier, looks=self._looks) if gate else ()
        self.passed = gate is not None and not lost
        if lost:
            self.stops = gate is not None and gate.on_failure != "warn"
            what = "the stage is stopped here" if self.stops else "it goes on all the same"
            say("after step %d too much is lost, %s: %s", step, what, "; ".join(lost))
            self._lost = tuple(f"after step {step}, {line}" for line in lost) if self.stops else ()
        since = flat_since(self._seen, self._domains)
        flat = 0 if since is None else sum(since <= at < step for at, _ in self._seen)
        if since is not None and flat >= NOTICE_AFTER:
            say("no gain since step %d can be told from chance (step %d)", since, step)
        if 0 < self._config.patience <= flat:
            self.stops = True
            say("stopped after step %d: %d evaluations without a gain (patience)", step, flat)

    @property
    def _looks(self) -> int:
        return max(1, self._config.steps // self._config.evaluate_every)


def rates_by_step(run: Run) -> list[tuple[int, RatesByDomain]]:
    """Gives the share of solved samples by domain and task after each step that was evaluated while training."""
    found: list[tuple[int, RatesByDomain]] = []
    for file in sorted((run.path / ROLLOUTS).glob(f"{SPLIT}-*.parquet")):
        counts: dict[str, dict[str, list[bool]]] = {}
        for row in read_rollouts(file, columns=COLUMNS).to_pylist():
            if row["outcome"] is not None:
                solved = row["outcome"] >= row["threshold"]
                counts.setdefault(row["domain"], {}).setdefault(row["task_id"], []).append(solved)
        rates = {domain: {t: sum(s) / len(s) for t, s in tasks.items()} for domain, tasks in counts.items()}
        found.append((int(file.stem.rpartition("-")[2]) + 1, rates))
    return found


def flat_since(seen: Sequence[tuple[int, RatesByDomain]], domains: Sequence[str]) -> int | None:
    """Gives the first step of those in a row, up to the one before the last, over which the last shows no gain.

    The gain is the mean over the domains, paired by task; it is shown where its 95% interval lies above 0. None where
    the last evaluation is shown to be better than the one before, or where there are not two.
    """
    since = None
    for step, rates in reversed(seen[:-1]):
        gain = mean_gain(rates, seen[-1][1], domains)
        if gain is None or gain.low > 0:
            break
        since = step
    return since


def last_passed(run: Run, *, before: int) -> Path | None:
    """Gives the last whole checkpoint that was measured while training, before that step, and lost nothing.

    None where there is none.
    """
    found = sorted(path for path in (run.path / PASSED).glob("step-*") if path.is_dir() and step_of(path) < before)
    return next((path for path in reversed(found) if not damages(path)), None)


def stopped_lines(run: Run) -> list[str]:
    """Gives what a stage that was stopped had lost; empty for one that was not."""
    return list(run.read_json(STOPPED)["lost"]) if (run.path / STOPPED).is_file() else []


def step_of(checkpoint: Path) -> int:
    """Gives after how many steps a checkpoint was made."""
    return int(checkpoint.name.rpartition("-")[2])


def _lost(
    gate: GateConfig, rates: RatesByDomain, earlier: Sequence[tuple[str, RatesByDomain]], *, looks: int
) -> tuple[str, ...]:
    """Gives what is shown to be lost; that a figure cannot be told yet is no reason to stop."""
    checks = domain_checks(rates, earlier, margin=gate.margin, error=gate.error / looks)
    return failures(gate.model_copy(update={"unsure": "pass"}), checks)
