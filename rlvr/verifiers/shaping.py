"""From outcome to reward: pure functions, applied in the order of the recipe to completions that have an outcome."""

from collections.abc import Callable, Mapping

from rlvr.types import Completion, Task, Verdict

Shaping = Callable[..., float]
"""(task, completion, verdict, reward, **keyword-only options) -> reward."""


def scale(task: Task, completion: Completion, verdict: Verdict, reward: float, *, factor: float) -> float:
    """Gives factor × reward."""
    return factor * reward


def format_bonus(task: Task, completion: Completion, verdict: Verdict, reward: float, *, weight: float) -> float:
    """Gives reward + weight where one answer stands in its slot, right or wrong: where the verdict's status is "ok"."""
    return reward + weight if verdict.status == "ok" else reward


def soft_overlong(
    task: Task, completion: Completion, verdict: Verdict, reward: float, *, limit_tokens: int, buffer_tokens: int
) -> float:
    """Gives reward plus a penalty that falls from 0 to -1 over the last `buffer_tokens` before `limit_tokens`.

    With L tokens: 0 for L <= limit - buffer; (limit - buffer - L) / buffer up to the limit; -1 beyond it.
    Source: DAPO (arXiv:2503.14476), equation 13; L_max is `limit_tokens` and L_cache is `buffer_tokens`.
    """
    over = len(completion.token_ids) - (limit_tokens - buffer_tokens)
    if over <= 0:
        return reward
    return reward - min(1.0, over / buffer_tokens) if buffer_tokens > 0 else reward - 1.0


SHAPINGS: Mapping[str, Shaping] = {"format_bonus": format_bonus, "scale": scale, "soft_overlong": soft_overlong}
"""Every shaping by its name in a recipe."""
