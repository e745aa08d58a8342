"""The gate after a stage: what may not be lost, and what becomes of a stage that loses it."""

from typing import Literal

from pydantic import Field

from rlvr.config.section import Section


class GateConfig(Section):
    """What a stage may cost in other abilities, against every stage before it that passed; judged on [evaluation]."""

    margin: float = Field(
        0.02,
        ge=0.002,
        lt=0.5,
        description="Loss of pass@1 in any domain that is put up with, as a share: 0.02 is 2 points.",
    )
    answered_margin: float = Field(
        0.05,
        ge=0.002,
        lt=0.5,
        description="The same for the share of completions that end by themselves and hold an answer, right or wrong.",
    )
    perplexity_margin: float = Field(
        0.03, gt=0, description="Rise of the perplexity of held-out text that is put up with: 0.03 is 3 percent."
    )
    max_kl: float = Field(
        0.0,
        ge=0,
        description="KL from the stage's first weights (of one that continues another: of the first of them) on "
        "held-out text, in nats per token; 0: not judged.",
    )
    win_rate_margin: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="How far under one half the win rate against the stage's first weights may lie, at matched length; "
        "judged where [judge] is set and tasks have a rubric.",
    )
    min_gain: float = Field(
        -1.0,
        ge=-1,
        lt=1,
        description="The mean gain of pass@1 in the domains trained on must be shown to lie above it; -1: not judged.",
    )
    error: float = Field(
        0.05, ge=1e-4, lt=0.5, description="Chance that a loss of just the margin is called kept, or called lost."
    )
    unsure: Literal["pass", "fail"] = Field(
        "pass",
        description="What a figure means for which the tasks are too few to tell; the run says how many it takes.",
    )
    on_failure: Literal["reject", "stop", "warn"] = Field(
        "reject",
        description="reject: later stages go on from the last checkpoint that passed; stop: the run ends there; warn: "
        "the stage stands.",
    )
