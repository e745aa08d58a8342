"""A critic on the policy's trunk: one loss, one gradient, whatever the split; it learns, and is resumed."""

import json

import numpy as np
import pytest
import torch
from splits import SPLITS, model64
from tiny import VOCABULARY, emit, gradients, make_parts, make_run, task, worst_gap, write_base

from rlvr.algorithms.presets import resolve
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.sameness import differences
from rlvr.stages.rlvr import rlvr
from rlvr.training.learner import Learner
from rlvr.training.samples import Measured
from rlvr.training.value_head import ValueHead
from rlvr.types import Sample, read_only
from rlvr.verifiers.scorer import Scorer

COEFFICIENT, CLIP, LIMIT = 0.3, 0.2, 9


class Still:
    """Stands in an optimizer's place, keeps the gradient and changes nothing."""

    learning_rate = 0.0

    def __init__(self, module):
        self.module, self.found, self.skipped = module, None, 0

    def step(self):
        self.found = gradients(self.module)
        self.module.zero_grad()
        return 1.0

    def skip(self):
        self.skipped += 1


def samples(*, silent=False):
    rng, found = np.random.default_rng(3), []
    for index, length in enumerate((7, 2, 9, 5)):
        prompt = 2 + index % 2
        ids = rng.integers(5, VOCABULARY, prompt + length)
        trainable = np.arange(len(ids)) >= prompt
        advantages = np.where(trainable, 0.0 if silent else rng.normal(size=len(ids)), 0.0)
        found.append(
            Sample(
                token_ids=read_only(ids, np.int64),
                trainable=read_only(trainable, np.bool_),
                logprobs=read_only(np.where(trainable, -1.0, 0.0), np.float32),
                advantages=read_only(advantages, np.float32),
                returns=read_only(np.where(trainable, rng.normal(size=len(ids)), 0.0), np.float32),
                reward=1.0,
                group_id=index,
                policy_version=0,
            )
        )
    return found


def learner_of(model, *, layout="padded", budget=64):
    head = torch.nn.Linear(model.config.hidden_size, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(np.random.default_rng(4).normal(size=head.weight.shape)))
    shared = ValueHead(
        model,
        head,
        Still(head),
        coefficient=COEFFICIENT,
        value_clip=CLIP,
        microbatch_tokens=budget,
        layout=layout,
        dtype="float32",
    )
    learner = Learner(
        model,
        Still(model),
        row=resolve("ppo", epochs_per_step=1, kl_place="none"),
        reference=None,
        critic=shared,
        max_completion_tokens=LIMIT,
        temperature=0.8,
        microbatch_tokens=budget,
        layout=layout,
        dtype="float32",
    )
    return learner, shared


def measured_of(given, model):
    """Old values near the head's own, so that some are clipped and some are not."""
    rng, (learner, _) = np.random.default_rng(5), learner_of(model)
    found = learner.measure(given).columns
    old = tuple(
        read_only(np.where(s.trainable, v + 0.3 * rng.normal(size=len(v)), 0.0), np.float32)
        for s, v in zip(given, found["values"], strict=True)
    )
    return Measured({**found, "values": old})


def by_a_loop(model, head, given, measured):
    """The loss from the formulas, one token after the other, and how many values were held near their old one."""
    tokens, total, held = sum(int(s.trainable.sum()) for s in given), torch.zeros((), dtype=torch.float64), 0
    for index, sample in enumerate(given):
        ids = torch.from_numpy(np.array(sample.token_ids))
        hidden = model.base_model(input_ids=ids[None], use_cache=False).last_hidden_state[0]
        table = torch.log_softmax(model.lm_head(hidden) / 0.8, dim=-1)
        for t in np.flatnonzero(sample.trainable):
            logprob, a = table[t - 1, ids[t]], float(sample.advantages[t])
            ratio = torch.exp(logprob - logprob.detach())
            total = total - torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a) / tokens
            value, g = head(hidden[t - 1])[0], float(sample.returns[t])
            old = float(measured.columns["values"][index][t])
            near = value.clamp(old - CLIP, old + CLIP)
            far, close = (value - g) ** 2, (near - g) ** 2
            held += float(close.detach()) > float(far.detach())
            total = total + COEFFICIENT * torch.maximum(far, close) / 2 / tokens
    return total, held


def test_loss_and_gradient_are_those_of_a_loop_whatever_the_split():
    given = samples()
    measured = measured_of(given, model64())
    found = []
    for layout, budget in SPLITS:
        model = model64()
        learner, shared = learner_of(model, layout=layout, budget=budget)
        report = learner.update(given, measured)
        found.append((report, learner.optimizer.found, shared.optimizer.found))
    model = model64()
    _, shared = learner_of(model)
    total, held = by_a_loop(model, shared.head, given, measured)
    assert held > 2
    total.backward()
    for report, of_policy, of_head in found:
        # Old values and returns are float32, in which their bounds are added up.
        assert report.loss == pytest.approx(float(total.detach()), abs=1e-7)
        assert worst_gap(gradients(model), of_policy) < 1e-6
        assert worst_gap(gradients(shared.head), of_head) < 1e-6
        assert abs(report.loss - found[0][0].loss) < 1e-10
        assert worst_gap(found[0][1], of_policy) < 1e-10
    assert found[0][0].stats["train/value_loss"] > 0
    assert "train/value_explained" in found[0][0].stats


def test_values_are_read_before_the_token_that_they_judge():
    model, given = model64(), samples()
    learner, shared = learner_of(model)
    values = learner.measure(given).columns["values"]
    for sample, found in zip(given, values, strict=True):
        with torch.no_grad():
            hidden = model.base_model(input_ids=torch.tensor(np.array(sample.token_ids))[None]).last_hidden_state[0]
        for t in range(len(sample.token_ids)):
            expected = float(shared.head(hidden[t - 1]).detach()) if sample.trainable[t] else 0.0
            assert found[t] == pytest.approx(expected, abs=1e-5)


def test_where_no_advantage_is_left_the_head_still_learns():
    given = samples(silent=True)
    learner, shared = learner_of(model64())
    report = learner.update(given, learner.measure(given))
    assert shared.optimizer.found is not None
    assert float(shared.optimizer.found["weight"].abs().max()) > 0
    assert report.stats["train/idle_updates"] == 0.0


def config(**changes):
    values = {
        "kind": "rlvr",
        "data": ["x"],
        "algorithm": {"preset": "ppo", "epochs_per_step": 2},
        "steps": 24,
        "prompts_per_step": 8,
        "group_size": 8,
        "max_completion_tokens": 6,
        "checkpoint_every": 8,
        "conditions": {"tasks": 0},
        "critic": {"shared": True, "optimizer": {"learning_rate": 2e-2}},
        "optimizer": {"learning_rate": 1e-2},
    }
    return RlvrConfig.model_validate({**values, **changes})


def parts_of(base):
    return make_parts(base, {"task": [task(i) for i in range(12)]}, scores=Scorer({"emit": emit}))


def test_ppo_learns_with_a_head_on_its_own_trunk_and_the_checkpoint_is_an_ordinary_one(tmp_path):
    base, run = write_base(tmp_path / "base", scale=0.25), make_run(tmp_path / "run")
    made = rlvr(parts_of(base), config(), run)
    lines = run.metrics()
    assert lines[0]["rollout/outcome_mean"] < 0.3
    assert lines[-1]["rollout/outcome_mean"] > 0.9
    assert lines[0]["train/value_explained"] == pytest.approx(0.0, abs=1e-6), "the head begins at 0"
    assert max(line["train/value_explained"] for line in lines) > 0.1
    assert json.loads((made.path / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path):
    base = write_base(tmp_path / "base", scale=0.25)
    whole, broken = make_run(tmp_path / "whole"), make_run(tmp_path / "broken")
    short = {"steps": 6, "checkpoint_every": 2}
    rlvr(parts_of(base), config(**short), whole)

    def kill(step, metrics):
        if step == 3:
            raise KeyboardInterrupt

    broken.listeners.append(kill)
    with pytest.raises(KeyboardInterrupt):
        rlvr(parts_of(base), config(**short), broken)
    broken.listeners.clear()
    (*_, last) = sorted(broken.checkpoints.glob("step-*"))
    again = make_parts(base, {"task": [task(i) for i in range(12)]}, start=last, scores=Scorer({"emit": emit}))
    rlvr(again, config(**short), broken)
    assert differences(whole.path, broken.path) == []


@pytest.mark.parametrize(
    ("critic", "said"),
    [
        ({"shared": True, "path": "taste"}, "path is for a model apart"),
        ({"shared": True, "warmup_steps": 3}, "warmup_steps is for a model apart"),
        ({"shared": True, "optimizer": {"name": "muon"}}, "which learns with adamw"),
    ],
)
def test_what_a_head_cannot_have_is_refused(critic, said):
    with pytest.raises(ValueError, match=said):
        config(critic=critic)
