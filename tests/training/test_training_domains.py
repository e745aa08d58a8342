"""Domains with cells of their own: each completion is learned from as its domain's row says, in one update."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rows import learner_of, samples_of
from splits import model64
from tiny import completion, task, worst_gap

from rlvr.algorithms.presets import describe, resolve
from rlvr.errors import RecipeError
from rlvr.training.samples import Measured, to_samples, with_advantages
from rlvr.types import Group, Verdict, read_only

OWN = {
    "aggregation": {"aggregation": "token_mean"},
    "clip": {"clip_high": 1e-3, "clip_low": 1e-3},
    "loss": {"loss": "reinforce"},
    "ratio": {"ratio": "sequence", "aggregation": "sequence_mean"},
    "entropy": {"entropy_coefficient": 0.2},
    "mismatch": {"mismatch": "token_mask", "mismatch_high": 1.5},
}


def test_a_domain_has_the_cells_of_the_row_and_its_own():
    row = resolve("dr_grpo", updates_per_step=1, domains={"code": {"clip_high": 0.3, "reward_scale": 2}})
    assert row.of("mathematics") is row
    assert (row.of("code").clip_high, row.of("code").clip_low, row.of("code").updates_per_step) == (0.3, 0.2, 1)
    assert describe(row) == "dr_grpo, with updates_per_step 1; for code, with clip_high 0.3 and reward_scale 2"


@pytest.mark.parametrize(
    ("cells", "domains", "said"),
    [
        ({}, {"code": {"updates_per_step": 2}}, "updates_per_step, which is of the step as a whole"),
        ({}, {"code": {"kl_place": "loss"}}, "kl_place, which is of the step as a whole"),
        ({}, {"code": {"advantage": "gae"}}, "only advantages of whole completions"),
        ({"kl_place": "reward", "kl_coefficient": 0.1}, {"code": {"kl_coefficient": 0.2}}, "kl_place is reward"),
        ({"kl_place": "reward", "kl_coefficient": 0.1}, {"code": {"kl_estimator": "k1"}}, "has kl_estimator, but"),
        ({}, {"code": {"clip_hihg": 0.2}}, "algorithm.domains.code: .*clip_hihg"),
        ({}, {"code": {"clip_high": "wide"}}, "clip_high"),
        ({}, {"code": {"dual_clip": 1.1}}, "algorithm.domains.code: .*dual_clip lies within the clip range"),
        ({}, {"code": {}}, "cells were expected"),
        ({}, {"code": 3}, "cells were expected"),
        ({}, 3, "algorithm.domains is 3"),
    ],
)
def test_what_cannot_differ_by_domain_is_refused_with_the_reason(cells, domains, said):
    with pytest.raises(RecipeError, match=said):
        resolve("dr_grpo", domains=domains, **cells)


def test_what_the_row_has_and_a_domain_cannot_use_is_no_error_there():
    row = resolve("dr_grpo", clip_high=0.3, domains={"code": {"loss": "reinforce"}})
    assert (row.clip_high, row.of("code").loss) == (0.3, "reinforce")
    with pytest.raises(RecipeError, match=r"algorithm\.domains\.code: clip_high is 0\.3 but loss is not"):
        resolve("dr_grpo", domains={"code": {"loss": "reinforce", "clip_high": 0.3}})


def test_a_domain_whose_cells_are_those_of_the_row_is_not_described():
    row = resolve("dr_grpo", domains={"code": {"clip_high": 0.2}})
    assert describe(row) == "dr_grpo"
    assert hash(row) == hash(resolve("dr_grpo"))


def group(domain, draw_index, outcomes=(1.0, 0.0, 0.0, 0.0)):
    completions = tuple(completion([5 + i, 6, 2]) for i in range(4))
    verdicts = tuple(Verdict(outcome, "ok") for outcome in outcomes)
    place = task(draw_index, domain=domain), draw_index, read_only((1, 3), "int64")
    return Group(*place, completions, verdicts, tuple(outcomes))


def test_the_deviation_of_a_batch_is_that_of_the_domain():
    row = resolve(
        "reinforce_pp_baseline",
        whiten=False,
        advantage="batch_std",
        kl_place="none",
        domains={"code": {"clip_high": 0.3}},
    )
    groups = [group("mathematics", 0), group("code", 1, (1.0, 1.0, 0.0, 0.0)), group("mathematics", 2)]
    samples, weights = to_samples(groups, drop_truncated=False), dict.fromkeys(range(3), 1.0)
    together = with_advantages(samples, row, weights, Measured({}), kl_coefficient=0.0)
    for domain, members in (("mathematics", [groups[0], groups[2]]), ("code", [groups[1]])):
        alone = with_advantages(
            to_samples(members, drop_truncated=False), row, weights, Measured({}), kl_coefficient=0.0
        )
        assert [s.advantages[-1] for s in together if s.domain == domain] == [s.advantages[-1] for s in alone]


def test_each_domain_has_its_own_advantage():
    row = resolve("dr_grpo", domains={"code": {"advantage": "group_std"}})
    samples = to_samples([group("mathematics", 0), group("code", 1), group("mathematics", 2)], drop_truncated=False)
    found = with_advantages(samples, row, dict.fromkeys(range(3), 1.0), Measured({}), kl_coefficient=0.0)
    # mean 1/4; unbiased variance (9/16 + 3/16) / 3 = 1/4, deviation 1/2
    centred, scaled = [0.75, -0.25, -0.25, -0.25], [1.5, -0.5, -0.5, -0.5]
    assert [float(s.advantages[-1]) for s in found] == pytest.approx([*centred, *scaled, *centred], rel=1e-3)


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("name", OWN)
def test_the_gradient_is_the_sum_of_each_domains_own(name, layout):
    row = resolve("dr_grpo", updates_per_step=1)
    both = resolve("dr_grpo", updates_per_step=1, domains={"code": OWN[name]})
    samples = [replace(s, domain="code" if s.group_id == 10 else "mathematics") for s in samples_of(silent_group=False)]
    code = [sample.domain == "code" for sample in samples]
    # Proximal log-probs a little off the policy's, so that the ratios are not 1 and the bounds matter.
    rng = np.random.default_rng(4)
    exact = learner_of(model64(), resolve("grpo", updates_per_step=2))[0].measure(samples).columns["proximal_logprobs"]
    measured = Measured({"proximal_logprobs": tuple(p + rng.normal(0, 0.02, len(p)).astype(np.float32) for p in exact)})

    def gradient_of(row, members):
        """Of those members alone; the others stay in the denominators, without an advantage."""
        part = [s if m else replace(s, advantages=s.advantages * 0) for s, m in zip(samples, members, strict=True)]
        learner, optimizer = learner_of(model64(), row, layout=layout)
        learner.update(part, measured)
        return optimizer.gradients[0]

    together = gradient_of(both, [True] * len(samples))
    apart = gradient_of(row, [not is_code for is_code in code])
    if name == "entropy":  # pulls on every token, so those of the other domain must be hidden from it
        hidden = resolve(
            "dr_grpo", updates_per_step=1, domains={"mathematics": {"entropy_coefficient": 0.0}}, **OWN[name]
        )
        own = gradient_of(hidden, code)
    else:
        own = gradient_of(resolve("dr_grpo", updates_per_step=1, **OWN[name]), code)
    alike = gradient_of(row, [True] * len(samples))
    assert worst_gap(together, {key: apart[key] + own[key] for key in apart}) < 1e-9
    assert worst_gap(together, alike) > 1e-4, "the cells of the domain must matter here"
    assert all(torch.isfinite(value).all() for value in together.values())
