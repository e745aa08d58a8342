"""The recipe: every key with its meaning, unit, range and default. `rlvr explain KEY` prints from here."""

from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rlvr.config.data import DataConfig, EvaluateConfig
from rlvr.config.gate import GateConfig
from rlvr.config.rlvr import IterateConfig, RlvrConfig
from rlvr.config.section import NAME, Section
from rlvr.config.supervised import DpoConfig, PretrainConfig, RewardModelConfig, SftConfig
from rlvr.types import Check

SHARED = ("data", "algorithm", "optimizer.name", "optimizer.frozen", "critic.shared", "critic.path")
"""What a stage that continues another has in common with it: without them its learner's state does not fit."""
DEVICE = r"^(auto|cpu|cuda(:[0-9]+)?)$"


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


StageConfig = Annotated[
    PretrainConfig | SftConfig | DpoConfig | RewardModelConfig | RlvrConfig | IterateConfig | EvaluateConfig,
    Field(discriminator="kind"),
]


class SandboxConfig(Section):
    """Where model-written code runs, and what it may import."""

    url: str = Field("", description="Address of a sandbox service (docs/sandbox.md); empty: this machine's sandbox.")
    packages: tuple[str, ...] = Field(
        ("numpy",), description="What programs may import where their task's reference asks for it."
    )
    allow_unsafe_execution: bool = Field(
        False, description="Run programs although this machine's sandbox is too weak to hold them."
    )


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
    sandbox: SandboxConfig = Field(
        default_factory=lambda: SandboxConfig.model_validate({}), description="Where model-written code runs."
    )
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
    gate: GateConfig | None = Field(
        None, description="What a stage may cost in other abilities, and what becomes of one that costs more."
    )
    stage: tuple[StageConfig, ...] = Field(min_length=1, description="The stages, in order.")

    @field_validator("verifier")
    @classmethod
    def _one_for_each_check(cls, value: tuple[VerifierConfig, ...]) -> tuple[VerifierConfig, ...]:
        checks = [entry.check for entry in value]
        if len(set(checks)) < len(checks):
            raise ValueError(f"each check may stand there once; got {checks}")
        return value

    @model_validator(mode="after")
    def _gates_see(self) -> "Recipe":
        gated = self.gate is not None or any(getattr(stage, "gate", None) for stage in self.stage)
        seen = self.evaluation is not None and (self.evaluation.data or self.evaluation.text)
        if gated and not seen:
            raise ValueError("a gate judges what [evaluation] measures: give it data or text")
        gates = [gate for gate in (self.gate, *(getattr(stage, "gate", None) for stage in self.stage)) if gate]
        if any(gate.max_kl for gate in gates) and not (self.evaluation and self.evaluation.text):
            raise ValueError("max_kl is measured on held-out text: give evaluation.text")
        return self

    @model_validator(mode="after")
    def _steps_are_measured(self) -> "Recipe":
        watched = [stage for stage in self.stage if getattr(stage, "evaluate_every", 0)]
        if watched and not (self.evaluation and self.evaluation.data):
            name = watched[0].label
            raise ValueError(f"{name} has evaluate_every, which measures the tasks of [evaluation]: give it data")
        return self

    @field_validator("stage")
    @classmethod
    def _what_continues_fits(cls, value: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        for number, stage in enumerate(value):
            if isinstance(stage, RlvrConfig) and stage.continues:
                before = value[number - 1] if number else None
                if not isinstance(before, RlvrConfig):
                    raise ValueError(f"stage {number + 1} continues a stage of kind rlvr, and there is none before it")
                if other := [name for name in SHARED if attrgetter(name)(stage) != attrgetter(name)(before)]:
                    raise ValueError(f"stage {number + 1} continues the one before, whose {other[0]} is another")
        return value
