"""Where each cell of each preset comes from, and what the preset does otherwise than its paper.

docs/papers.md shows the same table; a test keeps the two equal.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A preset's paper: its title, the origin of each cell, and the differences."""

    title: str
    origins: dict[str, str]
    differs: tuple[str, ...]


_UNSCORED = (
    "A completion whose verifier could not tell leaves the group's baseline and every denominator; the paper has none."
)
_STD = "The paper names neither the convention of std nor an ε; unbiased and 1e-4 are TRL's."

SOURCES: dict[str, Source] = {
    "grpo": Source(
        title="DeepSeekMath (Group Relative Policy Optimization)",
        origins={
            "advantage": "paper; unbiased std and ε 1e-4 as in TRL, the paper names neither",
            "loss": "paper",
            "clip_low": "no value in the paper; 0.2 is the usual PPO value",
            "clip_high": "no value in the paper; 0.2 is the usual PPO value",
            "aggregation": "paper",
            "kl_place": "paper",
            "kl_estimator": "paper",
            "kl_coefficient": "paper",
            "filter": "paper has none",
            "refill": "paper has none",
            "refill_limit": "no meaning without refill",
            "drop_truncated": "paper has none",
            "overlong_buffer_share": "paper has none",
            "updates_per_step": "paper",
        },
        differs=(
            _STD,
            "The reward is a verifier's outcome after shaping; the paper scores with a reward model.",
            "The reference stays frozen; the paper also describes an iterative form that replaces it.",
            _UNSCORED,
        ),
    ),
    "dr_grpo": Source(
        title="Understanding R1-Zero-Like Training (Dr. GRPO)",
        origins={
            "advantage": "paper",
            "loss": "paper",
            "clip_low": "default of the authors' framework oat, which their scripts leave as it is",
            "clip_high": "default of the authors' framework oat, which their scripts leave as it is",
            "aggregation": "paper drops 1/n; the authors' code divides by the generation limit",
            "kl_place": "paper; the authors' scripts set β 0",
            "kl_estimator": "no meaning without a KL",
            "kl_coefficient": "paper; the authors' scripts set β 0",
            "filter": "paper has none",
            "refill": "paper has none",
            "refill_limit": "no meaning without refill",
            "drop_truncated": "authors' framework: off by default",
            "overlong_buffer_share": "paper has none",
            "updates_per_step": "authors' scripts: 128 prompts × 8 in batches of 128 completions",
        },
        differs=(
            "A completion cut at the limit keeps its verdict; the authors' script sets its reward to 0.",
            _UNSCORED,
        ),
    ),
    "dapo": Source(
        title="DAPO: Decoupled Clip and Dynamic sAmpling Policy Optimization",
        origins={
            "advantage": "paper; unbiased std and ε 1e-4 as in TRL, the paper names neither",
            "loss": "paper",
            "clip_low": "paper",
            "clip_high": "paper",
            "aggregation": "paper, per group there; per update here, as in the published script",
            "kl_place": "paper",
            "kl_estimator": "no meaning without a KL",
            "kl_coefficient": "paper",
            "filter": "paper",
            "refill": "paper",
            "refill_limit": "ours; the published script stops at 10 draws of 3 × prompts_per_step",
            "drop_truncated": "ours: the punishment is used instead, both at once would hide one",
            "overlong_buffer_share": "paper: 4096 of 20480 tokens",
            "updates_per_step": "paper: 512 prompts in minibatches of 32",
        },
        differs=(
            _STD,
            "token_mean divides by the tokens of the whole update; the paper writes the tokens of one group.",
            "The reward is the outcome, 0 to 1; the paper's is −1 or +1. The std divides that away, but a full "
            "overlong punishment (1) weighs as much as a wrong answer here and half as much there.",
            "Refilling stops at refill_limit and trains on what there is; the paper goes on until the batch is full.",
            "The overlong buffer is a share of the limit, so that the row fits any limit.",
            _UNSCORED,
        ),
    ),
}
