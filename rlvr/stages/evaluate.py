"""Evaluation: held-out tasks, sampled and greedy; perplexity of held-out text; KL to the parent's weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from rlvr.algorithms.kl import k3
from rlvr.config.schema import DataConfig, EvaluateConfig
from rlvr.data.chat import encode_document, stop_token_ids
from rlvr.data.stream import Draw
from rlvr.engines.base import Sampling
from rlvr.runs.folder import Record, Run
from rlvr.runs.report import DomainReport, read_domain
from rlvr.stages.parts import Checkpoint, Parts, usable_tasks
from rlvr.statistics.intervals import Interval, paired_difference_interval, proportion_interval, rate_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.training.batching import Row, weighted_row
from rlvr.training.learner import measure_logprobs
from rlvr.training.rollout import MAX_UNSCORED_RATE, complete_groups, refuse_unscored
from rlvr.training.samples import to_samples
from rlvr.types import FloatArray, Group

RESULT = "result.json"
PASS_AT = 16


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a checkpoint can do. `kl` to the parent in nats per token; None where there is no parent or no text.

    `solved_rates` holds for each domain and task the share of its samples that solve it.
    """

    domains: Mapping[str, DomainReport]
    solved_rates: Mapping[str, Mapping[str, float]]
    kl: float | None
    perplexity: float | None


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
        sampled = held_out_groups(parts, config, record, greedy=False)
        greedy = held_out_groups(parts, config, record, greedy=True)
        found = Measurement(
            domains=domain_reports(sampled, greedy),
            solved_rates=_solved_rates(sampled),
            kl=kl_to_parent(parts, sampled, config),
            perplexity=perplexity(parts, config.text, config.microbatch_tokens),
        )
        record.metrics(metrics_of(found))
    run.write_json(RESULT, asdict(found))
    return found


def read_measurement(run: Run) -> Measurement:
    """Gives the measurement that the run holds."""
    stored = run.read_json(RESULT)
    domains = {name: read_domain(entry) for name, entry in stored["domains"].items()}
    return Measurement(domains, stored["solved_rates"], stored["kl"], stored["perplexity"])


def held_out_groups(
    parts: Parts, config: EvaluateConfig, record: Record, *, greedy: bool, version: int = 0
) -> list[Group]:
    """Completes every held-out task, `config.samples` times or once greedily; keys depend on nothing but its place."""
    if not config.data:
        return []
    intake = usable_tasks(parts, parts.load_held_out("task", config.data), config.max_completion_tokens)
    engine = parts.make_engine(intake.longest_prompt + config.max_completion_tokens)
    engine.load_weights(parts.policy, version=version)
    groups = complete_groups(
        engine,
        [Draw(index, task) for index, task in enumerate(intake.tasks)],
        group_size=1 if greedy else config.samples,
        sampling=Sampling(
            temperature=0.0 if greedy else config.temperature,
            max_new_tokens=config.max_completion_tokens,
            stop_token_ids=stop_token_ids(parts.tokenizer),
            seed=config.seed,
            purpose="evaluate",
        ),
        encode=lambda task: intake.prompts[task.id],
        scores=parts.scores,
    )
    record.rollouts(groups, split="greedy" if greedy else "evaluate")
    refuse_unscored(groups, MAX_UNSCORED_RATE)
    return groups


def _solved_rates(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    rates: dict[str, dict[str, float]] = {}
    for group in groups:
        if group.num_scored:
            rates.setdefault(group.task.domain, {})[group.task.id] = group.num_solved / group.num_scored
    return rates


def gain_over(before: Measurement, after: Measurement) -> dict[str, Interval]:
    """Gives per domain how far pass@1 rose from one checkpoint to another, on the tasks that both were asked."""
    gains = {}
    for domain, rates in after.solved_rates.items():
        common = [task for task in rates if task in before.solved_rates.get(domain, {})]
        if common:
            gains[domain] = paired_difference_interval(
                [before.solved_rates[domain][task] for task in common], [rates[task] for task in common]
            )
    return gains


def domain_reports(sampled: Sequence[Group], greedy: Sequence[Group]) -> dict[str, DomainReport]:
    """Gives pass@1, pass@16, greedy accuracy and mean length per domain; completions without an outcome do not count.

    A task counts in a rate when enough of its completions have an outcome; a domain without one is left out.
    """
    reports = {}
    for domain in dict.fromkeys(group.task.domain for group in sampled):
        groups = [g for g in sampled if g.task.domain == domain and g.num_scored]
        if not groups:
            continue
        full = [g for g in groups if g.num_scored >= PASS_AT]
        once = [g for g in greedy if g.task.domain == domain and g.num_scored]
        lengths = [len(c.token_ids) for g in groups for c in g.completions]
        reports[domain] = DomainReport(
            trained=False,
            gain=None,
            pass_at_1=rate_interval([g.num_solved / g.num_scored for g in groups]),
            pass_at_16=rate_interval(pass_at_k([g.num_scored for g in full], [g.num_solved for g in full], k=PASS_AT))
            if full
            else None,
            greedy=proportion_interval(sum(g.num_solved for g in once), len(once)) if once else None,
            tokens=sum(lengths) / len(lengths),
        )
    return reports


def kl_to_parent(parts: Parts, sampled: Sequence[Group], config: EvaluateConfig) -> float | None:
    """Gives the KL to the parent's weights in nats per token: the mean k3 over all tokens that this policy sampled."""
    reference = parts.make_reference()
    if reference is None or not sampled:
        return None
    rows = [Row(sample.token_ids, sample.trainable) for sample in to_samples(sampled, drop_truncated=False)]
    ours, theirs = (
        _logprobs(parts, model, rows, config.temperature, config.microbatch_tokens)
        for model in (parts.policy, reference)
    )
    divergence = sum(
        float(k3(torch.from_numpy(a), torch.from_numpy(b)).double().sum()) for a, b in zip(ours, theirs, strict=True)
    )
    return divergence / max(1, sum(int(row.trainable.sum()) for row in rows))


def perplexity(parts: Parts, text: Sequence[DataConfig], microbatch_tokens: int) -> float | None:
    """Gives exp of the mean negative log-likelihood per token of all texts, given their prompts; None without any."""
    if not text:
        return None
    encoded = [encode_document(parts.tokenizer, item) for item in parts.load_held_out("document", text)]
    rows = [weighted_row(ids, ~prompt) for ids, prompt in encoded]
    found = _logprobs(parts, parts.policy, rows, 1.0, microbatch_tokens)
    total = sum(float(values.sum(dtype="float64")) for values in found)
    return math.exp(-total / sum(int(row.trainable.sum()) for row in rows))


def metrics_of(found: Measurement) -> dict[str, float]:
    """Gives the measurement as metrics."""
    metrics: dict[str, float] = {}
    for name, report in found.domains.items():
        metrics[f"eval/pass_at_1/{name}"] = report.pass_at_1.mean
        metrics[f"eval/completion_tokens_mean/{name}"] = report.tokens
        if report.pass_at_16:
            metrics[f"eval/pass_at_16/{name}"] = report.pass_at_16.mean
        if report.greedy:
            metrics[f"eval/greedy/{name}"] = report.greedy.mean
    if found.kl is not None:
        metrics["eval/kl"] = found.kl
    if found.perplexity is not None:
        metrics["eval/perplexity"] = found.perplexity
    return metrics


def held_out(parts: Parts, config: EvaluateConfig, record: Record, *, version: int) -> dict[str, float]:
    """Gives pass@1 and pass@16 of the weights as they are now, as metrics of a training step."""
    sampled = held_out_groups(parts, config, record, greedy=False, version=version)
    return metrics_of(Measurement(domain_reports(sampled, []), {}, None, None))


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
