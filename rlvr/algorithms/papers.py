"""Where each cell that takes part in a preset comes from, and what the preset does otherwise than its paper.

docs/papers.md shows the same table; a test keeps the two equal.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A preset's paper: its title, the origin of each cell that takes part, and the differences."""

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
            "ratio": "paper",
            "clip_low": "no value in the paper; 0.2 is the usual PPO value",
            "clip_high": "no value in the paper; 0.2 is the usual PPO value",
            "aggregation": "paper",
            "kl_place": "paper",
            "kl_estimator": "paper",
            "kl_coefficient": "paper",
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
            "ratio": "paper",
            "clip_low": "default of the authors' framework oat, which their scripts leave as it is",
            "clip_high": "default of the authors' framework oat, which their scripts leave as it is",
            "aggregation": "paper drops 1/n; the authors' code divides by the generation limit",
            "kl_place": "paper; the authors' scripts set β 0",
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
            "ratio": "paper",
            "clip_low": "paper",
            "clip_high": "paper",
            "aggregation": "paper, per group there; per update here, as in the published script",
            "kl_place": "paper",
            "filter": "paper",
            "refill": "paper",
            "refill_limit": "ours; the published script stops at 10 draws of 3 × prompts_per_step",
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
    "gspo": Source(
        title="Group Sequence Policy Optimization",
        origins={
            "advantage": "paper; unbiased std and ε 1e-4 as in TRL, the paper names neither",
            "loss": "paper",
            "ratio": "paper",
            "clip_low": "paper",
            "clip_high": "paper",
            "aggregation": "paper: each completion counts the same",
            "kl_place": "ours: the paper leaves the term out of its formulae for brevity and is silent on its runs",
            "updates_per_step": "paper: each rollout is split into 4 minibatches",
        },
        differs=(_STD, _UNSCORED),
    ),
    "cispo": Source(
        title="MiniMax-M1 (Clipped IS-weight Policy Optimization)",
        origins={
            "advantage": "paper: GRPO's; unbiased std and ε 1e-4 as in TRL, the paper names neither",
            "loss": "paper",
            "ratio": "paper",
            "weight_max": "ours; the paper tunes it and does not publish the value",
            "aggregation": "paper, per group there; per update here",
            "kl_place": "paper",
            "filter": "paper, section 3.1: dynamic sampling as in DAPO",
            "refill": "the same",
            "refill_limit": "ours, as in dapo",
            "overlong_buffer_share": "paper, section 3.1: the length penalty of DAPO; its share is DAPO's",
            "updates_per_step": "paper, section 3.1: 16 rounds of updates on what was sampled",
        },
        differs=(
            _STD,
            "token_mean divides by the tokens of the whole update; the paper writes the tokens of one group.",
            "The weight has no lower bound, which the paper writes down and sets so low that it never holds.",
            "Refilling stops at refill_limit and trains on what there is; the paper does not say what it does.",
            _UNSCORED,
        ),
    ),
    "rloo": Source(
        title="Back to Basics: Revisiting REINFORCE-Style Optimization (REINFORCE Leave-One-Out)",
        origins={
            "advantage": "paper",
            "loss": "paper: REINFORCE, without a ratio or clip",
            "aggregation": "paper: the completion is one action",
            "kl_place": "paper: part of the completion's reward",
            "kl_estimator": "paper",
            "kl_coefficient": "paper: 0.03 for one of its tasks; TRL's default is 0.05",
            "updates_per_step": "paper",
        },
        differs=(
            "The reward is a verifier's outcome after shaping; the paper scores with a reward model.",
            "With two updates per step the second is off-policy and uncorrected; TRL adds a clipped ratio there.",
            _UNSCORED,
        ),
    ),
    "reinforce_pp": Source(
        title="REINFORCE++",
        origins={
            "advantage": "paper: the score minus the KL penalties still to come",
            "whiten": "paper: over all tokens of the batch",
            "gamma": "paper",
            "loss": "paper: the objective of PPO",
            "ratio": "paper: the objective of PPO",
            "clip_low": "OpenRLHF's default; the paper (ninth version) writes ε without a value",
            "clip_high": "OpenRLHF's default; the paper (ninth version) writes ε without a value",
            "aggregation": "default of the authors' framework OpenRLHF; the paper writes the mean of each completion",
            "kl_place": "paper",
            "kl_estimator": "paper",
            "kl_coefficient": "default of the authors' framework OpenRLHF",
            "updates_per_step": "ours: the paper updates several times on a batch without a number",
        },
        differs=(
            "token_mean weighs all tokens of an update alike; the paper writes the mean of each completion.",
            "The std is unbiased; OpenRLHF divides by the number of tokens.",
            _UNSCORED,
        ),
    ),
    "reinforce_pp_baseline": Source(
        title="REINFORCE++ with a baseline",
        origins={
            "advantage": "paper: the group's mean is subtracted, without its std",
            "whiten": "paper: over all tokens of the batch",
            "loss": "paper: the objective of PPO",
            "ratio": "paper: the objective of PPO",
            "clip_low": "OpenRLHF's default; the paper (ninth version) writes ε without a value",
            "clip_high": "OpenRLHF's default; the paper (ninth version) writes ε without a value",
            "aggregation": "default of the authors' framework OpenRLHF; the paper writes the mean of each completion",
            "kl_place": "paper",
            "kl_estimator": "paper",
            "kl_coefficient": "ours: that of reinforce_pp",
            "updates_per_step": "ours: that of reinforce_pp",
        },
        differs=(
            "token_mean weighs all tokens of an update alike; the paper writes the mean of each completion.",
            "The std is unbiased; OpenRLHF divides by the number of tokens.",
            _UNSCORED,
        ),
    ),
    "ppo": Source(
        title="Proximal Policy Optimization, with generalised advantage estimation (arXiv:1506.02438)",
        origins={
            "advantage": "paper",
            "whiten": "usual in implementations; the paper does not speak of it",
            "gamma": "TRL: no discount within a completion",
            "gae_lambda": "TRL; 0.95 is also the paper's for continuous control",
            "value_clip": "TRL; the paper has none",
            "loss": "paper",
            "ratio": "paper",
            "clip_low": "paper",
            "clip_high": "paper",
            "aggregation": "paper: the mean over time steps",
            "kl_place": "Ziegler and others, arXiv:1909.08593, who brought PPO to language models",
            "kl_estimator": "the same",
            "kl_coefficient": "TRL's default",
            "updates_per_step": "TRL's default: one minibatch",
            "epochs_per_step": "TRL's default",
        },
        differs=(
            "Advantages are whitened, values clipped, and the KL to a reference is taken off the reward; the paper has "
            "none of these, implementations for language models do.",
            "Policy and critic are two networks with an optimizer each; the paper's joint loss has a coefficient.",
            "The order of the minibatches is that of the groups in every epoch; others shuffle.",
            _UNSCORED,
        ),
    ),
    "tulu3": Source(
        title="Tülu 3 (reinforcement learning with verifiable rewards by PPO)",
        origins={
            "advantage": "open-instruct's PPO script",
            "whiten": "open-instruct's PPO script",
            "gamma": "open-instruct's PPO script: default 1",
            "gae_lambda": "open-instruct's PPO script: default 0.95",
            "value_clip": "open-instruct's PPO script: default 0.2",
            "loss": "open-instruct's PPO script",
            "ratio": "open-instruct's PPO script",
            "clip_low": "open-instruct's PPO script: default 0.2",
            "clip_high": "open-instruct's PPO script: default 0.2",
            "aggregation": "open-instruct's PPO script",
            "kl_place": "open-instruct's PPO script",
            "kl_estimator": "open-instruct's PPO script: default",
            "kl_coefficient": "8B and 405B: 0.05; 70B: 0.07 (open-instruct, docs/tulu3.md)",
            "reward_scale": "open-instruct's PPO script: 10 for a verified answer",
            "missing_end_penalty": "10 (open-instruct, docs/tulu3.md)",
            "updates_per_step": "open-instruct's PPO script: default, one minibatch",
            "epochs_per_step": "open-instruct's PPO script: default 4",
        },
        differs=(
            "A completion that was cut loses 10; there its reward becomes −10, whatever it was.",
            "The critic starts where the recipe says; there from a general reward model.",
            "The learner is never a step behind the sampler; there it is one step behind.",
            _UNSCORED,
        ),
    ),
    "r1_zero": Source(
        title="DeepSeek-R1 (R1-Zero)",
        origins={
            "advantage": "GRPO's; unbiased std and ε 1e-4 as in TRL, the paper names neither",
            "loss": "paper",
            "ratio": "paper",
            "clip_low": "paper (later version): ε = 10, so that nothing is clipped below",
            "clip_high": "paper (later version): ε = 10",
            "aggregation": "paper: GRPO's",
            "kl_place": "paper",
            "kl_estimator": "paper: GRPO's",
            "kl_coefficient": "paper (later version)",
            "reference_every": "paper (later version): every 400 updates, which are 25 rollouts",
            "updates_per_step": "paper (later version): 8192 completions in 16 minibatches",
        },
        differs=(_STD, _UNSCORED),
    ),
}
