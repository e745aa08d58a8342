"""The stages of a run, one after the other: each is trained, measured, judged by its gate and reported.

A reward model is no policy: later stages find it by its stage's name, and the next one goes on with the policy before.
"""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rlvr.app.ended import DONE, has_ended, made_by, write_ended
from rlvr.app.gating import gate_lines, gate_of, is_same, pass_gate, sensitivity_line
from rlvr.app.meter import Meter
from rlvr.app.progress import Progress
from rlvr.app.returned import returned
from rlvr.app.wiring import STAGES, House, make_parts
from rlvr.config.data import EvaluateConfig
from rlvr.config.supervised import RewardModelConfig
from rlvr.errors import TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.report import EVALUATION, REINFORCED, SEEN, START, DomainReport, StageReport, measured_in
from rlvr.runs.sinks import SINKS
from rlvr.runs.summary import condition_table
from rlvr.stages.beyond import beyond_ancestors
from rlvr.stages.change import Change, changes_between
from rlvr.stages.conditions import problem_lines, read_conditions
from rlvr.stages.evaluate import RESULT, Measurement, measure, read_measurement
from rlvr.stages.iterate import measuring_lines, round_lines
from rlvr.stages.parts import last_checkpoint, whole
from rlvr.stages.preferred import preferred_rate
from rlvr.stages.returns import Unit, return_sentences
from rlvr.stages.reward_model import accuracy_line, read_accuracy
from rlvr.statistics.intervals import Interval
from rlvr.verifiers.judge.settings import settings_from

BASE = "0-base"


@dataclass(slots=True)
class Chain:
    """How far a run has come; `add` takes it through a stage.

    `current` is the checkpoint that goes on, `measured_in` the folder of its measurement, `parent` what the next stage
    is compared with, `goes_on` the stages since then, of which each continues the one before. `known` holds the
    measurements of the base and of all stages that went on, oldest first, by name, `judged` those of them that a gate
    compares with: policies measured on the recipe's [evaluation]. `trained` are the domains that they trained on.
    `failed` names the stage before where nothing of it went on.
    """

    current: Path
    measured_in: Path
    parent: Path
    known: list[tuple[str, Measurement]]
    judged: list[tuple[str, Measurement]]
    reports: list[StageReport]
    trained: set[str] = field(default_factory=set)
    goes_on: list[str] = field(default_factory=list)
    failed: str = ""

    def add(self, house: House, run: Run, progress: Progress, stage: Any) -> None:
        """Takes the chain through one stage, or through what is left of it, and adds its report."""
        name = stage.label
        if not getattr(stage, "continues", False):
            self.parent, self.goes_on = self.current, []
        elif self.failed:
            raise TrainingError(
                f"{name} continues {self.failed}, of which its gate let nothing pass",
                hint="see in the report what was lost, and train with other settings",
            )
        self.failed = ""
        begun = self.known[-1][1]
        made = _trained(self, house, run, progress, stage)
        progress.note(f"{name}: {made}")
        domains = set(run.read_json(DONE)["domains"])
        if isinstance(stage, RewardModelConfig):
            house.reward_models[name] = made
            self.known.append((name, replace(self.known[-1][1], kl=None)))  # The policy is the one from before.
            if accuracy := read_accuracy(run):
                progress.note(f"{name}: {accuracy_line(accuracy)}")
            self.trained |= domains
            report = _report(run, stage.kind, self.current, self.trained, self.known, self.goes_on)
        else:
            for line in round_lines(run):
                progress.note(f"{name}: {line}")
            report = self._measure(house, run, progress, stage, made=made, domains=domains)
            report = replace(report, returned=_returned(house, run, stage, begun))
        self.reports.append(report)
        self.goes_on.append(name)

    def _measure(
        self, house: House, run: Run, progress: Progress, stage: Any, *, made: Path, domains: set[str]
    ) -> StageReport:
        """Measures what a stage made, lets it go on or not, and gives its report."""
        name, gate = stage.label, gate_of(house.recipe, stage)
        config = stage if isinstance(stage, EvaluateConfig) else house.recipe.evaluation

        def measured(path: Path, place: str = EVALUATION) -> Measurement:
            return _measured(house, run, config, checkpoint=path, parent=self.parent, place=place)

        if gate is None:
            found = measured(made)
            self._go_on(made, run, name, found, domains, judged=not isinstance(stage, EvaluateConfig))
            return _report(run, stage.kind, made, self.trained, self.known, self.goes_on)
        nothing = is_same(made, self.current)
        passage = pass_gate(
            gate,
            run,
            made=made,
            found=self.judged[-1][1] if nothing else measured(made),
            begin=self.current,
            earlier=self.judged,
            trained=sorted(domains),
            continues=self.goes_on,
            measure_again=lambda path: measured(path, f"{EVALUATION}-{path.name}"),
            win_rate=None if not house.recipe.judge else partial(_win_rate, self, house, run),
        )
        for line in gate_lines(name, passage.report):
            progress.note(line)
        known, trained = [*self.known, (name, passage.measurement)], self.trained | domains
        if passage.report.handed_on == START:
            self.failed, shown = name, made
        else:
            shown = passage.checkpoint
            place = measured_in(passage.report)
            self._go_on(shown, run, name, passage.measurement, domains, judged=True, place=place)
        return replace(_report(run, stage.kind, shown, trained, known, self.goes_on), gate=passage.report)

    def _go_on(
        self,
        path: Path,
        run: Run,
        name: str,
        found: Measurement,
        domains: set[str],
        *,
        judged: bool,
        place: str = EVALUATION,
    ) -> None:
        self.current = path
        self.known = [*self.known, (name, found)]
        self.trained = self.trained | domains
        if judged:
            self.judged, self.measured_in = [*self.judged, (name, found)], run.path / place


def begin_chain(house: House, run: Run, progress: Progress, base: Path) -> Chain:
    """Measures the base, before all stages."""
    child, evaluation = run.child(BASE), house.recipe.evaluation
    found = _measured(house, child, evaluation, checkpoint=base, parent=None)
    known = [("base", found)]
    gates = dict.fromkeys(gate for stage in house.recipe.stage if (gate := gate_of(house.recipe, stage)))
    samples = evaluation.samples if evaluation else 1
    lines = (sensitivity_line(gate, found, samples, judged=bool(house.recipe.judge)) for gate in gates)
    for line in filter(None, lines):
        progress.note(line)
    return Chain(
        current=base,
        measured_in=child.path / EVALUATION,
        parent=base,
        known=known,
        judged=list(known),
        reports=[_report(child, "base", base, set(), known, ())],
    )


def _win_rate(chain: Chain, house: House, run: Run, confidence: float) -> Interval | None:
    """Gives how often the judge prefers the stage's answers to its parent's; None where that cannot be told."""
    judge, after = settings_from(house.recipe.judge), run.path / EVALUATION
    return preferred_rate(judge, run, chain.measured_in, after, confidence=confidence)


def _trained(chain: Chain, house: House, run: Run, progress: Progress, stage: Any) -> Path:
    """Runs one stage from the chain's checkpoint, or gives the checkpoint of one that is done."""
    if done := _done(run):
        return done
    found = last_checkpoint(run)
    meter = Meter(on_gpu=house.device.type == "cuda")
    start = chain.current if isinstance(stage, RewardModelConfig) else found or chain.current
    parts = make_parts(house, start=start, parent=chain.parent, stage=stage)
    parts = replace(
        parts,
        begin=chain.current,
        gate=gate_of(house.recipe, stage),
        earlier=[(name, measured.sampled) for name, measured in chain.judged if measured.sampled],
    )
    run.fsync = False  # Each checkpoint waits for the metrics before it; a kill loses nothing either way.
    listener = progress.stage(run.path.name)
    run.listeners += [listener, *(SINKS[name](run) for name in house.recipe.sinks)]

    def announce(steps: int, first: int) -> None:
        meter.add([*measuring_lines(run), *(line for line in run.metrics() if line["step"] < first)])
        listener.expect(steps, first)
        if first == 0 and (conditions := read_conditions(run)):
            progress.show(condition_table(conditions))
            for line in problem_lines(conditions):
                progress.note(line if stage.conditions.required else f"{line}. It is trained all the same.")

    checkpoint = STAGES[stage.kind](replace(parts, announce=announce), stage, run)
    write_ended(run, checkpoint, meter.durations())
    return checkpoint.path


def _done(run: Run) -> Path | None:
    """Gives the checkpoint of a stage that ended; None when it did not, or when that checkpoint is no longer whole."""
    if not has_ended(run.path):
        return None
    path = made_by(run.path)
    return path if not path.is_relative_to(run.path) or whole(run, path, DONE) else None


def _measured(
    house: House,
    run: Run,
    config: EvaluateConfig | None,
    *,
    checkpoint: Path,
    parent: Path | None,
    place: str = EVALUATION,
) -> Measurement:
    """Measures a checkpoint, or reads what was measured; nothing where there is no evaluation.

    The measurement lies in the stage's folder, or in its folder `place`.
    """
    if config is None:
        return Measurement({}, (), None, None)
    folder = run if (run.path / RESULT).is_file() else run.child(place)
    if (folder.path / RESULT).is_file():
        return read_measurement(folder)
    return measure(make_parts(house, start=checkpoint, parent=parent, stage=config), config, folder)


def _report(
    run: Run,
    kind: str,
    checkpoint: Path,
    trained: AbstractSet[str],
    results: Sequence[tuple[str, Measurement]],
    goes_on: Sequence[str],
) -> StageReport:
    """Gives a stage's part of the report: the last of `results`, and what it gained over the ones before.

    The last of those before, which it goes on from, are no ancestors: what it is beyond was known before them.
    """
    (*ancestors, (name, found)) = results
    changes = changes_between(ancestors[-1][1], found) if ancestors else {}
    domains = {
        domain: replace(_changed(report, changes.get(domain)), trained=domain.removesuffix(SEEN) in trained)
        for domain, report in found.domains.items()
    }
    rollouts = [line for line in run.metrics() if "rollout/informative_rate" in line]
    drawn = math.fsum(line["rollout/prompts_drawn"] for line in rollouts)
    informative = math.fsum(line["rollout/informative_rate"] * line["rollout/prompts_drawn"] for line in rollouts)
    done: dict[str, Any] = {"cpu_seconds": 0.0, "elapsed_seconds": 0.0, "gpu_seconds": 0.0, "domains": []}
    done |= run.read_json(DONE) if has_ended(run.path) else {}
    return StageReport(
        name=name,
        kind=kind,
        checkpoint=str(checkpoint),
        cpu_seconds=done["cpu_seconds"],
        seconds=done["elapsed_seconds"],
        gpu_seconds=done["gpu_seconds"],
        domains=domains,
        kl=found.kl,
        perplexity=found.perplexity,
        no_signal_rate=1 - informative / drawn if drawn else None,
        beyond=beyond_ancestors(ancestors[: len(ancestors) - len(goes_on)], found, done["domains"])
        if kind in REINFORCED
        else {},
        conditions=read_conditions(run),
        continues=tuple(goes_on),
    )


def _returned(house: House, run: Run, stage: Any, begun: Measurement) -> tuple[str, ...]:
    """Gives what a stage's held-out evaluations on its way tell; nothing where there are none."""
    if stage.kind not in REINFORCED:
        return ()
    unit: Unit = "GPU" if house.device.type == "cuda" else "CPU"
    try:
        return tuple(return_sentences(returned(run, round_steps=stage.steps, begun=begun, unit=unit)))
    except ValueError:  # no two evaluations, or none of a trained task
        return ()


def _changed(report: DomainReport, change: Change | None) -> DomainReport:
    if change is None:
        return report
    return replace(report, gain=change.gain, only_before=change.only_before, only_after=change.only_after)
