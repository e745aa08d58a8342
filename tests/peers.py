"""Shared inputs on which peers' losses and gradients were recorded, and how a gradient is written down.

Used by benchmarks/peer_trl.py, which records, and by the tests, which replay. All in float64.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from splits import model64
from tiny import PAD, VOCABULARY, full_logprobs
from transformers import LlamaConfig, LlamaForSequenceClassification

GROUPS, GROUP_SIZE, LIMIT, TEMPERATURE = 3, 3, 9, 0.8
DIRECTIONS = 3
REWARDS = ((1.0, 0.0, 0.0), (1.0, None, 0.25), (0.5, 0.5, 0.5))
"""Rewards of the groups: two kinds, one that the verifier could not tell, and all the same."""


def sequences():
    """Gives (prompt ids, completion ids) of 3 groups of 3; a prompt is shared by its group."""
    rng, found = np.random.default_rng(11), []
    for _ in range(GROUPS):
        prompt = rng.integers(5, VOCABULARY, int(rng.integers(2, 5)))
        found += [(prompt, rng.integers(5, VOCABULARY, int(rng.integers(2, LIMIT + 1)))) for _ in range(GROUP_SIZE)]
    return found


def advantages():
    """Gives one advantage per sequence, of both signs."""
    return np.random.default_rng(12).normal(size=GROUPS * GROUP_SIZE)


def old_logprobs(spread):
    """Gives each completion's log-probabilities under a policy that differs from the model's by `spread` nats."""
    rng, model = np.random.default_rng(13), model64()
    return [own + spread * rng.normal(size=len(own)) for own in _completions(model)]


def reference_logprobs():
    """Gives each completion's log-probabilities under another model."""
    return _completions(model64(seed=1))


def _completions(model):
    found = []
    with torch.no_grad():
        for prompt, completion in sequences():
            table = full_logprobs(model, np.concatenate([prompt, completion]), temperature=TEMPERATURE)
            places = np.arange(len(prompt), len(prompt) + len(completion))
            found.append(table[places - 1, torch.tensor(completion)].numpy())
    return found


def pairs():
    """Gives 4 preferences: (prompt ids, chosen ids, rejected ids)."""
    rng = np.random.default_rng(14)
    return [tuple(rng.integers(5, VOCABULARY, int(rng.integers(2, 8))) for _ in range(3)) for _ in range(4)]


def mismatched():
    """Gives 8 (prompt ids, completion ids): each prompt of `pairs` with a completion of the next one, chosen, then
    rejected."""
    given = pairs()
    return [(given[i][0], given[(i + 1) % 4][side]) for side in (1, 2) for i in range(4)]


def scoring_model():
    """Gives the tiny network with a head that scores, its trunk that of `model64`."""
    trunk = model64()
    config = LlamaConfig.from_dict({**trunk.config.to_dict(), "num_labels": 1, "pad_token_id": PAD})
    model = LlamaForSequenceClassification(config).double()
    model.model.load_state_dict(trunk.model.state_dict())
    head = np.random.default_rng(15).normal(size=model.score.weight.shape)
    with torch.no_grad():
        model.score.weight.copy_(torch.from_numpy(head))
    return model.eval()


def written(named_gradients: Iterable[tuple[str, torch.Tensor]]):
    """Gives by parameter the gradient's norm and its products with keyed random directions of length 1."""
    found = {}
    for name, gradient in named_gradients:
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest())
        directions = np.random.default_rng(seed).normal(size=(DIRECTIONS, gradient.numel()))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        flat = gradient.detach().double().numpy().ravel()
        found[name] = [float(np.linalg.norm(flat)), *(directions @ flat).tolist()]
    return found


def weights_digest(model):
    """Gives a hash of a model's weights, so that a record is only replayed on the same ones."""
    digest = hashlib.blake2b(digest_size=8)
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode() + weight.double().numpy().tobytes())
    return digest.hexdigest()
