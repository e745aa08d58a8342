"""TRL's losses and gradients, recorded by benchmarks/peer_trl.py, are ours to 1e-5.

What is not compared, because it is defined otherwise on purpose: TRL's `bnpo` (its denominator is a microbatch's),
its upper clamp `delta` (ours is the dual clip), the ratio by which it weighs the KL unless told not to, RLOO's ratio
of a whole completion (ours has none: one update per rollout), and the scale of its entropy bonus (a mean of its own).
"""

import json
from pathlib import Path

import numpy as np
import peers
import pytest
from splits import model64, one_update
from tiny import full_logprobs

from rlvr.algorithms.presets import resolve
from rlvr.config.supervised import DpoConfig, RewardModelConfig
from rlvr.stages.dpo import preference_loss
from rlvr.stages.reward_model import reward_loss
from rlvr.training.batching import Row
from rlvr.training.learner import Learner
from rlvr.training.reward_scores import scored_row
from rlvr.training.samples import Measured
from rlvr.types import Sample, read_only

RECORD = json.loads((Path(__file__).parent / "peers_trl.json").read_text())
TOLERANCE = 1e-5
BETA = 0.3
ONCE = {"updates_per_step": 1}
ROWS = {
    "grpo": resolve("grpo", kl_place="none", **ONCE),
    "grpo with a KL": resolve("grpo", kl_place="loss", kl_estimator="k3", kl_coefficient=0.3, **ONCE),
    "dr_grpo": resolve("dr_grpo", **ONCE),
    "dapo": resolve("dapo", clip_low=0.1, clip_high=0.14, **ONCE),
    "gspo": resolve("gspo", clip_low=0.03, clip_high=0.04, **ONCE),
    "cispo": resolve("cispo", weight_max=1.1, **ONCE),
}
PREFERENCES = {
    "sigmoid": {"loss": "sigmoid"},
    "hinge": {"loss": "hinge"},
    "ipo": {"loss": "ipo"},
    "robust": {"loss": "sigmoid", "label_smoothing": 0.2, "robust": True},
    "sigmoid_norm": {"loss": "sigmoid_norm"},
}
REWARDS = {"plain": {}, "margin": {"margin": 0.5}, "centred": {"centring_coefficient": 0.1}}


class Keeper:
    """Stands in the optimizer's place and keeps the gradient."""

    learning_rate = 0.0

    def __init__(self, model):
        self.model, self.gradient = model, {}

    def step(self):
        self.gradient = {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}
        return 1.0


def compare(record, loss, gradient):
    assert loss == pytest.approx(record["loss"], abs=TOLERANCE)
    assert gradient.keys() == record["gradient"].keys()
    norm = np.sqrt(sum(numbers[0] ** 2 for numbers in record["gradient"].values()))
    assert norm > 0.01
    for name, numbers in peers.written(gradient.items()).items():
        gap = np.abs(np.subtract(numbers, record["gradient"][name])).max()
        assert gap < TOLERANCE * norm, f"{name}: {numbers}, TRL {RECORD['trl']}: {record['gradient'][name]}"


def spread(values, prompt):
    return read_only(np.concatenate([np.zeros(len(prompt)), values]), np.float32)


def samples():
    found = []
    for index, ((prompt, completion), value) in enumerate(zip(peers.sequences(), peers.advantages(), strict=True)):
        ids = np.concatenate([prompt, completion])
        trainable = np.arange(len(ids)) >= len(prompt)
        found.append(
            Sample(
                token_ids=read_only(ids, np.int64),
                trainable=read_only(trainable, np.bool_),
                logprobs=read_only(np.zeros(len(ids)), np.float32),
                advantages=read_only(np.where(trainable, value, 0.0), np.float32),
                returns=read_only(np.zeros(len(ids)), np.float32),
                reward=value,
                group_id=index // peers.GROUP_SIZE,
                policy_version=0,
            )
        )
    return found


def test_the_record_is_of_the_weights_that_it_is_replayed_on():
    assert peers.weights_digest(model64()) == RECORD["weights"]
    assert RECORD["rl"].keys() == ROWS.keys()
    assert RECORD["preference"].keys() == PREFERENCES.keys()
    assert RECORD["reward"].keys() == REWARDS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_loss_and_the_gradient_of_trl(name):
    row, model, given = ROWS[name], model64(), samples()
    prompts = [prompt for prompt, _ in peers.sequences()]
    old = [spread(values, prompt) for values, prompt in zip(peers.old_logprobs(0.15), prompts, strict=True)]
    reference = [spread(values, prompt) for values, prompt in zip(peers.reference_logprobs(), prompts, strict=True)]
    columns = {"proximal_logprobs": tuple(old), **({"reference_logprobs": tuple(reference)} if "KL" in name else {})}
    keeper = Keeper(model)
    learner = Learner(
        model,
        keeper,
        row=row,
        reference=None,
        critic=None,
        max_completion_tokens=peers.LIMIT,
        temperature=peers.TEMPERATURE,
        microbatch_tokens=64,
        layout="padded",
        dtype="float32",
    )
    report = learner.update(given, Measured(columns))
    if name in ("dapo", "gspo", "grpo"):
        assert report.stats["train/clip_low_rate"] + report.stats["train/clip_high_rate"] > 0
    compare(RECORD["rl"][name], report.loss, keeper.gradient)


def pair_rows(reference):
    for prompt, *texts in peers.pairs():
        for text in texts:
            ids = np.concatenate([prompt, text])
            trainable = np.arange(len(ids)) >= len(prompt)
            table = full_logprobs(reference, ids).detach()
            column = [0.0, *(float(table[t - 1, ids[t]]) for t in range(1, len(ids)))]
            yield Row(ids, trainable, {"reference_logprobs": np.where(trainable, column, 0.0).astype(np.float32)})


@pytest.mark.parametrize("name", PREFERENCES)
def test_a_preference_loss_has_the_loss_and_the_gradient_of_trl(name):
    model = model64()
    config = DpoConfig.model_validate({"kind": "dpo", "data": ["x"], "beta": BETA, **PREFERENCES[name]})
    rows = list(pair_rows(model64(seed=1)))
    _, loss, gradient = one_update(model, rows, preference_loss(model, config), layout="padded", budget=64, unit=2)
    compare(RECORD["preference"][name], loss, gradient)


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_model_has_the_loss_and_the_gradient_of_trl(name):
    model = peers.scoring_model()
    config = RewardModelConfig.model_validate({"kind": "reward_model", "data": ["x"], **REWARDS[name]})
    texts = [np.concatenate([prompt, text]) for prompt, *both in peers.pairs() for text in both]
    rows = [scored_row(ids, len(ids) - 1) for ids in texts]
    _, loss, gradient = one_update(model, rows, reward_loss(model, config), layout="padded", budget=64, unit=2)
    compare(RECORD["reward"][name], loss, gradient)
