"""Every row with several updates, samples for it, and a learner that keeps its gradients, shared by the tests."""

import numpy as np
import torch
from tiny import VOCABULARY, gradients, make_model

from rlvr.algorithms.presets import resolve
from rlvr.training.learner import Learner
from rlvr.types import Sample, read_only

LIMIT = 9
TEMPERATURE = 0.8


class Descent:
    """Plain gradient descent in the place of the optimizer; keeps every gradient."""

    learning_rate = 0.003

    def __init__(self, model):
        self.model, self.gradients, self.skipped = model, [], 0

    def step(self):
        self.gradients.append(gradients(self.model))
        with torch.no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter -= self.learning_rate * parameter.grad
                parameter.grad = None
        return 1.0

    def skip(self):
        self.skipped += 1


def samples_of(groups=3, size=3, *, silent_group=True):
    """Samples with advantages; the second group has none, one sequence has nothing to train on."""
    rng, samples = np.random.default_rng(5), []
    for g in range(groups):
        for i in range(size):
            prompt, length = int(rng.integers(2, 5)), int(rng.integers(2, LIMIT + 1))
            ids = rng.integers(5, VOCABULARY, prompt + length)
            trainable = np.arange(prompt + length) >= prompt
            if (g, i) == (2, 1):
                trainable[:] = False
            value = 0.0 if silent_group and g == 1 else float(rng.normal())
            samples.append(
                Sample(
                    token_ids=read_only(ids, np.int64),
                    trainable=read_only(trainable, np.bool_),
                    logprobs=read_only(np.where(trainable, -1.0, 0.0), np.float32),
                    advantages=read_only(np.where(trainable, value, 0.0), np.float32),
                    returns=read_only(np.zeros(len(ids)), np.float32),
                    reward=value,
                    group_id=10 + g,
                    policy_version=0,
                    domain="code" if g == 0 else "mathematics",
                )
            )
    return samples


# Every preset, with at least two updates, and the cells that no preset has. Tight bounds, so that they hold here.
TIGHT = {"clip_low": 1e-3, "clip_high": 1e-3}
LOOSE = {"clip_low": 0.03, "clip_high": 0.03}  # some tokens still move in the second epoch
ROWS = {
    "grpo": resolve("grpo"),
    "grpo, 3 updates": resolve("grpo", updates_per_step=3, **TIGHT),
    "grpo, kl k2": resolve("grpo", kl_estimator="k2", kl_coefficient=0.3, updates_per_step=3),
    "grpo, kl k3 with the gradient of k2": resolve("grpo", kl_estimator="k3_k2", kl_coefficient=0.3),
    "dr_grpo": resolve("dr_grpo", updates_per_step=1),
    "dr_grpo, 3 updates": resolve("dr_grpo", updates_per_step=3, **TIGHT),
    "dr_grpo, dual clip": resolve("dr_grpo", updates_per_step=3, epochs_per_step=2, dual_clip=1.04, **LOOSE),
    "dapo": resolve("dapo", updates_per_step=2, **TIGHT),
    "gspo": resolve("gspo", updates_per_step=3),
    "gspo, gradient per token": resolve("gspo", ratio="sequence_token", updates_per_step=3),
    "cispo": resolve("cispo", updates_per_step=3, weight_max=1.001),
    "rloo": resolve("rloo"),
    "reinforce_pp": resolve("reinforce_pp", updates_per_step=3, **TIGHT),
    "reinforce_pp_baseline": resolve("reinforce_pp_baseline", updates_per_step=3, **TIGHT),
    "ppo": resolve("ppo", **LOOSE),
    "tulu3": resolve("tulu3", **LOOSE),
    "r1_zero": resolve("r1_zero", updates_per_step=3),
    "domains": resolve("dr_grpo", updates_per_step=2, domains={"code": {"aggregation": "token_mean"}}, **TIGHT),
    "entropy bonus": resolve("dr_grpo", updates_per_step=2, entropy_coefficient=0.1),
    **{
        f"mismatch {name}": resolve("dr_grpo", updates_per_step=2, mismatch=name, mismatch_high=2.0)
        for name in ("token_truncate", "sequence_truncate", "token_mask", "sequence_mask", "geometric_mask")
    },
}


def learner_of(model, row, *, layout="padded", budget=64):
    """Gives a learner of float64 or float32 by its model, and the descent that keeps its gradients."""
    optimizer = Descent(model)
    learner = Learner(
        model,
        optimizer,
        row=row,
        reference=make_model(seed=1, dtype=model.dtype) if row.needs_reference else None,
        critic=None,
        max_completion_tokens=LIMIT,
        temperature=TEMPERATURE,
        microbatch_tokens=budget,
        layout=layout,
        dtype="float32",
    )
    return learner, optimizer
