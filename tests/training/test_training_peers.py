"""TRL's losses, gradients and advantages, recorded by benchmarks/peer_trl.py, are ours to 1e-5.

What is not compared, because it is defined otherwise on purpose: TRL's `bnpo` (its denominator is a microbatch's),
its upper clamp `delta` (ours is the dual clip), the ratio by which it weighs the KL unless told not to, and the scale
of its entropy bonus (a mean of its own). RLOO's loss is a ratio there and a log-probability here: the gradients are
the same where the ratio is 1, and elsewhere differ by TRL's ratio and clip and by nothing else.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import peers
import pytest
from splits import model64, one_update
from tiny import completion, full_logprobs, task

from rlvr.algorithms.presets import resolve
from rlvr.config.supervised import DpoConfig, RewardModelConfig
from rlvr.stages.dpo import preference_loss
from rlvr.stages.kto import kto_loss
from rlvr.stages.reward_model import reward_loss
from rlvr.training.batching import Row
from rlvr.training.learner import Learner
from rlvr.training.reward_scores import scored_row
from rlvr.training.samples import Measured, to_samples, with_advantages
from rlvr.types import Group, Sample, Verdict, read_only

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
    "label_smoothing": {"loss": "sigmoid", "label_smoothing": 0.2},
    "nll": {"loss": "sigmoid", "nll_coefficient": 0.5},
    "simpo": {"loss": "simpo", "target_margin": 0.4},
}
ADVANTAGES = {
    "group_std": resolve("grpo", kl_place="none"),
    "batch_std": resolve("grpo", kl_place="none", advantage="batch_std"),
    "centred": resolve("dr_grpo"),
    "leave_one_out": resolve("rloo", kl_place="none"),
    "leave_one_out with a KL in the reward": resolve("rloo", kl_coefficient=0.3),
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


def samples(advantages):
    found = []
    for index, ((prompt, text), value) in enumerate(zip(peers.sequences(), advantages, strict=True)):
        ids = np.concatenate([prompt, text])
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
    assert RECORD["advantages"].keys() == ADVANTAGES.keys()
    assert RECORD["preference"].keys() == PREFERENCES.keys()
    assert RECORD["reward"].keys() == REWARDS.keys()


def updated(row, given, columns):
    """Gives the report and the gradient of one update."""
    model = model64()
    keeper = Keeper(model)
    learner = Learner(
        model,
        keeper,
        row=replace(row, updates_per_step=1),
        reference=None,
        critic=None,
        max_completion_tokens=peers.LIMIT,
        temperature=peers.TEMPERATURE,
        microbatch_tokens=64,
        layout="padded",
        dtype="float32",
    )
    return learner.update(given, Measured(columns)), keeper.gradient


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_loss_and_the_gradient_of_trl(name):
    prompts = [prompt for prompt, _ in peers.sequences()]
    old = [spread(values, prompt) for values, prompt in zip(peers.old_logprobs(0.15), prompts, strict=True)]
    reference = [spread(values, prompt) for values, prompt in zip(peers.reference_logprobs(), prompts, strict=True)]
    columns = {"proximal_logprobs": tuple(old), **({"reference_logprobs": tuple(reference)} if "KL" in name else {})}
    report, gradient = updated(ROWS[name], samples(peers.advantages()), columns)
    if name in ("dapo", "gspo", "grpo"):
        assert report.stats["train/clip_low_rate"] + report.stats["train/clip_high_rate"] > 0
    compare(RECORD["rl"][name], report.loss, gradient)


def test_rloo_has_the_gradient_of_trl_where_the_ratio_is_1():
    # TRL's loss is −mean(r·A), which is −mean(A) at r = 1 (its log-probabilities are float32, so that r is 1 to 1e-6);
    # ours is −mean(A·log π), with the same gradient
    record = RECORD["rloo"]["rloo"]
    assert record["loss"] == pytest.approx(-peers.advantages().mean(), abs=TOLERANCE)
    report, gradient = updated(resolve("rloo", kl_place="none"), samples(peers.advantages()), {})
    own = [values.sum() for values in peers.old_logprobs(0.0)]
    assert report.loss == pytest.approx(-np.mean(peers.advantages() * own), abs=1e-6)
    compare({**record, "loss": report.loss}, report.loss, gradient)


def test_off_policy_rloo_differs_from_trl_by_trls_ratio_and_clip_alone():
    record, advantages = RECORD["rloo"]["rloo off-policy"], peers.advantages()
    pairs = zip(peers.old_logprobs(0.0), peers.old_logprobs(0.15), strict=True)
    ratios = np.exp([float((own - old).sum()) for own, old in pairs])
    held = ((advantages > 0) & (ratios > 1.2)) | ((advantages < 0) & (ratios < 0.8))
    assert 0 < held.sum() < len(held)
    _, ours = updated(resolve("rloo", kl_place="none"), samples(advantages), {})
    with pytest.raises(AssertionError):
        compare({**record, "loss": 0.0}, 0.0, ours)
    # what TRL multiplies by its ratio, and drops beyond its clip of 0.2, done to the advantages instead
    _, corrected = updated(resolve("rloo", kl_place="none"), samples(np.where(held, 0.0, advantages * ratios)), {})
    compare({**record, "loss": 0.0}, 0.0, corrected)


@pytest.mark.parametrize("name", ADVANTAGES)
def test_advantages_of_one_table_of_rewards_are_those_of_trl(name):
    groups, members = [], iter(peers.sequences())
    for index, rewards in enumerate(peers.REWARDS):
        given = [next(members) for _ in rewards]
        completions = tuple(completion(ids) for _, ids in given)
        verdicts = tuple(Verdict(reward, "ok" if reward is not None else "timeout") for reward in rewards)
        numbers = tuple(float("nan") if reward is None else reward for reward in rewards)
        groups.append(Group(task(index), index, read_only(given[0][0], np.int64), completions, verdicts, numbers))
    prompts = [prompt for prompt, _ in peers.sequences()]
    columns = {
        key: tuple(spread(values, prompt) for values, prompt in zip(rows, prompts, strict=True))
        for key, rows in (
            ("proximal_logprobs", peers.old_logprobs(0.0)),
            ("reference_logprobs", peers.reference_logprobs()),
        )
    }
    found = with_advantages(
        to_samples(groups, drop_truncated=False),
        ADVANTAGES[name],
        dict.fromkeys(range(len(groups)), 1.0),
        Measured(columns),
        kl_coefficient=ADVANTAGES[name].kl_coefficient,
    )
    ours = [float(sample.advantages[-1]) for sample in found]
    # an advantage is given where the completion is learned from; the fifth one has no outcome, and TRL gives it 0
    assert RECORD["advantages"][name][4] == 0
    assert ours == pytest.approx(RECORD["advantages"][name], abs=TOLERANCE)
    if "KL" not in name:
        # by hand for 1, 0, 0: mean 1/3; std √((4/9 + 1/9 + 1/9) / 2) = 0.57735; others' mean 0, and 1/2 for the zeros
        first = {"group_std": (2 / 3) / 0.57745, "centred": 2 / 3, "leave_one_out": 1.0}.get(name, ours[0])
        assert ours[0] == pytest.approx(first, abs=TOLERANCE)
        assert ours[6:] == [0.0, 0.0, 0.0]


def pair_rows(reference):
    for prompt, *texts in peers.pairs():
        for text in texts:
            yield reference_row(reference, prompt, text)


def reference_row(reference, prompt, text):
    ids = np.concatenate([prompt, text])
    trainable = np.arange(len(ids)) >= len(prompt)
    table = full_logprobs(reference, ids).detach()
    column = [0.0, *(float(table[t - 1, ids[t]]) for t in range(1, len(ids)))]
    return Row(ids, trainable, {"reference_logprobs": np.where(trainable, column, 0.0).astype(np.float32)})


@pytest.mark.parametrize("name", PREFERENCES)
def test_a_preference_loss_has_the_loss_and_the_gradient_of_trl(name):
    model = model64()
    config = DpoConfig.model_validate({"kind": "dpo", "data": ["x"], "beta": BETA, **PREFERENCES[name]})
    rows = list(pair_rows(model64(seed=1)))
    _, loss, gradient = one_update(model, rows, preference_loss(model, config), layout="padded", budget=64, unit=2)
    compare(RECORD["preference"][name], loss, gradient)


def test_kto_has_the_loss_and_the_gradient_of_trl():
    model, reference, record = model64(), model64(seed=1), RECORD["kto"]
    values = {"kind": "dpo", "data": ["x"], "loss": "kto", "beta": BETA, **record["cells"]}
    config = DpoConfig.model_validate(values)
    rows = list(pair_rows(reference))
    others = [reference_row(reference, *pair) for pair in peers.mismatched()]
    assert record["baseline"] > 0.1
    loss_for = kto_loss(model, config, desirable=[True, False] * 4, mismatched=others, dtype="float32")
    _, loss, gradient = one_update(model, rows, loss_for(np.arange(8)), layout="padded", budget=64)
    compare(record, loss, gradient)


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_model_has_the_loss_and_the_gradient_of_trl(name):
    model = peers.scoring_model()
    config = RewardModelConfig.model_validate({"kind": "reward_model", "data": ["x"], **REWARDS[name]})
    texts = [np.concatenate([prompt, text]) for prompt, *both in peers.pairs() for text in both]
    rows = [scored_row(ids, len(ids) - 1) for ids in texts]
    _, loss, gradient = one_update(model, rows, reward_loss(model, config), layout="padded", budget=64, unit=2)
    compare(RECORD["reward"][name], loss, gradient)
