"""The policy: any Hugging Face causal language model, from a directory or from scratch."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from rlvr.errors import ModelError
from rlvr.models.directory import check_directory


@dataclass(frozen=True, slots=True)
class Policy:
    """A network with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def pick_device(name: str) -> torch.device:
    """Gives the device of that name; "auto" takes a GPU where there is one.

    Raises ModelError for a name that is none of auto, cpu, cuda and cuda:N, or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise ModelError(
            f"model.device is {name!r}; expected auto, cpu, cuda or cuda:N",
            hint="model.device=auto takes what is there",
        )
    if name == "cpu":
        return torch.device(name)
    if not torch.cuda.is_available():
        raise ModelError(f"model.device is {name!r}, but torch sees no CUDA device", hint="model.device=cpu")
    count = torch.cuda.device_count()
    if int(name.partition(":")[2] or 0) >= count:
        raise ModelError(f"model.device is {name!r}, but torch sees {count} CUDA devices", hint="model.device=cuda:0")
    return torch.device(name)


def load_policy(path: str | Path, *, device: torch.device) -> Policy:
    """Loads model and tokenizer from a directory or a Hub name, weights in float32.

    Raises ModelError when the directory is missing, is a run folder or a damaged checkpoint, holds no causal language
    model, or has no tokenizer.
    """
    check_place(
        path,
        expected="a Hugging Face causal language model",
        hint="model.path=DIRECTORY with config.json, model.safetensors and tokenizer.json",
    )
    try:
        with no_bars():
            model, loading = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise ModelError(
            f"{str(path)!r} cannot be loaded as a causal language model with its tokenizer: {error}",
            hint="rlvr doctor shows the installed versions; model.path names a directory or a Hub model",
        ) from error
    check_whole(path, model, loading)
    if any(name.endswith("ForSequenceClassification") for name in model.config.architectures or []):
        # With tied embeddings nothing is missing: the trunk would be taken for a language model.
        raise ModelError(
            f"{str(path)!r} is {model.config.architectures[0]}, which writes no text; a causal language model was "
            "expected",
            hint="name the policy's checkpoint; a reward model goes into scorer.reward_model",
        )
    vocabulary = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > vocabulary:
        raise ModelError(
            f"the tokenizer in {str(path)!r} has {len(tokenizer)} tokens, the model only {vocabulary} embeddings",
            hint="use the tokenizer that the model was trained with",
        )
    # Lengths are checked by the stages; the tokenizer would warn of each first long text, documents included.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return Policy(without_dropout(model).to(device), tokenizer)


def check_place(path: str | Path, *, expected: str, hint: str) -> None:
    """Raises ModelError for a directory that is missing, a run folder or damaged; a Hub name is none."""
    where = Path(path)
    check_directory(where)
    looks_local = where.exists() or str(path).startswith((".", "/", "~")) or str(path).count("/") > 1
    if looks_local and not (where / "config.json").is_file():
        what = "exists but holds no config.json" if where.exists() else "does not exist"
        raise ModelError(f"model directory {str(path)!r} {what}; {expected} was expected", hint=hint)


def check_whole(path: str | Path, model: Any, loading: Mapping[str, Any]) -> None:
    """Raises ModelError for weights that the files in `path` lack: transformers would go on with random numbers."""
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"{str(path)!r} holds no weights for {len(missing)} tensors of {type(model).__name__}; first: {missing[0]}",
            hint="copy the model again; its files do not belong together",
        )


def check_same_vocabulary(ours: Any, theirs: Any, *, what: str) -> None:
    """Raises ModelError when the tokenizer of `what` gives other ids to tokens than the policy's, or ends elsewhere."""
    mine, other = ours.get_vocab(), theirs.get_vocab()
    if mine != other:
        different = sorted(token for token in mine.keys() | other.keys() if mine.get(token) != other.get(token))
        first = different[0]
        raise ModelError(
            f"the policy's tokenizer has {len(mine)} tokens, that of {what} {len(other)}; {len(different)} differ, "
            f"first: {first!r} is {mine.get(first)} here and {other.get(first)} there",
            hint="take a model that was made from the same base as the policy",
        )
    if ours.eos_token_id != theirs.eos_token_id:
        raise ModelError(
            f"the policy ends a text with token {ours.eos_token_id}, {what} with {theirs.eos_token_id}",
            hint="take a model that was made from the same base as the policy",
        )


@contextmanager
def no_bars() -> Iterator[None]:
    """Shows no progress bars of transformers inside the block."""
    showed_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if showed_bars:
            logging.enable_progress_bar()


def create_model(
    architecture: str,
    settings: Mapping[str, Any],
    *,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    device: torch.device,
) -> PreTrainedModel:
    """Makes a randomly initialised model of a transformers architecture, sized by `settings`.

    The vocabulary and the special token ids come from the tokenizer. Raises ModelError for an unknown architecture
    or settings that do not fit it.
    """
    sizes = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    try:
        config = AutoConfig.for_model(architecture, **{**sizes, **settings})
        unknown = [key for key in settings if key not in type(config)().to_dict()]
        if unknown:
            raise ModelError(
                f"model.new.settings.{unknown[0]} is no setting of architecture {architecture!r}",
                hint=f"see the fields of {type(config).__name__} in transformers",
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (ValueError, KeyError, TypeError, ArithmeticError, RuntimeError, StrictDataclassError) as error:
        raise ModelError(
            f"cannot make a new {architecture!r} model with {dict(settings)}: {error}",
            hint="model.new.architecture is a transformers model type such as llama, qwen2, qwen3 or gemma",
        ) from error
    return without_dropout(model).to(device)


def load_reference(path: str | Path, *, device: torch.device) -> PreTrainedModel:
    """Loads a model that never changes, for use as the reference."""
    reference = load_policy(path, device=device).model
    reference.requires_grad_(False)
    reference.eval()
    return reference


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Gives the model with dropout off: it draws from the global generator and makes learner and sampler differ."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        # Many networks keep a rate as a number of their own: `dropout`, `hidden_dropout`, `layerdrop`, …
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    return model


def context_length(model: PreTrainedModel) -> int:
    """Gives how many tokens the model can read at most."""
    return int(getattr(model.config, "max_position_embeddings", 2**31))


@torch.no_grad()
def check_attention(model: PreTrainedModel, *, packed: bool) -> None:
    """Raises ModelError when a token sees later ones or, with `packed`, another sequence of its row.

    Found out with 8 tokens: an encoder reads both ways, and some networks (OPT, BLOOM, Falcon, MPT, recurrent ones)
    do not tell packed sequences apart by their position ids.
    """
    ids = torch.arange(8, device=model.device)[None] % model.get_input_embeddings().weight.shape[0]
    positions = torch.arange(8, device=model.device)[None]
    was_training = model.training
    model.eval()
    together = _hidden(model, ids, positions)
    problems = {"its tokens see those after them": (_hidden(model, ids[:, :4], positions[:, :4]), together[:, :4])}
    if packed:
        second = _hidden(model, ids, positions % 4)[:, 4:]
        problems["packed sequences see each other"] = (_hidden(model, ids[:, 4:], positions[:, :4]), second)
    model.train(was_training)
    for problem, (alone, beside) in problems.items():
        if not torch.allclose(alone, beside, rtol=1e-3, atol=1e-3 * float(alone.abs().max())):
            packing = problem.startswith("packed")
            raise ModelError(
                f"{type(model).__name__} cannot be trained here: {problem}",
                hint='batching = "padded"' if packing else "use a decoder, for example llama, qwen3 or gemma",
            )


def _hidden(model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    hidden: torch.Tensor = model.base_model(
        input_ids=ids, position_ids=positions, use_cache=False
    ).last_hidden_state.float()
    return hidden
