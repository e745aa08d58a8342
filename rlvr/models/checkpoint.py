"""Checkpoints: one published folder with the model in Hugging Face layout and the trainer's state beside it.

    step-000123/  config.json  model.safetensors  generation_config.json  tokenizer files  trainer.pt  manifest.json

`AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load the folder as it is.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from transformers import GenerationConfig

from rlvr.data.chat import stop_token_ids
from rlvr.errors import CheckpointError
from rlvr.models.policy import no_bars
from rlvr.runs.publish import publish

TRAINER_STATE = "trainer.pt"


def checkpoint_name(step: int) -> str:
    """Gives the folder name of the checkpoint at that step."""
    return f"step-{step:06d}"


def save_checkpoint(
    root: Path, step: int, *, model: Any, tokenizer: Any, trainer_state: Mapping[str, Any], keep: int = 2
) -> Path:
    """Gives the folder `root/step-NNNNNN`, published whole; the newest `keep` stay.

    `model` is a transformers PreTrainedModel, saved in the dtype it has; `trainer_state` is made of mappings, lists,
    tuples, tensors, text, bytes and Python numbers, and equal states give equal bytes.
    Raises RunError when the disk is full or the folder read-only (earlier checkpoints are untouched) and TypeError for
    a state that holds anything else.
    """
    state = _canonical(trainer_state, "trainer_state")

    def write(folder: Path) -> None:
        with _sane_generation(model, tokenizer):
            _save_model(folder, model)
        _save_tokenizer(folder, tokenizer)
        _save_state(folder / TRAINER_STATE, state)

    return publish(root, checkpoint_name(step), write, keep=keep)


def load_trainer_state(path: Path) -> dict[str, Any]:
    """Gives the trainer state of one checkpoint folder, its tensors on the CPU. No code in the file is run.

    Raises CheckpointError when there is none or it cannot be read.
    """
    file = path / TRAINER_STATE
    if not file.is_file():
        raise CheckpointError(
            f"{path} holds no {TRAINER_STATE}: it can be evaluated or trained from, not resumed",
            hint=f"start from it as a model instead: rlvr train RECIPE model.path={path}",
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}", hint="restore the folder from a copy") from error
    assert isinstance(state, dict)
    return state


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turns what safetensors and tokenizers raise as their own error, the system's reason in its text, into OSError."""
    try:
        yield
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _save_model(folder: Path, model: Any) -> None:
    with no_bars(), _system_errors():
        model.save_pretrained(folder, safe_serialization=True)


@contextmanager
def _sane_generation(model: Any, tokenizer: Any) -> Iterator[None]:
    """Gives `model`, inside the block, a generation_config that transformers saves and that stops where ours does."""
    original = getattr(model, "generation_config", None)
    if original is None:
        yield
        return
    known = original.eos_token_id if isinstance(original.eos_token_id, list) else [original.eos_token_id]
    stops = [token for token in dict.fromkeys([*known, *stop_token_ids(tokenizer)]) if token is not None]
    sampling = {name: getattr(original, name, None) for name in ("temperature", "top_p", "top_k")}
    given = {name: value for name, value in sampling.items() if value is not None}
    # Built anew: transformers refuses to save many a published config, such as a temperature beside do_sample=False.
    sane = GenerationConfig(
        bos_token_id=_first(original.bos_token_id, tokenizer.bos_token_id),
        eos_token_id=stops[0] if len(stops) == 1 else stops or None,
        pad_token_id=_first(original.pad_token_id, tokenizer.pad_token_id),
        do_sample=bool(given),
        **given,
    )
    model.generation_config = sane
    try:
        yield
    finally:
        model.generation_config = original


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _save_tokenizer(folder: Path, tokenizer: Any) -> None:
    with _system_errors():
        tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    # transformers notes how the tokenizer was loaded; a resumed run loads it from elsewhere and must save the same.
    kept = {key: value for key, value in settings.items() if key not in ("is_local", "local_files_only")}
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_state(file: Path, state: Mapping[str, Any]) -> None:
    with file.open("wb") as stream:
        try:
            torch.save(state, stream)
        except RuntimeError as error:
            # torch hides the stream's OSError behind its own error about the archive it could not finish.
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            raise (cause or error) from error


def _canonical(value: Any, where: str) -> Any:
    """Gives a copy whose pickle depends on content alone: plain containers, equal texts as one, compact tensors."""
    if value is None or type(value) in (bool, int, float, bytes):
        return value
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, torch.Tensor):
        return _compact(value.detach())
    if isinstance(value, Mapping):
        return {_canonical(key, where): _canonical(entry, f"{where}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [_canonical(entry, f"{where}[{index}]") for index, entry in enumerate(value)]
        return entries if isinstance(value, list) else tuple(entries)
    raise TypeError(f"{where} is a {type(value).__name__}; a trainer state holds plain values and tensors only")


def _compact(tensor: torch.Tensor) -> torch.Tensor:
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)
