"""Rows of algorithms that learn a word on a tiny model, shared by the test that they do and the table of what it takes.

Every row has at least two updates per rollout, so that ratios leave 1 and clips hold.
"""

import time
from dataclasses import dataclass

from tiny import emit, make_parts, make_run, task

from rlvr.config.data import EvaluateConfig
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.folder import Run
from rlvr.stages.evaluate import measure
from rlvr.stages.rlvr import rlvr
from rlvr.verifiers.scorer import Scorer

MEASURED = EvaluateConfig.model_validate({"data": ["x"], "samples": 16, "max_completion_tokens": 6})
ROWS = {
    "grpo": {"updates_per_step": 2},
    "dr_grpo": {"updates_per_step": 2},
    "dapo": {"updates_per_step": 2, "refill_limit": 2},
    "gspo": {"updates_per_step": 2},
    "cispo": {"updates_per_step": 2, "weight_max": 1.5},
    "rloo": {},
    "reinforce_pp": {"updates_per_step": 2},
    "reinforce_pp_baseline": {"updates_per_step": 2},
    "ppo": {"epochs_per_step": 2},
    "tulu3": {"epochs_per_step": 2},
    "r1_zero": {"updates_per_step": 2, "reference_every": 5},
}
NO_CLIP = ("rloo", "r1_zero")  # no ratio at all, and a clip of 10


@dataclass(frozen=True, slots=True)
class Learned:
    """Held-out rates of completions with the word before and after, the run, and the CPU-seconds by each step's end."""

    before: float
    after: float
    run: Run
    cpu_seconds: tuple[float, ...]

    @property
    def clip_rate(self):
        """The largest share of tokens that a bound held back in a step."""
        return max(line.get(f"train/clip_{side}_rate", 0) for line in self.run.metrics() for side in ("low", "high"))


def config(**changes):
    values = {
        "kind": "rlvr",
        "data": ["x"],
        "algorithm": "grpo",
        "steps": 3,
        "prompts_per_step": 4,
        "group_size": 4,
        "max_completion_tokens": 6,
        "checkpoint_every": 2,
        "conditions": {"tasks": 0},
        "optimizer": {"learning_rate": 1e-2},
    }
    return RlvrConfig.model_validate({**values, **changes})


def tasks(count=12, verifier="emit"):
    return [task(i, verifier=verifier) for i in range(count)]


def learn(base, folder, algorithm, verifier=emit, *, seed=7, **changes):
    """Gives what training on `verifier`'s outcomes made of the model in `base`."""
    items = {"task": tasks(verifier="own"), "held-out task": tasks()}
    parts = make_parts(base, items, scores=Scorer({"own": verifier, "emit": emit}), seed=seed)
    before = measure(parts, MEASURED, make_run(folder / "before")).domains["tiny"].pass_at_1.mean
    sizes = {"steps": 16, "prompts_per_step": 8, "group_size": 8, "checkpoint_every": 100}
    sizes["critic"] = {"optimizer": {"learning_rate": 1e-2}}
    run, start, spent = make_run(folder / "run"), time.process_time(), []
    run.listeners.append(lambda step, metrics: spent.append(time.process_time() - start))
    rlvr(parts, config(**{"algorithm": algorithm, **sizes, **changes}), run)
    after = measure(parts, MEASURED, make_run(folder / "after")).domains["tiny"].pass_at_1.mean
    return Learned(before, after, run, tuple(spent))
