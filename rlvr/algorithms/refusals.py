"""Cells that contradict each other, each with the reason and what to type."""

from collections.abc import Callable

from rlvr.algorithms.algorithm import Algorithm, cell_text
from rlvr.errors import RecipeError

_REFUSALS: tuple[tuple[Callable[[Algorithm], bool], str, str], ...] = (
    (
        lambda row: row.kl_place == "loss" and row.kl_estimator == "k1",
        "k1 in the loss has expected gradient 0: it adds noise and does not hold the policy near the reference",
        'kl_estimator = "k2" for the reverse KL, "k3" for GRPO\'s',
    ),
    (
        lambda row: row.kl_place == "reward" and row.kl_estimator in ("k2", "k3_k2"),
        "in the reward a KL is only a number: k2 is a biased one, and k3_k2 differs from k3 in its gradient alone",
        'kl_estimator = "k1", whose expected gradient is that of the reverse KL, or "k3"',
    ),
    (
        lambda row: row.refill and row.refill_limit == 1,
        "refill with refill_limit 1 draws nothing after the first time",
        "refill_limit = 10, or refill = false",
    ),
    (
        lambda row: row.drop_truncated and row.overlong_buffer_share > 0,
        "drop_truncated takes truncated completions out of the loss, overlong_buffer_share punishes them: "
        "one would hide the other",
        "overlong_buffer_share = 0, or drop_truncated = false",
    ),
    (
        lambda row: row.drop_truncated and row.missing_end_penalty > 0,
        "drop_truncated takes truncated completions out of the loss, missing_end_penalty punishes them: "
        "one would hide the other",
        "missing_end_penalty = 0, or drop_truncated = false",
    ),
    (
        lambda row: row.drop_truncated and row.kl_place == "reward",
        "drop_truncated keeps the reward of a truncated completion in the group's baseline, but not its KL",
        'kl_place = "loss", or drop_truncated = false',
    ),
    (
        lambda row: row.missing_end_penalty > 0 and row.overlong_buffer_share > 0,
        "missing_end_penalty and overlong_buffer_share punish the same completions twice",
        "missing_end_penalty = 0, or overlong_buffer_share = 0",
    ),
    (
        lambda row: row.ratio == "sequence" and (row.whiten or not row.per_completion),
        "the ratio of a whole completion needs one advantage for all its tokens",
        'ratio = "sequence_token", which takes one for each token',
    ),
    (
        lambda row: row.ratio != "token" and row.loss == "clamped_weight",
        "clamped_weight weighs each token by its own ratio",
        'ratio = "token", or loss = "clipped"',
    ),
    (
        lambda row: row.ratio != "token" and row.aggregation != "sequence_mean",
        "a ratio of whole completions with an aggregation over tokens would let long completions weigh more",
        'aggregation = "sequence_mean"',
    ),
    (
        lambda row: row.loss == "clipped" and 0 < row.dual_clip <= 1 + row.clip_high,
        "dual_clip lies within the clip range, which then ends there",
        "dual_clip = 3, or 0 for none",
    ),
    (
        lambda row: row.mismatch.endswith("_mask") and not row.mismatch_low < 1 < row.mismatch_high,
        "a mask must let a ratio of 1 pass, on which learner and sampler agree",
        "mismatch_low below 1 and mismatch_high above it",
    ),
    (
        lambda row: row.mismatch.endswith("_truncate") and row.mismatch_high < 1,
        "a weight that is cut below 1 scales down the tokens on which learner and sampler agree",
        "mismatch_high = 2",
    ),
    (
        lambda row: row.kl_target > 0 and row.kl_coefficient == 0,
        "kl_target multiplies kl_coefficient, and 0 stays 0",
        "kl_coefficient = 0.05",
    ),
)


def refuse_impossible(row: Algorithm) -> None:
    """Raises RecipeError on cells that contradict each other, with the reason."""
    for contradicts, reason, hint in _REFUSALS:
        if contradicts(row):
            raise RecipeError(f"{row.name}: {reason}", hint=hint)


def refuse_lone_completions(row: Algorithm, group_size: int) -> None:
    """Raises RecipeError where a row that compares a prompt's completions gets one of each."""
    if row.needs_group and group_size < 2:
        what = f"advantage {cell_text(row.advantage)}" if row.per_completion else f"filter {row.filter}"
        raise RecipeError(
            f"group_size = {group_size} leaves the group baseline nothing to compare with ({what})",
            hint='group_size = 8, or an algorithm without a group: "reinforce_pp", "ppo"',
        )
