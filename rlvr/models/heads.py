"""A network that gives one number per token: a reward model, or a critic.

The layout is Hugging Face's own for sequence classification with one label: the trunk of a causal language model and
beside it `score`, a linear map [1,H] without bias. `AutoModelForSequenceClassification.from_pretrained` loads what
`save_checkpoint` writes, and what TRL's RewardTrainer saves loads here.

**The number of position t is made from the hidden state after token t was read**, of tokens 0 … t. So
- a reward model is asked at the last token of a completion, its stop token included where there is one;
- a critic's value of the state in which token t is chosen, V_t, is the number of position t − 1: `wanted` is the mask
  of trainable tokens moved one place to the left, which stays inside each sequence as its first token is never one.

B sequences (or 1 row when packed), T tokens, N wanted positions, H hidden.
"""

import copy
import math
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from rlvr import keyed
from rlvr.errors import ModelError
from rlvr.models.directory import REWARD_MODEL_HINT, check_one_number
from rlvr.models.policy import check_place, check_same_vocabulary, check_whole, load_policy, no_bars, without_dropout

_EXPECTED = "a network with one number per token"


def create_value_model(
    path: str | Path, *, head: Literal["drawn", "zero"], seed: int, device: torch.device
) -> PreTrainedModel:
    """Makes a network with one number per token from a causal language model: its trunk and a new head, in float32.

    head "drawn": uniform numbers of variance 1 / (H + 1), keyed by `seed`, the spread of arXiv:1909.08593 (theirs are
    normal); "zero": every number is 0 until it is trained, as suits a critic.
    Raises ModelError as `load_policy` does, and for an architecture that has no form with such a head.
    """
    policy = load_policy(path, device=torch.device("cpu"))
    trunk = policy.model.base_model
    config = copy.deepcopy(policy.model.config)
    config.num_labels = 1
    if config.pad_token_id is None:
        config.pad_token_id = policy.tokenizer.pad_token_id
    try:
        with torch.device("meta"):  # The weights come from the trunk; drawing others would take time and memory.
            model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        size = _score(model, str(path)).in_features
    except ValueError as error:
        raise ModelError(f"{type(policy.model).__name__} has no form with one number per token: {error}") from error
    if type(model.base_model) is not type(trunk):
        raise ModelError(
            f"{type(policy.model).__name__} has no form with one number per token on its {type(trunk).__name__}",
            hint="use a decoder, for example llama, qwen3 or gemma",
        )
    setattr(model, model.base_model_prefix, trunk)
    model.score = model.score.to_empty(device="cpu")
    numbers = (2 * keyed.uniform(seed, "score_head", range(size)) - 1) * math.sqrt(3 / (size + 1))
    with torch.no_grad():
        model.score.weight.copy_(torch.from_numpy(numbers)[None] * (head == "drawn"))
    made: PreTrainedModel = model
    return made.to(device)


def load_value_model(path: str | Path, *, tokenizer: Any, device: torch.device) -> PreTrainedModel:
    """Loads a network with one number per token, weights in float32, for texts of the policy's `tokenizer`.

    Raises ModelError when the directory is missing or damaged, when its network has no such head or one with several
    labels, and when its tokenizer is not the policy's.
    """
    check_place(path, expected=_EXPECTED, hint=REWARD_MODEL_HINT)
    try:
        config = AutoConfig.from_pretrained(path)
        check_one_number(str(path), (getattr(config, "architectures", None) or [""])[0], config.num_labels)
        with no_bars():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                path, dtype=torch.float32, output_loading_info=True
            )
        theirs = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise ModelError(f"{str(path)!r} cannot be loaded as {_EXPECTED}: {error}", hint=REWARD_MODEL_HINT) from error
    check_whole(path, model, loading)
    _score(model, str(path))
    check_same_vocabulary(tokenizer, theirs, what=repr(str(path)))
    return without_dropout(model).to(device)


def value_map(policy: Any) -> torch.nn.Linear:
    """Gives a linear map from the policy's hidden states to one number, in float32 or the policy's float64, all 0."""
    weight = policy.get_output_embeddings().weight
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    head = torch.nn.Linear(policy.config.hidden_size, 1, bias=False, device=weight.device, dtype=dtype)
    torch.nn.init.zeros_(head.weight)
    return head


def token_values(model: Any, token_ids: Tensor, position_ids: Tensor, wanted: Tensor) -> Tensor:
    """Gives the network's number at each wanted position, made from the hidden state after that token; 0 elsewhere.

    In float32, or in float64 for a model that is. All inputs and the result are [B,T]. Right padding needs no mask
    under causal attention; packed sequences are told apart by their restarting `position_ids`. The head itself is not
    rounded to bfloat16 under autocast: a reward of 10 would have steps of 0.06.
    """
    hidden = model.base_model(
        input_ids=token_ids, position_ids=position_ids, use_cache=False
    ).last_hidden_state  # [B,T,H]
    rows, columns = wanted.nonzero(as_tuple=True)
    with torch.autocast(hidden.device.type, enabled=False):
        values = model.score(hidden[rows, columns].to(model.score.weight.dtype))[:, 0]  # [N]
    values = values if values.dtype == torch.float64 else values.float()
    blank = torch.zeros(token_ids.shape, dtype=values.dtype, device=token_ids.device)
    return blank.index_put((rows, columns), values)


def _score(model: Any, path: str) -> torch.nn.Linear:
    """Gives the head. Raises ModelError for one that is not a plain linear map called `score`, such as an encoder's."""
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Linear) or head.out_features != 1 or "bias" in dict(head.named_parameters()):
        raise ModelError(
            f"the head of {type(model).__name__} in {path!r} is no linear map to one number called score",
            hint="use a decoder, for example llama, qwen3 or gemma",
        )
    return head
