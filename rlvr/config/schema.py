"""The recipe: every key with its meaning, unit, range and default. `rlvr explain KEY` prints from here."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rlvr.config.optimizer import (
    CRITIC_OPTIMIZER,
    DPO_OPTIMIZER,
    PRETRAIN_OPTIMIZER,
    REWARD_OPTIMIZER,
    RLVR_OPTIMIZER,
    SFT_OPTIMIZER,
    OptimizerConfig,
    optimizer_field,
    over,
)
from rlvr.config.preference import LOSS_ROWS, NEUTRAL, LossName, defaults_of, misfit, with_loss_defaults
from rlvr.config.section import Section
from rlvr.types import Check

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
STAGE_NAME = rf"^({NAME})?$"
DEVICE = r"^(auto|cpu|cuda(:[0-9]+)?)$"
CHAT = "chat"
"""The prompt that is the tokenizer's chat template."""
PROBLEM = "{problem}"
"""What stands for a task's problem in a plain prompt."""
_FILE_ENDINGS = (".jsonl", ".json", ".parquet", ".gz")


class DataConfig(Section):
    """Where items come from. The string "gsm8k:train" is short for {source = "gsm8k", split = "train"}."""

    source: str = Field(description="A name of the source table, or an import path pkg.module:function.")
    split: str = Field("train", description="Which part of the source, usually train or evaluation.")
    path: str = Field(
        "", description="File or directory, for sources that read one; relative to the working directory."
    )
    limit: int = Field(0, ge=0, description="How many items at most; 0 means all.")
    weight: float = Field(1.0, gt=0, description="Share of draws of this source against the others, in RLVR.")
    options: dict[str, Any] = Field(default_factory=dict, description="Keyword options of the source function.")
    where_sandboxed: bool = Field(
        False,
        description="Left out, and the run says so, on a machine whose sandbox is too weak for model-written code.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        source, _, split = value.rpartition(":")
        names_function = re.fullmatch(r"\w+(\.\w+)+", source) and not source.endswith(_FILE_ENDINGS)
        return {"source": value} if not source or names_function else {"source": source, "split": split}


class EvaluationDataConfig(DataConfig):
    """Where evaluation tasks come from. No task of theirs is trained on, unless `seen` says so."""

    seen: bool = Field(
        False,
        description="Tasks that are trained on, on purpose: they are not held out, and their domain ends in -seen.",
    )


class TokenizerConfig(Section):
    """How to train a tokenizer for a new model."""

    vocabulary_size: int = Field(512, ge=64, description="How many tokens at most, special ones included.")
    data: tuple[DataConfig, ...] = Field((), description="Documents to train on; empty: those of the first stage.")


class NewModelConfig(Section):
    """A model made from scratch."""

    architecture: str = Field("llama", description="A transformers model type: llama, qwen2, qwen3, gemma, …")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Fields of that transformers configuration: hidden_size, num_hidden_layers, …"
    )
    tokenizer: TokenizerConfig = Field(default_factory=lambda: TokenizerConfig.model_validate({}))


class ModelConfig(Section):
    """The model that the first stage starts from: a directory, or a new one."""

    path: str = Field("", description="A Hugging Face causal language model: a directory or a Hub name.")
    new: NewModelConfig | None = Field(None, description="Make a model from scratch instead of loading one.")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision of the forward and backward pass; weights and optimizer stay float32."
    )
    device: str = Field("auto", pattern=DEVICE, description="Where the model computes; auto: a GPU where there is one.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations in the backward pass: less memory.")

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelConfig":
        if bool(self.path) == (self.new is not None):
            raise ValueError("give exactly one of model.path (a directory) and model.new (made from scratch)")
        return self


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


class _Supervised(Section):
    """Keys that pretrain, SFT, DPO and reward models share."""

    name: str = Field("", pattern=STAGE_NAME, description="Name of the stage in the run folder; empty: its kind.")
    data: tuple[DataConfig, ...] = Field(description="Where the items come from.")
    epochs: float = Field(1.0, gt=0, description="Passes over the data; may be a fraction.")
    sequences_per_update: int = Field(
        32, ge=1, description="Sequences in one optimizer update (of preferences: pairs; kto: completions)."
    )
    max_length: int = Field(2048, ge=8, description="Tokens of a sequence at most; longer ones are left out, counted.")
    batching: Literal["padded", "packed"] = Field(
        "padded", description="padded: microbatches of similar length; packed: one long row with a block mask."
    )
    microbatch_tokens: int = Field(16384, ge=64, description="Tokens in one forward pass, padding included, at most.")
    checkpoint_every: int = Field(100, ge=1, description="Updates between checkpoints.")


class PretrainConfig(_Supervised):
    """Next-token prediction on documents."""

    kind: Literal["pretrain"]
    prompt_weight: float = Field(
        1.0, ge=0, le=1, description="Weight in the loss of a document's prompt tokens; its text weighs 1."
    )
    optimizer: Annotated[OptimizerConfig, over(PRETRAIN_OPTIMIZER)] = optimizer_field(PRETRAIN_OPTIMIZER)


class SftConfig(_Supervised):
    """Supervised fine-tuning on demonstrations: the loss covers the assistant's tokens."""

    kind: Literal["sft"]
    optimizer: Annotated[OptimizerConfig, over(SFT_OPTIMIZER)] = optimizer_field(SFT_OPTIMIZER)


class DpoConfig(_Supervised):
    """Preference tuning: direct preference optimisation (arXiv:2305.18290) and its kin."""

    kind: Literal["dpo"]
    pairs: Literal["data", "policy"] = Field(
        "data",
        description="data: preferences from `data`; policy: sample on tasks of `data`, pair right with wrong "
        "(kto: all right and wrong ones).",
    )
    loss: LossName = Field(
        "sigmoid",
        description="sigmoid: DPO; sigmoid_norm, ipo, simpo: per token; simpo: no reference; kto: no pairs.",
    )
    beta: float = Field(
        LOSS_ROWS["sigmoid"].beta,
        gt=0,
        description=f"Scale of the implicit reward. Left out: {defaults_of('beta')}.",
    )
    nll_coefficient: float = Field(0.0, ge=0, description="Weight of the chosen completion's negative log-likelihood.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="sigmoid, sigmoid_norm: share of pairs taken to be the wrong way round."
    )
    robust: bool = Field(False, description="With label_smoothing: unbiased where that share is flipped.")
    target_margin: float = Field(
        0.0, ge=0, description=f"Gap of rewards to exceed, γ. Left out: {defaults_of('target_margin')}."
    )
    desirable_weight: float = Field(1.0, gt=0, description="kto: weight of the desirable (chosen, right) completions.")
    undesirable_weight: float = Field(1.0, gt=0, description="kto: weight of the undesirable completions.")
    group_size: int = Field(8, ge=2, description="With pairs = policy: completions sampled per task.")
    max_completion_tokens: int = Field(256, ge=1, description="With pairs = policy: tokens of a completion at most.")
    optimizer: Annotated[OptimizerConfig, over(DPO_OPTIMIZER)] = optimizer_field(DPO_OPTIMIZER)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_loss(cls, value: Any) -> Any:
        return with_loss_defaults(value)

    @model_validator(mode="after")
    def _keys_fit_the_loss(self) -> "DpoConfig":
        if problem := misfit(self.loss, self.model_dump(include=set(NEUTRAL))):
            raise ValueError(problem)
        return self


class RewardModelConfig(_Supervised):
    """A reward model (Bradley-Terry) from preferences. The policy goes on as it was; RLVR names it as its scorer."""

    kind: Literal["reward_model"]
    pairs: Literal["data", "policy"] = Field("data", description="Where preferences come from, as in dpo.")
    margin: float = Field(0.0, ge=0, description="How much higher the chosen completion is to score at least.")
    centring_coefficient: float = Field(
        0.0, ge=0, description="Weight of (sum of a pair's two rewards)², which keeps rewards around 0; often 0.01."
    )
    held_out_share: float = Field(
        0.1, ge=0, lt=1, description="Share of prompts, by their hash, whose pairs only measure pairwise accuracy."
    )
    group_size: int = Field(8, ge=2, description="With pairs = policy: completions sampled per task.")
    max_completion_tokens: int = Field(256, ge=1, description="With pairs = policy: tokens of a completion at most.")
    optimizer: Annotated[OptimizerConfig, over(REWARD_OPTIMIZER)] = optimizer_field(REWARD_OPTIMIZER)


class ScorerConfig(Section):
    """What gives a completion's reward. The outcome stays the verifier's word."""

    reward_model: str = Field(
        "", description="A reward_model stage before this one, a directory or a Hub name; empty: the outcome counts."
    )


class ConditionsConfig(Section):
    """What is measured on the stage's own tasks before its first step: whether there is something to learn from."""

    tasks: int = Field(32, ge=0, description="Tasks per domain, 16 samples of each (group_size if more); 0: none.")
    required: bool = Field(False, description="Stop before the first step when a condition does not hold.")


class CriticConfig(Section):
    """The value model of an algorithm with `advantage = "gae"`; others have none."""

    path: str = Field(
        "",
        description="A reward_model stage before this one, or a directory with a value or reward model, to start from; "
        "empty: the stage's first weights, all values 0.",
    )
    warmup_steps: int = Field(0, ge=0, description="First steps of the stage in which only the critic learns.")
    optimizer: Annotated[OptimizerConfig, over(CRITIC_OPTIMIZER)] = optimizer_field(CRITIC_OPTIMIZER)


class RlvrConfig(Section):
    """Reinforcement learning with verifiable rewards."""

    kind: Literal["rlvr"]
    name: str = Field("", pattern=STAGE_NAME, description="Name of the stage in the run folder; empty: its kind.")
    data: tuple[DataConfig, ...] = Field(description="Tasks to learn from.")
    algorithm: AlgorithmConfig = Field(description="A preset, or {preset = …, cell = value, …}.")
    steps: int = Field(
        ge=1,
        description="Rollouts; each is followed by the algorithm's updates_per_step updates, epochs_per_step times.",
    )
    prompts_per_step: int = Field(32, ge=1, description="P: prompts drawn in one step.")
    group_size: int = Field(
        8, ge=1, description="G: completions sampled per prompt; at least 2 where the algorithm compares them."
    )
    max_completion_tokens: int = Field(256, ge=1, description="Tokens of a completion at most.")
    temperature: float = Field(
        1.0, ge=0.01, description="Sampling temperature; top-p and top-k are refused in training."
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
    conditions: ConditionsConfig = Field(
        default_factory=lambda: ConditionsConfig.model_validate({}), description="What is measured before it starts."
    )
    critic: CriticConfig = Field(
        default_factory=lambda: CriticConfig.model_validate({}), description="The critic of PPO and its kin."
    )
    optimizer: Annotated[OptimizerConfig, over(RLVR_OPTIMIZER)] = optimizer_field(RLVR_OPTIMIZER)


class EvaluateConfig(Section):
    """Held-out tasks, sampled and greedy, and held-out text. As a stage it passes its checkpoint on unchanged."""

    kind: Literal["evaluate"] = "evaluate"
    name: str = Field("", pattern=STAGE_NAME, description="Name of the stage in the run folder; empty: its kind.")
    data: tuple[EvaluationDataConfig, ...] = Field((), description="Tasks to solve.")
    text: tuple[DataConfig, ...] = Field((), description="Documents whose perplexity is measured.")
    samples: int = Field(16, ge=1, description="Completions per task for pass@1 and pass@k.")
    temperature: float = Field(1.0, ge=0.01, description="Temperature of the samples; greedy decoding is measured too.")
    prompts: tuple[str, ...] = Field(
        (CHAT,), description='How tasks are asked: "chat", and any plain texts with {problem} in them, as a base reads.'
    )
    low_temperature: float = Field(
        0.0, ge=0, description="Each prompt is read out at this temperature too, below `temperature`; 0: it is not."
    )
    max_completion_tokens: int = Field(256, ge=1, description="Tokens of a completion at most.")
    seed: int = Field(0, ge=0, description="Its own seed, so that runs share sampling keys.")
    microbatch_tokens: int = Field(16384, ge=64, description="Tokens in one forward pass at most.")

    @field_validator("prompts")
    @classmethod
    def _chat_and_templates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in value:
            if prompt != CHAT and PROBLEM not in prompt:
                raise ValueError(
                    f'the prompt {prompt!r} is neither "{CHAT}" nor a text with {PROBLEM} in it, '
                    f'such as "Q: {PROBLEM}\\nA:"'
                )
        if CHAT not in value or len(set(value)) < len(value):
            raise ValueError(f'"{CHAT}" must be among the prompts, and each may stand there once; got {list(value)}')
        return value

    @model_validator(mode="after")
    def _low_is_lower(self) -> "EvaluateConfig":
        if self.low_temperature >= self.temperature:
            raise ValueError(
                f"low_temperature {self.low_temperature:g} must lie below temperature {self.temperature:g}; 0 is off"
            )
        return self


StageConfig = Annotated[
    PretrainConfig | SftConfig | DpoConfig | RewardModelConfig | RlvrConfig | EvaluateConfig,
    Field(discriminator="kind"),
]


class VerifierConfig(Section):
    """Who judges the tasks whose answers can be checked in one way, and how much its word weighs in RLVR."""

    check: Check = Field(
        description="The way: exact, tested, constrained, in_process, judged or preferred; a row may name its own."
    )
    name: str = Field(
        "", description="A verifier or an import path pkg.module:function for all of them; empty: each task's own."
    )
    weight: float | Literal["audited"] = Field(
        1.0,
        description="What their advantages are multiplied by; audited: 1 minus both audited error rates, upper bounds.",
    )
    audit: str = Field("", description="A file of `rlvr audit --output`; its error rates are recorded with the run.")

    @model_validator(mode="after")
    def _weight_is_known(self) -> "VerifierConfig":
        if self.weight == "audited" and not self.audit:
            raise ValueError('weight = "audited" needs audit = "FILE", as `rlvr audit NAME --output FILE` writes it')
        if self.weight != "audited" and not self.weight > 0:
            raise ValueError(f"weight is {self.weight:g}; expected a number above 0")
        return self


class Recipe(Section):
    """A whole run: the model, its stages, and how each stage's checkpoint is evaluated."""

    name: str = Field(pattern=rf"^{NAME}$", description="Name of the run and of its folder.")
    seed: int = Field(0, ge=0, description="Seed of data order, sampling and initialisation.")
    runs: str = Field("runs", description="Folder that holds the run's folder.")
    replace: bool = Field(False, description="Remove an earlier run of this name instead of refusing to start.")
    threads: int = Field(0, ge=0, le=4096, description="CPU threads of torch; 0: as many as cores.")
    pool_workers: int = Field(0, ge=0, le=1024, description="Verifier processes; 0: as many as cores.")
    export: str = Field("", description="Directory that gets a copy of the last checkpoint's model; empty: none.")
    sinks: tuple[Literal["tensorboard", "wandb"], ...] = Field((), description="Where metrics go besides the run.")
    judge: dict[str, Any] = Field(
        default_factory=dict, description="The judge of tasks with a rubric: model, base_url, … (docs/verifiers.md)."
    )
    verifier: tuple[VerifierConfig, ...] = Field(
        (), description="Verifiers and weights by how answers can be checked; what is not named weighs 1."
    )
    model: ModelConfig
    evaluation: EvaluateConfig | None = Field(None, description="What is measured on the base and after each stage.")
    stage: tuple[StageConfig, ...] = Field(min_length=1, description="The stages, in order.")

    @field_validator("verifier")
    @classmethod
    def _one_for_each_check(cls, value: tuple[VerifierConfig, ...]) -> tuple[VerifierConfig, ...]:
        checks = [entry.check for entry in value]
        if len(set(checks)) < len(checks):
            raise ValueError(f"each check may stand there once; got {checks}")
        return value
