"""How much memory a stage takes at most, from a model's numbers alone: no torch, no weights loaded.

Symbols: N parameters, V vocabulary, H hidden size, I intermediate size, L layers, h heads, k key-value heads, d head
size, M tokens of a microbatch, S engine slots, C context of a completion in flight. In bytes, with b bytes per number
of a forward pass (4 in float32, 2 in bfloat16):

    weights      4N, and 2N for their bfloat16 copies
    gradients    4N
    optimizer    8N with AdamW (two moments); with Muon 4N for matrices inside layers and 8N for the rest
    reference    4N where the stage measures one while the policy is in memory
    critic       weights, gradients and optimizer of a value model, which is as large as the policy
    reward model 4N where a reward model is in memory beside the policy, taken to be of the policy's size
    activations  M·b·(L + 1)·A with A = 8H + 3hd + 2kd + 4I numbers a token and layer: L layers' inputs for the backward
                 pass and one layer's gradients; with gradient checkpointing M·b·(L·H + 3A); without training M·b·A
    logits       4·4·min(M·V, 2^24): logits, log-softmax, probabilities and their gradient, of one chunk
    cache        4·S·C·L·2·k·d
    process      600 MB for Python and torch, and 100 MB for each verifier process
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import ModelError

LOGITS_IN_A_CHUNK = 2**24
PROCESS_BYTES = 600_000_000
WORKER_BYTES = 100_000_000

_LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "tie_word_embeddings": False,
    "max_position_embeddings": 2048,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "qwen2": _LLAMA | {"intermediate_size": 22016, "num_key_value_heads": 32, "max_position_embeddings": 32768},
    "qwen3": _LLAMA
    | {"intermediate_size": 22016, "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32768},
    "gemma": {
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
    },
}
"""What transformers takes where a new model's settings say nothing."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A model's numbers: `matrices` are the parameters of matrices inside layers, part of all `parameters`."""

    parameters: int
    matrices: int
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    context: int


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage keeps in memory at once: tokens of a microbatch, engine slots and their width, and which extras."""

    microbatch_tokens: int
    logit_tokens: int
    optimizer: str
    reference: bool
    slots: int
    slot_tokens: int
    critic_optimizer: str = ""
    reward_model: bool = False


def size_from_numbers(numbers: Mapping[str, Any], architecture: str = "llama") -> ModelSize | None:
    """Gives the size of a decoder with gated MLPs from the fields of its configuration.

    Fields that are missing take the architecture's defaults; None where the architecture is not known here and one is
    missing, or where a field is no number.
    """
    known = {**DEFAULTS.get(architecture, {}), **numbers}
    try:
        hidden, layers = int(known["hidden_size"]), int(known["num_hidden_layers"])
        heads, intermediate = int(known["num_attention_heads"]), int(known["intermediate_size"])
        vocabulary, tied = int(known["vocab_size"]), bool(known.get("tie_word_embeddings", True))
        key_value_heads = int(known.get("num_key_value_heads") or heads)
        head_size = int(known.get("head_dim") or hidden // heads)
        context = int(known.get("max_position_embeddings") or 2**31)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    attention = 2 * hidden * head_size * (heads + key_value_heads)
    matrices = layers * (attention + 3 * hidden * intermediate)
    vectors = (2 * layers + 1) * hidden
    embeddings = vocabulary * hidden * (1 if tied else 2)
    return ModelSize(
        matrices + vectors + embeddings,
        matrices,
        vocabulary,
        hidden,
        intermediate,
        layers,
        heads,
        key_value_heads,
        head_size,
        context,
    )


def size_of_directory(path: Path) -> ModelSize | None:
    """Gives the size of the model in a directory; parameters are counted in its safetensors files where there are any.

    Raises ModelError when config.json cannot be read.
    """
    file = path / "config.json"
    try:
        numbers = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", hint="expected a Hugging Face model directory") from error
    if not isinstance(numbers, dict):
        raise ModelError(f"{file} holds no object", hint="expected a Hugging Face model directory")
    numbers = numbers.get("text_config", numbers)
    size = size_from_numbers(numbers, str(numbers.get("model_type", "")))
    if size is None:
        return None
    counted = sum(_parameters_in(weights) for weights in sorted(path.glob("*.safetensors")))
    values = {name: getattr(size, name) for name in ModelSize.__dataclass_fields__}
    return ModelSize(**{**values, "parameters": counted or size.parameters})


def _parameters_in(file: Path) -> int:
    """Counts the numbers in a safetensors file from its header; 0 where it is damaged: loading will say how."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, 100_000_000)))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, struct.error, KeyError, TypeError):
        return 0


def estimate(
    size: ModelSize, work: Work, *, bfloat16: bool, gradient_checkpointing: bool, workers: int
) -> dict[str, int]:
    """Gives the bytes of each part, by the formula at the top of this file; parts that a stage has not are left out."""
    number_bytes = 2 if bfloat16 else 4
    count = size.parameters
    one_layer = (
        8 * size.hidden
        + 3 * size.heads * size.head_size
        + 2 * size.key_value_heads * size.head_size
        + 4 * size.intermediate
    )
    kept = size.layers * size.hidden + 3 * one_layer if gradient_checkpointing else (size.layers + 1) * one_layer
    moments = {"": 0, "adamw": 8 * count, "muon": 8 * count - 4 * size.matrices}
    training = work.optimizer != ""
    parts = {
        "weights": 4 * count + (2 * count if bfloat16 else 0),
        "gradients": 4 * count if training else 0,
        "optimizer": moments[work.optimizer],
        "reference": 4 * count if work.reference else 0,
        "critic": 8 * count + moments[work.critic_optimizer] if work.critic_optimizer else 0,
        "reward model": 4 * count if work.reward_model else 0,
        "activations": work.microbatch_tokens * number_bytes * (kept if training else one_layer),
        "logits": 16 * min(work.logit_tokens * size.vocabulary, LOGITS_IN_A_CHUNK),
        "cache": 4 * work.slots * work.slot_tokens * size.layers * 2 * size.key_value_heads * size.head_size,
        "process": PROCESS_BYTES + workers * WORKER_BYTES,
    }
    return {name: value for name, value in parts.items() if value}


def machine_bytes() -> tuple[int, int]:
    """Gives the memory that is free on this machine and all that it has: /proc/meminfo and, in a container, its limit.

    Elsewhere both are what sysconf says.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
        total = min(total, int(text))
    free = total
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free = min(total, int(lines.get("MemAvailable", f"{total // 1024} kB").split()[0]) * 1024)
    return free, total


def bytes_text(count: float) -> str:
    """Gives a size for people: "1.3 GB", "40 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"
