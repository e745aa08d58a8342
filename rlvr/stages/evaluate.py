"""Evaluation: held-out tasks, asked in several ways; perplexity of held-out text; KL to the parent's weights."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from rlvr.algorithms.kl import k3
from rlvr.config.data import EvaluateConfig
from rlvr.data.stream import Draw
from rlvr.engines.base import Engine
from rlvr.errors import DataError, RunError
from rlvr.models.policy import context_length
from rlvr.runs.folder import Record, Run
from rlvr.runs.report import DomainReport, Readout, read_domain
from rlvr.stages.parts import Checkpoint, Parts, encoder, sample_groups, usable_tasks
from rlvr.stages.text import TextScores, score_text
from rlvr.statistics.intervals import Interval, proportion_interval, rate_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.training.batching import Row
from rlvr.training.learner import measure_logprobs
from rlvr.training.rollout import MAX_UNSCORED_RATE, refuse_unscored
from rlvr.training.samples import to_samples
from rlvr.types import FloatArray, Group, IntArray, Task

log = logging.getLogger(__name__)

RESULT = "result.json"
READOUT_SAMPLES = 2
"""Completions per task of a readout that is not greedy."""
PASS_AT = (1, 2, 4, 8, 16)
"""The k of pass@k, as far as there are samples."""
WITHOUT_ANSWER = ("no_answer", "wrong_format")
"""Of a verdict: nothing was found that could be right."""
KL_SAMPLES = 4
"""Of how many samples of each task the KL to the parent is measured."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking every task: under `prompt`, `num_samples` times, stored as rollouts of `split`."""

    prompt: str
    temperature: float
    num_samples: int
    split: str


@dataclass(frozen=True, slots=True)
class Rates:
    """For each domain and task the share of its completions that solve it, asked in one way."""

    prompt: str
    temperature: float
    solved: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a checkpoint can do. `kl` to the parent in nats per token; None where there is no parent or no text.

    `rates` has one entry per way of asking, in the order of `ways_of`; it is empty where nothing was asked. `answered`
    holds by domain and task the share of the samples that ended by themselves and hold an answer, right or wrong.
    """

    domains: Mapping[str, DomainReport]
    rates: tuple[Rates, ...]
    kl: float | None
    perplexity: float | None
    answered: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    text: TextScores = field(default_factory=TextScores)

    @property
    def sampled(self) -> Mapping[str, Mapping[str, float]]:
        """The rates of the samples under the first prompt at the evaluation's temperature."""
        return self.rates[0].solved if self.rates else {}

    @property
    def greedy(self) -> Mapping[str, Mapping[str, float]]:
        """The rates, 0 or 1, of greedy decoding under the first prompt."""
        return self.rates[1].solved if self.rates else {}


def evaluate(parts: Parts, config: EvaluateConfig, run: Run) -> Checkpoint:
    """Measures the policy and passes its checkpoint on unchanged."""
    measure(parts, config, run)
    return Checkpoint(parts.origin, 0, ())


def measure(parts: Parts, config: EvaluateConfig, run: Run) -> Measurement:
    """Measures the policy on the tasks and texts of `config`, once per run folder: a second call reads the result."""
    if (run.path / RESULT).is_file():
        return read_measurement(run)
    run.rewind(0)
    with run.step(0) as record:
        answers = held_out_groups(parts, config, ways_of(config), record)
        rates = tuple(Rates(way.prompt, way.temperature, solved_rates(groups)) for way, groups in answers.items())
        sampled, first = next(iter(answers.values()), []), config.prompts[0]
        reports = domain_reports(sampled, rates)
        reference = parts.make_reference() if sampled or config.text else None
        text = score_text(parts, config.text, reference, microbatch_tokens=config.microbatch_tokens)
        found = Measurement(
            domains={name: report for name, report in reports.items() if _answered(report, first)},
            rates=rates,
            kl=None if reference is None else kl_to_parent(parts, reference, sampled, config),
            perplexity=text.perplexity,
            answered=answered_rates(sampled),
            text=text,
        )
        record.metrics(metrics_of(found))
    run.write_json(RESULT, asdict(found))
    return found


def read_measurement(run: Run) -> Measurement:
    """Gives the measurement that the run holds. Raises RunError for one that another version of rlvr wrote."""
    stored = run.read_json(RESULT)
    try:
        domains = {name: read_domain(entry) for name, entry in stored["domains"].items()}
        rates = tuple(Rates(**entry) for entry in stored["rates"])
        # Figures that came later: a measurement of before is read all the same.
        text = TextScores(**{name: tuple(values) for name, values in stored.get("text", {}).items()})
        return Measurement(domains, rates, stored["kl"], stored["perplexity"], stored.get("answered", {}), text)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{run.path / RESULT} was written by another version of rlvr: {type(error).__name__} {error}",
            hint="go on with that version, or remove the file to have the checkpoint measured again",
        ) from error


def ways_of(config: EvaluateConfig) -> tuple[Way, ...]:
    """Gives all ways of asking: the first prompt's samples first, its greedy answers next, then the other readouts.

    Those are each prompt greedily, at the low temperature where there is one, and, of prompts other than the first, at
    the evaluation's temperature. A split is named after how it was asked and the prompt's place in the recipe.
    """
    first = config.prompts[0]
    ways = [Way(first, config.temperature, config.samples, "evaluate"), Way(first, 0.0, 1, "greedy")]
    for number, prompt in enumerate(config.prompts, start=1):
        end = "" if prompt == first else f"-prompt-{number}"
        if prompt != first:
            ways.append(Way(prompt, 0.0, 1, f"greedy{end}"))
        if config.low_temperature > 0:
            ways.append(Way(prompt, config.low_temperature, READOUT_SAMPLES, f"low{end}"))
        if prompt != first:
            ways.append(Way(prompt, config.temperature, READOUT_SAMPLES, f"evaluate{end}"))
    return tuple(ways)


def held_out_groups(
    parts: Parts, config: EvaluateConfig, ways: Sequence[Way], record: Record, *, version: int = 0
) -> dict[Way, list[Group]]:
    """Completes every held-out task in each way; keys depend on nothing but a task's place. Empty without tasks."""
    if not config.data:
        return {}
    held_out_tasks, first = parts.load_held_out("task", config.data), config.prompts[0]
    intake = usable_tasks(parts, held_out_tasks, config.max_completion_tokens, prompt=first)
    answers: dict[Way, list[Group]] = {}
    for prompt in dict.fromkeys(way.prompt for way in ways):
        prompts = intake.prompts if prompt == first else _other_prompts(parts, config, prompt, intake.tasks)
        draws = [Draw(index, task) for index, task in enumerate(intake.tasks) if task.id in prompts]
        engine = parts.make_engine(max(map(len, prompts.values())) + config.max_completion_tokens)
        engine.load_weights(parts.policy, version=version)
        for way in (way for way in ways if way.prompt == prompt):
            answers[way] = _ask(parts, config, way, engine, draws, prompts)
            record.rollouts(answers[way], split=way.split)
            refuse_unscored(answers[way], MAX_UNSCORED_RATE)
    return answers


def _ask(
    parts: Parts,
    config: EvaluateConfig,
    way: Way,
    engine: Engine,
    draws: Sequence[Draw],
    prompts: Mapping[str, IntArray],
) -> list[Group]:
    return sample_groups(
        parts,
        engine,
        draws,
        prompts,
        group_size=way.num_samples,
        temperature=way.temperature,
        max_completion_tokens=config.max_completion_tokens,
        seed=config.seed,
        purpose="evaluate",
    )


def _other_prompts(parts: Parts, config: EvaluateConfig, prompt: str, tasks: Sequence[Task]) -> dict[str, IntArray]:
    """Gives by task id the encoded prompts that leave room for a completion."""
    room = context_length(parts.policy) - config.max_completion_tokens
    encode = encoder(parts.tokenizer, prompt)
    encoded = {task.id: encode(task) for task in tasks}
    fitting = {id_: ids for id_, ids in encoded.items() if len(ids) <= room}
    if not fitting:
        shortest = min(map(len, encoded.values()))
        raise DataError(
            f"no task fits under the prompt {prompt!r}: the shortest has {shortest} tokens, there is room for {room}",
            hint="leave it out of evaluation.prompts, or lower evaluation.max_completion_tokens",
        )
    if len(fitting) < len(encoded):
        log.warning(
            "%d of %d tasks are too long under the prompt %r", len(encoded) - len(fitting), len(encoded), prompt
        )
    return fitting


def solved_rates(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Gives by domain and task the share of scored completions that are solved; tasks without any are left out."""
    rates: dict[str, dict[str, float]] = {}
    for group in groups:
        if group.num_scored:
            rates.setdefault(group.task.domain, {})[group.task.id] = group.num_solved / group.num_scored
    return rates


def answered_rates(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Gives by domain and task the share of completions that ended by themselves and hold an answer, right or wrong.

    One that nobody could score holds none.
    """
    rates: dict[str, dict[str, float]] = {}
    for group in groups:
        answered = [
            completion.finish == "stop" and verdict.outcome is not None and verdict.status not in WITHOUT_ANSWER
            for completion, verdict in zip(group.completions, group.verdicts, strict=True)
        ]
        rates.setdefault(group.task.domain, {})[group.task.id] = sum(answered) / len(answered)
    return rates


def accuracy_of(rates: Sequence[float], *, temperature: float) -> Interval:
    """Gives the share right over tasks, from each task's share of right completions in a readout."""
    return rate_interval(rates) if temperature > 0 else proportion_interval(round(sum(rates)), len(rates))


def domain_reports(sampled: Sequence[Group], rates: Sequence[Rates]) -> dict[str, DomainReport]:
    """Gives how each domain does: pass@k, rungs and length of the samples; accuracy in every way but the first.

    Completions without an outcome do not count. A task counts in a rate when enough of its completions have an
    outcome; a domain without one is left out.
    """
    reports = {}
    for domain in dict.fromkeys(group.task.domain for group in sampled):
        groups = [g for g in sampled if g.task.domain == domain and g.num_scored]
        if not groups:
            continue
        lengths = [len(c.token_ids) for g in groups for c in g.completions]
        reports[domain] = DomainReport(
            trained=False,
            num_tasks=len(groups),
            pass_at_k={k: rate for k in PASS_AT if (rate := _pass_at(groups, k)) is not None},
            rungs={
                rung: rate_interval([g.num_solved / g.num_scored for g in groups if g.task.rung == rung])
                for rung in sorted({g.task.rung for g in groups} - {0})
            },
            readouts=tuple(
                Readout(way.prompt, way.temperature, accuracy_of(list(found.values()), temperature=way.temperature))
                for way in rates[1:]
                if (found := way.solved.get(domain))
            ),
            gain=None,
            only_before=0.0,
            only_after=0.0,
            tokens=sum(lengths) / len(lengths),
        )
    return reports


def _pass_at(groups: Sequence[Group], k: int) -> Interval | None:
    full = [g for g in groups if g.num_scored >= k]
    return rate_interval(pass_at_k([g.num_scored for g in full], [g.num_solved for g in full], k=k)) if full else None


def _answered(report: DomainReport, prompt: str) -> bool:
    return any(readout.prompt == prompt and readout.temperature == 0 for readout in report.readouts)


def kl_to_parent(parts: Parts, reference: Any, sampled: Sequence[Group], config: EvaluateConfig) -> float | None:
    """Gives the KL to the parent's weights in nats per token: the mean k3 over KL_SAMPLES samples of each task.

    None where nothing was sampled.
    """
    if not sampled:
        return None
    samples = to_samples(sampled, drop_truncated=False)[:: max(1, config.samples // KL_SAMPLES)]
    rows = [Row(sample.token_ids, sample.trainable) for sample in samples]
    ours, theirs = (
        _logprobs(parts, model, rows, config.temperature, config.microbatch_tokens)
        for model in (parts.policy, reference)
    )
    return _mean_k3(ours, theirs, rows)


def kl_of_samples(
    parts: Parts, reference: Any, groups: Sequence[Group], *, temperature: float, microbatch_tokens: int
) -> float:
    """Gives the KL from the sampler to `reference` in nats per token, on the sampler's own completions."""
    samples = to_samples(groups, drop_truncated=False)
    rows = [Row(sample.token_ids, sample.trainable) for sample in samples]
    theirs = _logprobs(parts, reference, rows, temperature, microbatch_tokens)
    ours = [np.where(sample.trainable, sample.logprobs, 0.0) for sample in samples]
    return _mean_k3(ours, theirs, rows)


def _mean_k3(ours: Sequence[FloatArray], theirs: Sequence[FloatArray], rows: Sequence[Row]) -> float:
    divergence = sum(
        float(k3(torch.from_numpy(a), torch.from_numpy(b)).double().sum()) for a, b in zip(ours, theirs, strict=True)
    )
    return divergence / max(1, sum(int(row.trainable.sum()) for row in rows))


def metrics_of(found: Measurement) -> dict[str, float]:
    """Gives the measurement as metrics."""
    metrics: dict[str, float] = {}
    for name, report in found.domains.items():
        metrics |= _sample_metrics(name, report)
        metrics[f"eval/greedy/{name}"] = report.greedy.mean
        if len(report.readouts) > 1:
            metrics[f"eval/best_readout/{name}"] = report.best.mean
    if found.kl is not None:
        metrics["eval/kl"] = found.kl
    if found.perplexity is not None:
        metrics["eval/perplexity"] = found.perplexity
    return metrics


def held_out(
    parts: Parts, config: EvaluateConfig, record: Record, *, version: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Gives pass@1 and pass@16 of the weights as they are now, as metrics of a training step, and each task's rate."""
    answers = held_out_groups(parts, config, ways_of(config)[:1], record, version=version)
    sampled = next(iter(answers.values()), [])
    reports = domain_reports(sampled, [])
    metrics = {
        name: value for domain, report in reports.items() for name, value in _sample_metrics(domain, report).items()
    }
    return metrics, solved_rates(sampled)


def _sample_metrics(domain: str, report: DomainReport) -> dict[str, float]:
    metrics = {
        f"eval/pass_at_1/{domain}": report.pass_at_1.mean,
        f"eval/completion_tokens_mean/{domain}": report.tokens,
    }
    return metrics | ({f"eval/pass_at_16/{domain}": report.pass_at_16.mean} if report.pass_at_16 else {})


def _logprobs(
    parts: Parts, model: Any, rows: Sequence[Row], temperature: float, microbatch_tokens: int
) -> tuple[FloatArray, ...]:
    return measure_logprobs(
        model,
        rows,
        temperature=temperature,
        microbatch_tokens=microbatch_tokens,
        layout="padded",
        dtype=parts.dtype,
    )
