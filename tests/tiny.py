"""Tiny networks, a tokenizer and stage parts that the tests of models, training and stages share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GemmaConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from rlvr.config.optimizer import OptimizerConfig
from rlvr.engines.native.engine import NativeEngine
from rlvr.models.heads import create_value_model, load_value_model
from rlvr.models.optim import Optimizer
from rlvr.models.policy import load_policy, load_reference
from rlvr.runs.folder import Run
from rlvr.stages.parts import Parts
from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.scorer import Scorer

PAD, START, END, USER, ASSISTANT = range(5)
FIRST_WORD = 5
VOCABULARY = 32
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} {{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CPU = torch.device("cpu")
SHAPES: dict[str, Callable[..., Any]] = {
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "gemma": GemmaConfig,
    "gemma2": Gemma2Config,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Gives a tokenizer of the words w5 … w31, word i having id i, with a chat template that ends turns with END."""
    special = {"<|pad|>": PAD, "<|start|>": START, "<|end|>": END, "<|user|>": USER, "<|assistant|>": ASSISTANT}
    words = {f"w{i}": i for i in range(FIRST_WORD, VOCABULARY)}
    raw = Tokenizer(models.WordLevel({**special, **words}, unk_token="<|pad|>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|start|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(shape: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """Gives a random network whose next-token distributions are far from uniform."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "max_position_embeddings": 64,
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": PAD,
    }
    model = AutoModelForCausalLM.from_config(SHAPES[shape](**{**sizes, **changes}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    return model.to(dtype).eval()


def write_base(folder: Path, *, seed: int = 0, scale: float = 1.0, **changes: Any) -> Path:
    """Writes a tiny Llama with its tokenizer in Hugging Face layout; `scale` multiplies its matrices."""
    model = make_model(seed=seed, **changes)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(scale)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def make_parts(base: Path, items: Mapping[str, Sequence[Any]], *, start: Path | None = None, **changes: Any) -> Parts:
    """Gives real parts around the model in `base`; `items` by kind take the place of all data sources.

    `start` holds the weights to go on from when the stage is resumed.
    """
    policy = load_policy(start or base, device=CPU)

    def engine(max_length: int) -> NativeEngine:
        return NativeEngine(policy.model, policy.tokenizer, num_slots=64, max_length=max_length)

    def optimizer(model: Any, config: OptimizerConfig, updates: int) -> Optimizer:
        return Optimizer(model, updates=updates, **config.model_dump())

    values: dict[str, Any] = {
        "origin": start or base,
        "policy": policy.model,
        "tokenizer": policy.tokenizer,
        "make_engine": engine,
        "make_optimizer": optimizer,
        "make_reference": partial(load_reference, base, device=CPU),
        "make_critic": lambda path: (
            load_value_model(path, tokenizer=policy.tokenizer, device=CPU)
            if path
            else create_value_model(base, head="zero", seed=7, device=CPU)
        ),
        "load": lambda kind, data: list(items[kind]),
        "load_held_out": lambda kind, data: list(items[f"held-out {kind}"]),
        "scores": Scorer({"emit": emit}),
        "shaping": (),
        "weights": {},
        "evaluation": None,
        "announce": lambda steps, first: None,
        "seed": 7,
        "dtype": "float32",
    }
    values |= changes
    return Parts(**{"rewards": values["scores"], **values})


def make_run(path: Path) -> Run:
    """Gives a new run folder."""
    return Run.create(path, config={}, provenance={})


def words(*ids: int) -> str:
    """Gives the text of these words."""
    return " ".join(f"w{i}" for i in ids)


def task(index: int, reference: Any = 9, *, verifier: str = "emit", **changes: Any) -> Task:
    """Gives a task whose prompt is one word."""
    prompt = ({"role": "user", "content": words(FIRST_WORD + index % (VOCABULARY - FIRST_WORD))},)
    values = {"reference": reference, "verifier": verifier, "source": "tiny", "domain": "tiny", **changes}
    return Task(id=f"task-{index}", messages=prompt, **values)


def emit(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the completion holds the word that the reference numbers."""
    return Verdict(float(f"w{task.reference}" in completion.text.split()), "ok")


def completion(ids: Sequence[int], *, logprobs: Sequence[float] | None = None, finish: str = "stop") -> Completion:
    """Gives a completion of these tokens, all trainable."""
    return Completion(
        token_ids=read_only(ids, np.int64),
        logprobs=read_only([-1.0] * len(ids) if logprobs is None else logprobs, np.float32),
        trainable=read_only([True] * len(ids), np.bool_),
        text=words(*[i for i in ids if i >= FIRST_WORD]),
        finish=finish,  # type: ignore[arg-type]
        policy_version=0,
    )


def full_logprobs(model: Any, ids: Any, *, temperature: float = 1.0) -> torch.Tensor:
    """Gives the log-probabilities [T-1, V] of one sequence by a plain forward pass over it alone."""
    logits = model(input_ids=torch.as_tensor(np.array(ids))[None], use_cache=False).logits[0, :-1]
    return torch.log_softmax(logits / temperature, dim=-1)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Gives a copy of each parameter's gradient, zeros where there is none."""
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def worst_gap(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> float:
    """Gives the largest difference between two sets of gradients, over the largest entry of the first."""
    largest = max(float(value.abs().max()) for value in a.values())
    assert largest > 0
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a) / largest
