"""What each stage gained and what it cost: report.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import RunError
from rlvr.runs.folder import Run
from rlvr.statistics.intervals import Interval

REPORT = "report.json"
REINFORCED = ("rlvr", "iterate")
"""Kinds of stage that learn from rewards."""
END, EARLIER, START = "end", "earlier", "start"
"""What a gate hands on of a stage."""
EVALUATION = "evaluation"
"""The folder in a stage's with the measurement of its end."""
SEEN = "-seen"
"""The end of a domain's name where the evaluated tasks are those that were trained on."""


@dataclass(frozen=True, slots=True)
class Readout:
    """One way of asking a checkpoint: under `prompt`, at `temperature` (0 is greedy); `accuracy` is over tasks."""

    prompt: str
    temperature: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class DomainReport:
    """How a checkpoint does in one domain. Rates in [0, 1]; `tokens` is the mean length of a completion.

    `trained` says whether the stage, or one before it, trained on this domain. `pass_at_k` is of the samples under the
    first prompt at the evaluation's temperature, for each k = 1, 2, 4, 8, 16 that there are samples for; `rungs` is
    pass@1 by the tasks' rung, empty where they have none. `readouts` holds every other way of asking that was measured,
    the first prompt, greedy, before the others. `gain` is the rise of pass@1 over the stage before, paired by task,
    None for the base. `only_before` and `only_after` are the shares of tasks that some sample solves with the stage
    before only, and with this one only; both 0 for the base.
    """

    trained: bool
    num_tasks: int
    pass_at_k: Mapping[int, Interval]
    rungs: Mapping[int, Interval]
    readouts: tuple[Readout, ...]
    gain: Interval | None
    only_before: float
    only_after: float
    tokens: float

    @property
    def pass_at_1(self) -> Interval:
        """The chance that one sample solves a task."""
        return self.pass_at_k[1]

    @property
    def pass_at_16(self) -> Interval | None:
        """The chance that one of 16 samples solves a task; None where fewer were drawn."""
        return self.pass_at_k.get(16)

    @property
    def greedy(self) -> Interval:
        """The share of tasks that greedy decoding under the first prompt solves."""
        return next(r.accuracy for r in self.readouts if r.temperature == 0)

    @property
    def prompt(self) -> str:
        """How the samples were asked."""
        return next(r.prompt for r in self.readouts if r.temperature == 0)

    @property
    def best(self) -> Interval:
        """The highest accuracy of all ways of asking, one sample at the evaluation's temperature among them."""
        return max([self.pass_at_1, *(r.accuracy for r in self.readouts)], key=lambda accuracy: accuracy.mean)


@dataclass(frozen=True, slots=True)
class Beyond:
    """RLVR's greedy answers in one domain against the strongest readout of all stages before it, the base included.

    `stage`, `prompt`, `temperature` and `accuracy` say which readout that is; sampling once at the evaluation's
    temperature is a candidate like any other. `gain` is what RLVR's greedy accuracy has over it, paired by task.
    """

    stage: str
    prompt: str
    temperature: float
    accuracy: Interval
    gain: Interval


@dataclass(frozen=True, slots=True)
class Working:
    """What working is worth in one domain: of the `num_tasks` tasks that have samples with working and without.

    `shown` and `hidden` are the means over these tasks of the share right with it and without; `gain` is the
    difference, paired by task.
    """

    num_tasks: int
    shown: float
    hidden: float
    gain: Interval


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the samples of a domain are: their mean length in tokens and the 95th percentile.

    `truncated_rate` is the share of them that the length limit cut off.
    """

    truncated_rate: Interval
    mean_tokens: float
    p95_tokens: float


@dataclass(frozen=True, slots=True)
class Contamination:
    """What the `num_tasks` tasks of a domain have in common with held-out ones, beyond equal ones, which are left out.

    `copy_rate` is the share of near copies among them, `shared_rate` the mean share of a task's n-grams of words that
    stand in a held-out problem.
    """

    num_tasks: int
    copy_rate: float
    shared_rate: float


MIN_WORKING_TASKS = 8
"""With samples of both kinds in fewer tasks of a domain, what working is worth is not judged."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether RLVR has something to learn from in one domain, measured on training tasks before it starts.

    `pass_at_k` is the chance that one of `num_samples` samples is right, so many as are drawn for each task.
    `mixed_rate` is the share of groups of `group_size` with right and wrong samples, `working_rate` the share of
    samples that show working; `working` is None where no task has samples of both kinds. `problems` holds a sentence
    for each condition that does not hold. A rate is None where no task has the scored samples for it, and `mixed_rate`
    where the algorithm compares no samples of one task. `histogram` counts tasks by the share right of their samples:
    0, up to 1/4, 1/2, 3/4, below 1, and 1. Runs of earlier versions have no histogram (empty), lengths or contamination
    (None).
    """

    domain: str
    num_tasks: int
    num_samples: int
    group_size: int
    pass_at_1: Interval | None
    pass_at_k: Interval | None
    mixed_rate: Interval | None
    working_rate: float
    working: Working | None
    problems: tuple[str, ...]
    histogram: tuple[int, ...] = ()
    lengths: Lengths | None = None
    contamination: Contamination | None = None

    @property
    def is_open(self) -> bool:
        """Whether too few tasks have samples with working and without for what working is worth to be judged."""
        return self.working is None or self.working.num_tasks < MIN_WORKING_TASKS

    @property
    def holds(self) -> str:
        """One word: "no" where a condition does not hold, "open" where one could not be judged, else "yes"."""
        return "no" if self.problems else "open" if self.is_open else "yes"


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One figure of a gate: by how much it is worse than at the stage `against`, and whether that is put up with.

    `loss` and `margin` are shares: of tasks, of completions, of a perplexity; of a KL they are nats per token, and
    of a gain both are its negative. `verdict` is "kept", "lost" or "not told"; `tasks_needed` so many would tell that
    nothing was lost, None where that is not known.
    """

    what: str
    against: str
    loss: Interval
    margin: float
    verdict: str
    tasks_needed: int | None

    @property
    def in_nats(self) -> bool:
        """Whether `loss` and `margin` are nats per token, not shares."""
        return self.what.startswith("KL")


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate said of a stage: why it failed, empty where it passed, and what goes on.

    `handed_on` is END for what the stage gave, EARLIER for a checkpoint that it made on its way, START for the one that
    it began with; `goes_on` names that checkpoint.
    """

    failures: tuple[str, ...]
    checks: tuple[GateCheck, ...]
    handed_on: str
    goes_on: str

    @property
    def passed(self) -> bool:
        """Whether there was nothing to object to."""
        return not self.failures

    @property
    def rejects(self) -> bool:
        """Whether nothing of the stage goes on."""
        return self.handed_on == START


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage, or the base before all stages.

    `kl` is in nats per token from the reference, `perplexity` of held-out text, `no_signal_rate` the share of groups
    that gave no signal: each None where the stage has none. The durations cover the stage's training; `gpu_seconds`,
    for which it held a GPU, is 0 without one. `beyond` (by trained domain) and `conditions` are those of an RLVR stage,
    empty for any other; so is `returned`, what its held-out evaluations on the way tell, also empty without any. `gate`
    is None where there is none.
    """

    name: str
    kind: str
    checkpoint: str
    cpu_seconds: float
    seconds: float
    domains: Mapping[str, DomainReport]
    kl: float | None
    perplexity: float | None
    no_signal_rate: float | None
    beyond: Mapping[str, Beyond]
    conditions: tuple[Condition, ...]
    continues: tuple[str, ...] = ()
    gate: GateReport | None = None
    gpu_seconds: float = 0.0
    returned: tuple[str, ...] = ()

    @property
    def went_on(self) -> bool:
        """Whether later stages build on this one, or the run ends with it."""
        return self.gate is None or not self.gate.rejects


def write_report(run: Run, stages: Sequence[StageReport]) -> Path:
    """Writes report.json into the run, stages in the order given, the base first, and gives its path."""
    run.write_json(REPORT, {"stages": [asdict(stage) for stage in stages]})
    return run.path / REPORT


def read_report(run: Run) -> list[StageReport]:
    """Gives the stages in the run's report.json. Raises RunError when there is none, or one of another version."""
    content = run.read_json(REPORT)
    try:
        return [_read_stage(entry) for entry in content["stages"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{run.path / REPORT} was written by another version of rlvr: {type(error).__name__} {error}",
            hint=f"rlvr resume {run.path} writes it anew, or open it with the version in {run.path}/provenance.json",
        ) from error


def _read_stage(entry: Mapping[str, Any]) -> StageReport:
    return StageReport(
        **{
            **entry,
            "domains": {name: read_domain(domain) for name, domain in entry["domains"].items()},
            "beyond": {name: _read_beyond(found) for name, found in entry["beyond"].items()},
            "conditions": tuple(read_condition(found) for found in entry["conditions"]),
            "continues": tuple(entry.get("continues", ())),
            "returned": tuple(entry.get("returned", ())),
            "gate": None if entry.get("gate") is None else read_gate(entry["gate"]),
        }
    )


def read_domain(entry: Mapping[str, Any]) -> DomainReport:
    """Gives the domain that its JSON object says, in which the numbers k and the rungs are strings."""
    return DomainReport(
        **{
            **entry,
            "pass_at_k": {int(k): Interval(**rate) for k, rate in entry["pass_at_k"].items()},
            "rungs": {int(rung): Interval(**rate) for rung, rate in entry["rungs"].items()},
            "readouts": tuple(Readout(**{**r, "accuracy": Interval(**r["accuracy"])}) for r in entry["readouts"]),
            "gain": None if entry["gain"] is None else Interval(**entry["gain"]),
        }
    )


def read_condition(entry: Mapping[str, Any]) -> Condition:
    """Gives the condition that its JSON object says."""
    working = entry["working"]
    rates = {name: entry[name] and Interval(**entry[name]) for name in ("pass_at_1", "pass_at_k", "mixed_rate")}
    paired = None if working is None else Working(**{**working, "gain": Interval(**working["gain"])})
    lengths, contamination = entry.get("lengths"), entry.get("contamination")
    later = {
        "histogram": tuple(entry.get("histogram", ())),
        "lengths": lengths and Lengths(**{**lengths, "truncated_rate": Interval(**lengths["truncated_rate"])}),
        "contamination": contamination and Contamination(**contamination),
    }
    return Condition(**{**entry, **rates, "working": paired, "problems": tuple(entry["problems"]), **later})


def read_gate(entry: Mapping[str, Any]) -> GateReport:
    """Gives what a gate said from its JSON object."""
    checks = tuple(GateCheck(**{**check, "loss": Interval(**check["loss"])}) for check in entry["checks"])
    return GateReport(tuple(entry["failures"]), checks, entry["handed_on"], entry["goes_on"])


def measured_in(gate: GateReport | None) -> str:
    """Gives the name of the folder with the measurement that a stage is reported with: of its end, or of an earlier
    checkpoint where only that passed its gate."""
    return f"{EVALUATION}-{Path(gate.goes_on).name}" if gate is not None and gate.handed_on == EARLIER else EVALUATION


def _read_beyond(entry: Mapping[str, Any]) -> Beyond:
    return Beyond(**{**entry, "accuracy": Interval(**entry["accuracy"]), "gain": Interval(**entry["gain"])})
