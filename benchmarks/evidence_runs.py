"""A finished run of the evidence: its report, and what only its measurements and samples tell."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rlvr.app.wiring import load_items
from rlvr.config.reading import from_json
from rlvr.config.schema import RlvrConfig
from rlvr.runs.folder import ROLLOUTS, Run, rollout_name
from rlvr.runs.report import Beyond, StageReport, read_report
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.beyond import beyond_ancestors
from rlvr.stages.conditions import shows_working
from rlvr.stages.evaluate import Measurement, read_measurement
from rlvr.statistics.intervals import Interval

PARENT, CHILD = "dpo", "rlvr"
HARD_FROM = {"arithmetic": 9, "chain_sum": 9}
"""By domain the first rung that no written text has, neither corpus nor demonstrations; a model's own samples may."""


@dataclass(frozen=True, slots=True)
class Hard:
    """RLVR's greedy answers on the `num_tasks` tasks of the rungs from HARD_FROM on, against every ancestor's."""

    num_tasks: int
    beyond: Beyond


@dataclass(frozen=True, slots=True)
class Work:
    """DPO's samples on one rung: the tokens of each right one; whether each is right, of those with working and not."""

    lengths: tuple[int, ...]
    shown: tuple[bool, ...]
    at_once: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of the protocol: "base1-seed2", "shuffled-seed1", …, its RLVR steps, its report, its rungs by domain."""

    name: str
    steps: int
    stages: Sequence[StageReport]
    hard: Mapping[str, Hard]
    work: Mapping[str, Mapping[int, Work]]

    @property
    def is_control(self) -> bool:
        """Whether its rewards were shuffled."""
        return self.name.startswith("shuffled")

    @property
    def base(self) -> str:
        """The base that it started from."""
        return self.name.partition("-")[0]

    def stage(self, name: str) -> StageReport:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def trained(self) -> list[str]:
        """The domains that RLVR trained on."""
        return [name for name, domain in self.stage(CHILD).domains.items() if domain.trained]

    @property
    def untouched(self) -> list[str]:
        """The domains that no stage trained on."""
        return [name for name, domain in self.stage(CHILD).domains.items() if not domain.trained]

    def gain(self, domain: str) -> Interval:
        """How far pass@1 rose from DPO to RLVR, paired by task."""
        found = self.stage(CHILD).domains[domain].gain
        assert found is not None, "the last stage has one before it"
        return found

    @property
    def mean_gain(self) -> Interval:
        """The mean over the trained domains; its interval takes their errors as independent, as their tasks are."""
        gains = [self.gain(domain) for domain in self.trained]
        mean = statistics.mean(gain.mean for gain in gains)
        low = sum((gain.mean - gain.low) ** 2 for gain in gains) ** 0.5 / len(gains)
        high = sum((gain.high - gain.mean) ** 2 for gain in gains) ** 0.5 / len(gains)
        return Interval(mean, mean - low, mean + high)


def read_finished(name: str, run: Run) -> Finished:
    """Gives a run that has ended; the rungs of its tasks are those that its recipe's evaluation data say."""
    stages = read_report(run)
    recipe = from_json(run.config()).recipe
    assert recipe.evaluation is not None, f"{run.path} was not evaluated"
    rungs = {task.id: task.rung for task in load_items("task", recipe.evaluation.data)}
    places = {
        stage.name: run.child(f"{number}-{stage.name}").child("evaluation") for number, stage in enumerate(stages)
    }
    measured = [(stage.name, read_measurement(places[stage.name])) for stage in stages]
    steps = next(stage.steps for stage in recipe.stage if isinstance(stage, RlvrConfig))
    return Finished(name, steps, stages, hard=hard_rungs(measured, rungs), work=work_by_rung(places[PARENT], rungs))


def hard_rungs(measured: Sequence[tuple[str, Measurement]], rungs: Mapping[str, int]) -> dict[str, Hard]:
    """Gives by domain how the last checkpoint does on the rungs from HARD_FROM on, `rungs` being by task.

    Each readout of every checkpoint before is a candidate for the strongest, measured on just those tasks.
    """
    (*ancestors, (_, last)) = [(name, _only_hard(found, rungs)) for name, found in measured]
    found = beyond_ancestors(ancestors, last, HARD_FROM)
    return {domain: Hard(len(last.greedy[domain]), beyond) for domain, beyond in found.items()}


def _only_hard(found: Measurement, rungs: Mapping[str, int]) -> Measurement:
    def hard(domain: str, solved: Mapping[str, float]) -> dict[str, float]:
        return {task: rate for task, rate in solved.items() if rungs[task] >= HARD_FROM[domain]}

    rates = [
        replace(asked, solved={d: hard(d, solved) for d, solved in asked.solved.items() if d in HARD_FROM})
        for asked in found.rates
    ]
    return replace(found, rates=tuple(rates))


def work_by_rung(evaluation: Run, rungs: Mapping[str, int]) -> dict[str, dict[int, Work]]:
    """Gives by domain and rung what a checkpoint's chat samples say of working; samples without an outcome are out."""
    table = read_rollouts(evaluation.path / ROLLOUTS / rollout_name("evaluate", 0))
    rows = table.select(["domain", "task_id", "token_ids", "text", "outcome", "threshold"]).to_pylist()
    samples: dict[str, dict[int, list[tuple[int, bool, bool]]]] = {}
    for row in rows:
        rung = rungs[row["task_id"]]
        if rung > 0 and row["outcome"] is not None:
            sample = len(row["token_ids"]), shows_working(row["text"]), row["outcome"] >= row["threshold"]
            samples.setdefault(row["domain"], {}).setdefault(rung, []).append(sample)
    return {
        domain: {
            rung: Work(
                lengths=tuple(length for length, _, right in found if right),
                shown=tuple(right for _, working, right in found if working),
                at_once=tuple(right for _, working, right in found if not working),
            )
            for rung, found in sorted(by_rung.items())
        }
        for domain, by_rung in samples.items()
    }
