"""The optimizer of a stage, and what each stage takes for the keys that a recipe leaves out."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from rlvr.config.section import Section

_Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Section):
    """Optimizer and learning-rate schedule."""

    name: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: Muon on matrices inside the layers, AdamW on embeddings and vectors."
    )
    learning_rate: float = Field(1e-5, gt=0, description="Peak learning rate.")
    adamw_rate: float = Field(0.15, gt=0, description="With muon: AdamW's learning rate as a share of learning_rate.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay, on matrices only.")
    start_pull: float = Field(
        0.0,
        ge=0,
        description="Each update goes the share learning_rate times this of the way back to the stage's first weights, "
        "so that what it does not train drifts less (L2-SP); 0: none.",
    )
    betas: tuple[_Decay, _Decay] = Field((0.9, 0.95), description="AdamW's two decay rates, each in [0, 1).")
    epsilon: float = Field(
        1e-8, gt=0, description="AdamW's term against division by 0; a large one spares weights with a tiny gradient."
    )
    frozen: tuple[str, ...] = Field(
        (), description='Weights whose name holds one of these words stay as they are: ["embed"] spares the embeddings.'
    )
    schedule: Literal["constant", "linear", "cosine"] = Field("linear", description="Shape of the decay after warm-up.")
    warmup_share: float = Field(0.05, ge=0, le=1, description="Share of all updates spent rising linearly from 0.")
    decay_share: float = Field(1.0, ge=0, le=1, description="Share of all updates, at the end, spent decaying.")
    final_share: float = Field(0.0, ge=0, le=1, description="Learning rate at the end, as a share of the peak.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the whole gradient; larger ones are scaled down.")

    @model_validator(mode="after")
    def _nothing_idle(self) -> "OptimizerConfig":
        idle = [(key, 'schedule = "constant"') for key in ("decay_share", "final_share") if self.schedule == "constant"]
        idle += [("adamw_rate", 'name = "adamw"')] if self.name == "adamw" else []
        for key, cause in idle:
            default = type(self).model_fields[key].default
            if getattr(self, key) != default:
                raise ValueError(f"{key} does nothing beside {cause}: leave it at {default:g}, or change that")
        return self


def optimizer_field(defaults: dict[str, Any]) -> Any:
    """Gives the field of a stage whose optimizer has these defaults."""
    return Field(
        default_factory=lambda: OptimizerConfig.model_validate(defaults), description="Optimizer and schedule."
    )


def over(defaults: dict[str, Any]) -> BeforeValidator:
    """A stage's own optimizer defaults hold for every key that the recipe leaves out, not only when it names none."""
    return BeforeValidator(lambda value: {**defaults, **value} if isinstance(value, dict) else value)


PRETRAIN_OPTIMIZER: dict[str, Any] = {"name": "muon", "learning_rate": 0.02}
SFT_OPTIMIZER: dict[str, Any] = {"learning_rate": 2e-5}
DPO_OPTIMIZER: dict[str, Any] = {"learning_rate": 5e-7}
REWARD_OPTIMIZER: dict[str, Any] = {"learning_rate": 1e-5}
RLVR_OPTIMIZER: dict[str, Any] = {"learning_rate": 1e-6, "schedule": "constant", "warmup_share": 0.0}
CRITIC_OPTIMIZER: dict[str, Any] = {"learning_rate": 9e-6, "schedule": "constant", "warmup_share": 0.0}
