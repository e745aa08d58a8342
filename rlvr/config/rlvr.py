"""RLVR, once or in rounds: tasks, algorithm, rollout, reward, critic and optimizer."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rlvr.config.data import CHAT, DataConfig, check_prompt
from rlvr.config.gate import GateConfig
from rlvr.config.optimizer import CRITIC_OPTIMIZER, RLVR_OPTIMIZER, OptimizerConfig, optimizer_field, over
from rlvr.config.section import Section, Stage


class AlgorithmConfig(Section):
    """A named row of algorithms and the cells that differ. The string "dapo" is short for {preset = "dapo"}."""

    preset: str = Field(description="grpo, dr_grpo, dapo, ppo, …; `rlvr explain dapo` prints the formula.")
    cells: dict[str, Any] = Field(default_factory=dict, description="Cells that differ from the preset.")

    @model_validator(mode="before")
    @classmethod
    def _from_string_or_flat(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"preset": value}
        if isinstance(value, dict) and "cells" not in value and "preset" in value:
            return {"preset": value["preset"], "cells": {k: v for k, v in value.items() if k != "preset"}}
        return value


class ShapingConfig(Section):
    """One step of reward shaping. The string "format_bonus" is short for {name = "format_bonus"}."""

    name: str = Field(description="A name of the shaping table, or an import path pkg.module:function.")
    options: dict[str, Any] = Field(default_factory=dict, description="Keyword options of the shaping function.")

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class ScorerConfig(Section):
    """What gives a completion's reward. The outcome stays the verifier's word."""

    reward_model: str = Field(
        "", description="A reward_model stage before this one, a directory or a Hub name; empty: the outcome counts."
    )


class ConditionsConfig(Section):
    """What is measured on the stage's own tasks before its first step: whether there is something to learn from."""

    tasks: int = Field(32, ge=0, description="Tasks per domain, 16 samples of each (group_size if more); 0: none.")
    required: bool = Field(
        False, description="Stop before the first step, and fail rlvr probe, when a condition does not hold."
    )
    max_truncated_rate: float = Field(
        0.1, ge=0, le=1, description="A condition: at most this share of a domain's samples is cut off by the limit."
    )
    max_contaminated_rate: float = Field(
        0.01,
        ge=0,
        le=1,
        description="A condition: at most this share of a domain's tasks is near copies of held-out ones.",
    )

    @model_validator(mode="after")
    def _measured_where_required(self) -> "ConditionsConfig":
        if self.required and self.tasks == 0:
            raise ValueError("conditions are required, but tasks = 0 measures none; set tasks, or required = false")
        return self


class CriticConfig(Section):
    """The critic of an algorithm with `advantage = "gae"`: a value model, or a head on the policy; others have none."""

    shared: bool = Field(
        False, description="A head on the policy's own trunk, trained in the policy's updates; false: a model apart."
    )
    value_coefficient: float = Field(
        0.1, gt=0, description="shared: weight of the value loss beside the policy's; TRL's."
    )

    path: str = Field(
        "",
        description="A reward_model stage before this one, or a directory with a value or reward model, to start from; "
        "empty: the stage's first weights, all values 0.",
    )
    warmup_steps: int = Field(0, ge=0, description="First steps of the stage in which only the critic learns.")
    optimizer: Annotated[OptimizerConfig, over(CRITIC_OPTIMIZER)] = optimizer_field(CRITIC_OPTIMIZER)

    @model_validator(mode="after")
    def _one_kind(self) -> "CriticConfig":
        if not self.shared and self.value_coefficient != type(self).model_fields["value_coefficient"].default:
            raise ValueError("value_coefficient is for a shared critic; a model apart has its own optimizer")
        if self.shared and (self.path or self.warmup_steps):
            key = "path" if self.path else "warmup_steps"
            raise ValueError(f"a shared critic has the policy's trunk and learns with it; {key} is for a model apart")
        if self.shared and self.optimizer.name != "adamw":
            raise ValueError("a shared critic is one linear map, which learns with adamw")
        return self


class _Reinforced(Stage):
    """Keys that rlvr and iterate share."""

    data: tuple[DataConfig, ...] = Field(description="Tasks to learn from.")
    algorithm: AlgorithmConfig = Field(
        description="A preset, or {preset = …, cell = value, …}; domains = {NAME = {cell = value}} for single domains."
    )
    steps: int = Field(
        ge=1,
        description="Rollouts; each is followed by the algorithm's updates_per_step updates, epochs_per_step times.",
    )
    prompts_per_step: int = Field(32, ge=1, description="P: prompts drawn in one step.")
    rest_steps: int = Field(
        0,
        ge=0,
        description="A task that was always or never solved rests for so many times prompts_per_step draws, times how "
        "often in a row it was; 0: it is drawn like any other.",
    )
    group_size: int = Field(
        8, ge=1, description="G: completions sampled per prompt; at least 2 where the algorithm compares them."
    )
    max_completion_tokens: int = Field(256, ge=1, description="Tokens of a completion at most.")
    temperature: float = Field(
        1.0, ge=0.01, description="Sampling temperature; top-p and top-k are refused in training."
    )
    prompt: str = Field(
        CHAT, description='How tasks are asked: "chat", or a plain text with {problem} in it, as a base reads.'
    )
    scorer: ScorerConfig = Field(
        default_factory=lambda: ScorerConfig.model_validate({}), description="What gives the reward before shaping."
    )
    shaping: tuple[ShapingConfig, ...] = Field((), description="Reward shaping, applied in order to the outcome.")
    rewards: Literal["verified", "shuffled"] = Field(
        "verified",
        description="shuffled: a control run; each step's verdicts are dealt out anew among its completions.",
    )
    batching: Literal["padded", "packed"] = Field("padded", description="How sequences share a forward pass.")
    microbatch_tokens: int = Field(16384, ge=64, description="Tokens in one forward pass, padding included, at most.")
    max_unscored_rate: float = Field(
        0.1, ge=0, le=1, description="Stop when the verifier could not tell on more than this share of a step."
    )
    kl_groups: int = Field(
        0, ge=0, description="Groups of a step on which the KL to the stage's first weights is measured; 0: on none."
    )
    evaluate_every: int = Field(0, ge=0, description="Steps between held-out evaluations on [evaluation]; 0: never.")
    checkpoint_every: int = Field(20, ge=1, description="Steps between checkpoints.")
    critic: CriticConfig = Field(
        default_factory=lambda: CriticConfig.model_validate({}), description="The critic of PPO and its kin."
    )
    optimizer: Annotated[OptimizerConfig, over(RLVR_OPTIMIZER)] = optimizer_field(RLVR_OPTIMIZER)
    gate: GateConfig | None = Field(None, description="A gate of its own, in the place of [gate].")

    @field_validator("prompt")
    @classmethod
    def _chat_or_template(cls, value: str) -> str:
        check_prompt(value)
        return value

    @model_validator(mode="after")
    def _rest_is_told(self) -> Self:
        if self.rest_steps and self.group_size == 1:
            raise ValueError("rest_steps goes by how often a task is solved, which one completion does not tell")
        return self


class RlvrConfig(_Reinforced):
    """Reinforcement learning with verifiable rewards."""

    kind: Literal["rlvr"]
    continues: bool = Field(
        False,
        description="Go on with the learner, reference and place in the data of the rlvr stage before, whose data and "
        "algorithm it shares; the learning-rate schedule begins anew.",
    )
    conditions: ConditionsConfig = Field(
        default_factory=lambda: ConditionsConfig.model_validate({}), description="What is measured before it starts."
    )
    patience: int = Field(
        0,
        ge=0,
        description="Held-out evaluations in a row without a gain that can be told from chance, after which the stage "
        "ends; 0: it runs all steps.",
    )

    @model_validator(mode="after")
    def _patience_sees(self) -> "RlvrConfig":
        if self.patience and not self.evaluate_every:
            raise ValueError("patience counts held-out evaluations: set evaluate_every too")
        return self


class IterateConfig(_Reinforced):
    """Rounds of RLVR, each with the weights that it begins with as reference, on the tasks that are within reach.

    `steps` and the optimizer's schedule are those of a round. A round whose gain on [evaluation] cannot be told from
    chance is the last one; one that lost is given up.
    """

    kind: Literal["iterate"]
    rounds: int = Field(3, ge=1, description="Rounds at most.")
    candidates: int = Field(
        256,
        ge=0,
        description="Tasks drawn before a round; of those solved now and then the nearest to every second time are "
        "kept, no more than the round draws and kept_share says; 0: all tasks.",
    )
    candidate_samples: int = Field(8, ge=2, description="Completions of each of them.")
    kept_share: float = Field(0.5, gt=0, le=1, description="Share of the candidates that is kept at most.")
    keep_optimizer: bool = Field(
        False, description="A round begins with the optimizer's moments, and critic, of the round before."
    )


REINFORCED = (RlvrConfig, IterateConfig)
"""The kinds of stage that learn from rewards."""
