"""From outcome to reward: pure functions, applied in the order of the recipe to completions that have an outcome.

Each gives the new reward; the outcome, by which a completion counts as solved, is never changed. L is the number of
tokens of a completion. Parts are the named numbers of a verdict; one that the verdict does not have is an error, so
that a wrong name is not a silent 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from rlvr.errors import VerifierError
from rlvr.types import Completion, Task, Verdict

Shaping = Callable[..., float]
"""(task, completion, verdict, reward, **keyword-only options) -> reward."""


def scale(task: Task, completion: Completion, verdict: Verdict, reward: float, *, factor: float) -> float:
    """Gives factor × reward."""
    return factor * reward


def domain_scale(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, factors: Mapping[str, float]
) -> float:
    """Gives the reward times its domain's factor, 1 for a domain that `factors` does not name.

    The cell `reward_scale` of a domain does the same after all shaping, and refuses a domain that is not there.
    """
    return factors.get(task.domain, 1.0) * reward


def clip(task: Task, completion: Completion, verdict: Verdict, reward: float, *, low: float, high: float) -> float:
    """Gives the reward, but at least `low` and at most `high`."""
    return min(max(reward, low), high)


def weighted_sum(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, weights: Mapping[str, float]
) -> float:
    """Gives reward + Σ weight × part."""
    return reward + math.fsum(weight * _part(verdict, name) for name, weight in weights.items())


def product(task: Task, completion: Completion, verdict: Verdict, reward: float, *, parts: Sequence[str]) -> float:
    """Gives the reward times each of the parts."""
    return math.prod((_part(verdict, name) for name in parts), start=reward)


def minimum(task: Task, completion: Completion, verdict: Verdict, reward: float, *, parts: Sequence[str]) -> float:
    """Gives the smallest of the reward and the parts."""
    return min(reward, *(_part(verdict, name) for name in parts))


def maximum(task: Task, completion: Completion, verdict: Verdict, reward: float, *, parts: Sequence[str]) -> float:
    """Gives the largest of the reward and the parts."""
    return max(reward, *(_part(verdict, name) for name in parts))


def gate(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, part: str, at_least: float, otherwise: float
) -> float:
    """Gives the reward where a part is at least `at_least`, else `otherwise`.

    `part` may be "outcome": a bonus that was added before then counts for right answers only.
    """
    return reward if _part(verdict, part) >= at_least else otherwise


def step_credit(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, part: str, weight: float
) -> float:
    """Gives (1 - weight) × reward + weight × part: credit for steps beside that for the final result."""
    return (1 - weight) * reward + weight * _part(verdict, part)


def format_bonus(task: Task, completion: Completion, verdict: Verdict, reward: float, *, weight: float) -> float:
    """Gives reward + weight where one answer stands in its slot, right or wrong: where the verdict's status is "ok"."""
    return reward + weight if verdict.status == "ok" else reward


def linear_length(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, weight: float, limit_tokens: int
) -> float:
    """Gives reward - weight × min(1, L / limit), for solved tasks only: a short wrong completion is no gain."""
    if not _solved(task, verdict):
        return reward
    return reward - weight * min(1.0, len(completion.token_ids) / limit_tokens)


def cosine_length(
    task: Task,
    completion: Completion,
    verdict: Verdict,
    reward: float,
    *,
    limit_tokens: int,
    right: Sequence[float] = (2.0, 1.0),
    wrong: Sequence[float] = (-10.0, 0.0),
    over: float = -10.0,
) -> float:
    """Gives a reward that goes along a half cosine from its value at length 0 to its value at the limit.

    r = r_L + (r_0 - r_L) (1 + cos(π L / limit)) / 2 with (r_0, r_L) = `right` for a solved task and `wrong` otherwise,
    and `over` for completions that reach the limit. What was given before is replaced.
    Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning" (arXiv:2502.03373), section 4, and its values.
    """
    length = len(completion.token_ids)
    if length >= limit_tokens:
        return over
    start, end = right if _solved(task, verdict) else wrong
    return end + (start - end) * (1 + math.cos(math.pi * length / limit_tokens)) / 2


def repetition(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, weight: float, ngram: int
) -> float:
    """Gives reward - weight × share of the completion's n-grams of tokens that have occurred in it before."""
    ids = completion.token_ids.tolist()
    grams = [tuple(ids[start : start + ngram]) for start in range(len(ids) - ngram + 1)]
    return reward - weight * (1 - len(set(grams)) / len(grams)) if grams else reward


def soft_overlong(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, limit_tokens: int, buffer_tokens: int
) -> float:
    """Gives reward plus a penalty that falls from 0 to -1 over the last `buffer_tokens` before `limit_tokens`.

    0 for L <= limit - buffer; (limit - buffer - L) / buffer up to the limit; -1 beyond it.
    Source: DAPO (arXiv:2503.14476), equation 13; L_max is `limit_tokens` and L_cache is `buffer_tokens`.
    """
    over = len(completion.token_ids) - (limit_tokens - buffer_tokens)
    if over <= 0:
        return reward
    return reward - min(1.0, over / buffer_tokens) if buffer_tokens > 0 else reward - 1.0


def missing_end(task: Task, completion: Completion, verdict: Verdict, reward: float, *, penalty: float) -> float:
    """Gives reward - penalty for a completion that the length limit cut before it ended."""
    return reward - penalty if completion.finish == "length" else reward


SHAPINGS: Mapping[str, Shaping] = {
    "clip": clip,
    "cosine_length": cosine_length,
    "domain_scale": domain_scale,
    "format_bonus": format_bonus,
    "gate": gate,
    "linear_length": linear_length,
    "maximum": maximum,
    "minimum": minimum,
    "missing_end": missing_end,
    "product": product,
    "repetition": repetition,
    "scale": scale,
    "soft_overlong": soft_overlong,
    "step_credit": step_credit,
    "weighted_sum": weighted_sum,
}
"""Every shaping by its name in a recipe."""


def _solved(task: Task, verdict: Verdict) -> bool:
    return verdict.outcome is not None and verdict.outcome >= task.threshold


def _part(verdict: Verdict, name: str) -> float:
    if name == "outcome" and verdict.outcome is not None:
        return verdict.outcome
    if name not in verdict.parts:
        known = ", ".join(["outcome", *verdict.parts])
        raise VerifierError(f"the verdict has no part {name!r}; it has {known}", hint="check the options of shaping")
    value = verdict.parts[name]
    if isinstance(value, str):
        raise VerifierError(f"the part {name!r} is a text, {value[:60]!r}; expected a number")
    return value
