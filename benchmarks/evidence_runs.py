"""A finished run of the evidence: its report, and what only its measurements and samples tell."""

import statistics
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from rlvr.app.wiring import load_items
from rlvr.config.reading import from_json
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.folder import PROVENANCE, ROLLOUTS, Run, rollout_name
from rlvr.runs.glossary import SOLVED
from rlvr.runs.report import Beyond, StageReport, read_report
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.beyond import beyond_ancestors
from rlvr.stages.conditions import shows_working
from rlvr.stages.evaluate import Measurement, read_measurement
from rlvr.statistics.intervals import Interval, mean_of

PARENT, CHILD = "dpo", "rlvr"
STRETCH = 20
HARD_FROM = {"arithmetic": 9, "chain_sum": 9, "functions": 5}
"""By domain the first rung that no written text has, neither corpus nor demonstrations; a model's own samples may."""

ROOT = Path(__file__).parent.parent
COMPUTATION = tuple(
    f"rlvr/{room}" for room in ("algorithms", "data", "engines", "models", "stages", "training", "verifiers")
)
"""What decides what a run finds, beside its recipe."""


@dataclass(frozen=True, slots=True)
class Hard:
    """RLVR's greedy answers on the `num_tasks` tasks of the rungs from HARD_FROM on, against every ancestor's."""

    num_tasks: int
    beyond: Beyond


@dataclass(frozen=True, slots=True)
class Work:
    """DPO's samples on one rung.

    `lengths` says how many right ones have so many tokens; `working` the same of their working alone, where they have
    any; `shown` and `at_once` how many samples with working, and without, are right, and how many there are. `paired`
    has, by task with samples of both kinds, the shares right with working and without.
    """

    lengths: Mapping[int, int]
    working: Mapping[int, int]
    shown: tuple[int, int]
    at_once: tuple[int, int]
    paired: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of the protocol: "base1-seed2", "shuffled-seed1", …, its RLVR steps, its report, its rungs by domain.

    `staged` has by stage and domain its greedy chat accuracy minus its best ancestor's greedy one under any prompt.
    `course` has what RLVR solved of what it practised in every STRETCH of steps, as a mean over the domains.
    `origin` says where it comes from: when it was started, with which commit, on which processor.
    """

    name: str
    steps: int
    stages: Sequence[StageReport]
    staged: Mapping[str, Mapping[str, float]]
    hard: Mapping[str, Hard]
    work: Mapping[str, Mapping[int, Work]]
    course: Sequence[float]
    origin: Mapping[str, str]

    @property
    def is_control(self) -> bool:
        """Whether its rewards were shuffled."""
        return self.name.startswith("shuffled")

    @property
    def is_true(self) -> bool:
        """Whether it is the recipe itself: no control, and no other demonstrations."""
        return self.name.startswith("base")

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
        return mean_of([self.gain(domain) for domain in self.trained])


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
    return Finished(
        name,
        steps,
        stages,
        staged=staged_changes(measured),
        hard=hard_rungs(measured, rungs),
        work=work_by_rung(samples_of(places[PARENT]), rungs, think_ids(stages[0].checkpoint)),
        course=course_of(run.child(f"{len(stages) - 1}-{CHILD}").metrics()),
        origin=origin_of(run),
    )


def course_of(lines: Sequence[Mapping[str, float]]) -> list[float]:
    """Gives what a stage solved in every whole STRETCH of its steps: a mean over the steps, then over the domains."""
    course = []
    for start in range(0, len(lines) - STRETCH + 1, STRETCH):
        steps = lines[start : start + STRETCH]
        domains = {key for line in steps for key in line if key.startswith(SOLVED)}
        course.append(statistics.mean(statistics.mean(s[key] for s in steps if key in s) for key in sorted(domains)))
    return course


def origin_of(run: Run) -> dict[str, str]:
    """Gives when the run was started, with which commit, and on which processor."""
    known = run.read_json(PROVENANCE)
    code = known["code"] or {}
    changes = f" with {code['diff_bytes']} bytes of changes" if code.get("diff_bytes") else ""
    commit = f"{str(code.get('commit'))[:10]}{changes}" if code else "no checkout"
    return {"started": known["started"], "commit": commit, "processor": known["cpu"]["model"]}


def changed_since(commit: str) -> int | None:
    """Gives how many files of COMPUTATION differ from that commit; None where it is not known here."""
    command = ["git", "diff", "--name-only", commit.split(" ")[0], "--", *COMPUTATION]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if found.returncode else len(found.stdout.splitlines())


def staged_changes(measured: Sequence[tuple[str, Measurement]]) -> dict[str, dict[str, float]]:
    """Gives by stage and domain its greedy chat accuracy minus that of its best ancestor under its best prompt, greedy.

    The best one is chosen on one half of the tasks and compared on the other, both ways: on the tasks that it is chosen
    on, the best of several is better than it is.
    """
    changes: dict[str, dict[str, float]] = {}
    for place, (name, found) in enumerate(measured[1:], start=1):
        asked = [rates for _, before in measured[:place] for rates in before.rates if rates.temperature == 0]
        changes[name] = {
            domain: _over_best(greedy, [rates.solved[domain] for rates in asked if domain in rates.solved])
            for domain, greedy in found.greedy.items()
        }
    return changes


def _over_best(greedy: Mapping[str, float], readouts: Sequence[Mapping[str, float]]) -> float:
    tasks = sorted(task for task in greedy if all(task in solved for solved in readouts))
    halves = tasks[::2], tasks[1::2]
    over = []
    for chosen_on, compared_on in (halves, halves[::-1]):
        best = max(readouts, key=lambda solved: sum(solved[task] for task in chosen_on))
        over += [greedy[task] - best[task] for task in compared_on]
    return statistics.mean(over)


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


def think_ids(model: str) -> tuple[int, int]:
    """Gives the token ids between which a model's working stands."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    opening, closing = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    return int(opening), int(closing)


def samples_of(evaluation: Run) -> list[dict[str, Any]]:
    """Gives a checkpoint's samples under the chat prompt that have an outcome."""
    table = read_rollouts(evaluation.path / ROLLOUTS / rollout_name("evaluate", 0))
    columns = ["domain", "task_id", "token_ids", "text", "outcome", "threshold"]
    return [row for row in table.select(columns).to_pylist() if row["outcome"] is not None]


def _right(row: Mapping[str, Any]) -> bool:
    return bool(row["outcome"] >= row["threshold"])


def work_by_rung(
    samples: Sequence[Mapping[str, Any]], rungs: Mapping[str, int], thinking: tuple[int, int]
) -> dict[str, dict[int, Work]]:
    """Gives by domain and rung what a checkpoint's chat samples say of working; `thinking` are the ids around it."""
    found: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for row in samples:
        if (rung := rungs[row["task_id"]]) > 0:
            found.setdefault(row["domain"], {}).setdefault(rung, []).append(row)
    return {
        domain: {rung: _work(rows, thinking) for rung, rows in sorted(by_rung.items())}
        for domain, by_rung in found.items()
    }


def _work(rows: Sequence[Mapping[str, Any]], thinking: tuple[int, int]) -> Work:
    tasks: dict[str, tuple[list[bool], list[bool]]] = {}
    for row in rows:
        shown, at_once = tasks.setdefault(row["task_id"], ([], []))
        (shown if shows_working(row["text"]) else at_once).append(_right(row))
    right = [row for row in rows if _right(row)]
    tokens = [_working_tokens(row["token_ids"], thinking) for row in right]
    return Work(
        lengths=dict(sorted(Counter(len(row["token_ids"]) for row in right).items())),
        working=dict(sorted(Counter(count for count in tokens if count).items())),
        shown=(sum(sum(shown) for shown, _ in tasks.values()), sum(len(shown) for shown, _ in tasks.values())),
        at_once=(sum(sum(some) for _, some in tasks.values()), sum(len(some) for _, some in tasks.values())),
        paired={task: (statistics.mean(a), statistics.mean(b)) for task, (a, b) in sorted(tasks.items()) if a and b},
    )


def _working_tokens(ids: Sequence[int], thinking: tuple[int, int]) -> int:
    opening, closing = thinking
    return ids.index(closing) - ids.index(opening) - 1 if opening in ids and closing in ids else 0


def each(counts: Mapping[int, int]) -> list[int]:
    """Gives every counted number as often as it was counted."""
    return [number for number, count in counts.items() for _ in range(count)]
