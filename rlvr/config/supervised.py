"""The stages that learn from given texts: pretraining, SFT, preference tuning and the reward model."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rlvr.config.data import DataConfig
from rlvr.config.gate import GateConfig
from rlvr.config.optimizer import (
    DPO_OPTIMIZER,
    PRETRAIN_OPTIMIZER,
    REWARD_OPTIMIZER,
    SFT_OPTIMIZER,
    OptimizerConfig,
    optimizer_field,
    over,
)
from rlvr.config.preference import LOSS_ROWS, NEUTRAL, LossName, defaults_of, misfit, with_loss_defaults
from rlvr.config.section import Stage


class _Supervised(Stage):
    """Keys that pretrain, SFT, DPO and reward models share."""

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
    gate: GateConfig | None = Field(None, description="A gate of its own, in the place of [gate].")


class SftConfig(_Supervised):
    """Supervised fine-tuning on demonstrations: the loss covers the assistant's tokens."""

    kind: Literal["sft"]
    optimizer: Annotated[OptimizerConfig, over(SFT_OPTIMIZER)] = optimizer_field(SFT_OPTIMIZER)
    gate: GateConfig | None = Field(None, description="A gate of its own, in the place of [gate].")


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
    gate: GateConfig | None = Field(None, description="A gate of its own, in the place of [gate].")

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
