"""Where items come from, and what is measured on held-out ones."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rlvr.config.section import Section, Stage

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


def check_prompt(prompt: str) -> None:
    """Raises ValueError for a way of asking that is neither the chat template nor a text with the problem in it."""
    if prompt != CHAT and PROBLEM not in prompt:
        raise ValueError(
            f'the prompt {prompt!r} is neither "{CHAT}" nor a text with {PROBLEM} in it, such as "Q: {PROBLEM}\\nA:"'
        )


class EvaluateConfig(Stage):
    """Held-out tasks, sampled and greedy, and held-out text. As a stage it passes its checkpoint on unchanged."""

    kind: Literal["evaluate"] = "evaluate"
    data: tuple[EvaluationDataConfig, ...] = Field((), description="Tasks to solve.")
    text: tuple[DataConfig, ...] = Field((), description="Documents whose perplexity is measured.")
    samples: int = Field(16, ge=1, description="Completions per task for pass@1 and pass@k.")
    temperature: float = Field(1.0, ge=0.01, description="Temperature of the samples; greedy decoding is measured too.")
    prompts: tuple[str, ...] = Field(
        (CHAT,),
        min_length=1,
        description='How tasks are asked: "chat", or plain texts with {problem} in them, as a base reads. The first is '
        "sampled for pass@k; the others are read out greedily and with a few samples.",
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
            check_prompt(prompt)
        if len(set(value)) < len(value):
            raise ValueError(f"each prompt may stand there once; got {list(value)}")
        return value

    @model_validator(mode="after")
    def _low_is_lower(self) -> "EvaluateConfig":
        if self.low_temperature >= self.temperature:
            raise ValueError(
                f"low_temperature {self.low_temperature:g} must lie below temperature {self.temperature:g}; 0 is off"
            )
        return self
