"""Presets: every cell against the published settings, overrides, refusals, and the pages made from them."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rlvr.algorithms.advantages import GROUP_ADVANTAGES, TOKEN_ADVANTAGES
from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.algorithm import CELLS, Algorithm, cell_text, cell_values, in_use
from rlvr.algorithms.explain import explain
from rlvr.algorithms.filters import FILTERS
from rlvr.algorithms.kl import KL_ESTIMATORS
from rlvr.algorithms.losses import LOSSES
from rlvr.algorithms.mismatch import MISMATCHES
from rlvr.algorithms.papers import SOURCES
from rlvr.algorithms.presets import PRESETS, describe, resolve
from rlvr.algorithms.ratios import RATIOS
from rlvr.algorithms.refusals import refuse_lone_completions
from rlvr.errors import RecipeError

# Copied by hand from the settings that the papers and their authors' scripts give, not from the code.
PUBLISHED = [
    """
cell                  grpo          dr_grpo  dapo        gspo          cispo          r1_zero
advantage             group_std     centred  group_std   group_std     group_std      group_std
loss                  clipped       clipped  clipped     clipped       clamped_weight clipped
ratio                 token         token    token       sequence      token          token
clip_low              0.2           0.2      0.2         0.0003        -              10
clip_high             0.2           0.2      0.28        0.0004        -              10
weight_max            -             -        -           -             5              -
aggregation           sequence_mean constant token_mean  sequence_mean token_mean     sequence_mean
kl_place              loss          none     none        none          none           loss
kl_estimator          k3            -        -           -             -              k3
kl_coefficient        0.04          -        -           -             -              0.001
reference_every       -             -        -           -             -              25
filter                -             -        informative -             informative    -
refill                -             -        true        -             true           -
refill_limit          -             -        10          -             10             -
overlong_buffer_share -             -        0.2         -             0.2            -
updates_per_step      1             8        16          4             16             16
""",
    """
cell                rloo          reinforce_pp reinforce_pp_baseline ppo        tulu3
advantage           leave_one_out returns      centred               gae        gae
whiten              -             true         true                  true       true
gamma               -             1            -                     1          1
gae_lambda          -             -            -                     0.95       0.95
value_clip          -             -            -                     0.2        0.2
loss                reinforce     clipped      clipped               clipped    clipped
ratio               -             token        token                 token      token
clip_low            -             0.2          0.2                   0.2        0.2
clip_high           -             0.2          0.2                   0.2        0.2
aggregation         sequence_sum  token_mean   token_mean            token_mean token_mean
kl_place            reward        reward       loss                  reward     reward
kl_estimator        k1            k1           k2                    k1         k1
kl_coefficient      0.03          0.01         0.01                  0.05       0.05
reward_scale        -             -            -                     -          10
missing_end_penalty -             -            -                     -          10
updates_per_step    2             4            4                     1          1
epochs_per_step     -             -            -                     4          4
""",
]
NAMES = (
    "grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo", "tulu3",
    "r1_zero",
)  # fmt: skip


def test_every_cell_that_takes_part_in_a_preset_is_the_published_one_and_no_other_takes_part():
    published: dict[str, dict[str, str]] = {}
    for table in PUBLISHED:
        (_, *names), *lines = [line.split() for line in table.strip().splitlines()]
        for column, name in enumerate(names, start=1):
            published[name] = {line[0]: line[column] for line in lines if line[column] != "-"}
    assert set(published) == set(PRESETS)
    for name, row in PRESETS.items():
        assert {cell: cell_text(value) for cell, value in in_use(row).items()} == published[name], name


def test_every_field_of_a_row_is_a_cell_in_the_same_order():
    assert [field.name for field in fields(Algorithm)] == ["name", "paper", *CELLS, "domains"]


@pytest.mark.parametrize(
    ("cell", "table"),
    [
        ("advantage", [*GROUP_ADVANTAGES, *TOKEN_ADVANTAGES]),
        ("loss", LOSSES),
        ("ratio", RATIOS),
        ("aggregation", AGGREGATIONS),
        ("kl_estimator", KL_ESTIMATORS),
        ("mismatch", MISMATCHES),
        ("filter", FILTERS),
    ],
)
def test_the_choices_of_a_cell_are_the_functions_that_exist(cell, table):
    assert CELLS[cell].choices == tuple(table) == get_args(get_type_hints(Algorithm)[cell])


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_passes_its_own_checks_with_every_cell_given(name):
    assert resolve(name, **cell_values(PRESETS[name])) == resolve(name) == PRESETS[name]


def test_resolve_overrides_cells_and_describe_names_them():
    assert resolve("dapo", clip_high=0.25).clip_high == 0.25
    assert describe(resolve("dapo", clip_high=0.25)) == "dapo, with clip_high 0.25"
    assert describe(resolve("dapo")) == "dapo"
    assert describe(resolve("dapo", refill=False, clip_high=0.25)) == "dapo, with clip_high 0.25 and refill false"
    assert (
        describe(resolve("dr_grpo", clip_low=0.1, clip_high=0.3, updates_per_step=1))
        == "dr_grpo, with clip_low 0.1, clip_high 0.3 and updates_per_step 1"
    )


def test_a_whole_number_is_a_number_and_becomes_one():
    row = resolve("grpo", clip_high=1)
    assert row.clip_high == 1.0
    assert isinstance(row.clip_high, float)


def test_switching_the_kl_off_takes_its_coefficient_along():
    row = resolve("grpo", kl_place="none")
    assert (row.kl_place, row.kl_coefficient, row.needs_reference) == ("none", 0.0, False)
    assert describe(row) == "grpo, with kl_place none"


def test_rows_say_what_must_be_measured():
    assert [name for name in NAMES if not PRESETS[name].needs_reference] == ["dr_grpo", "dapo", "gspo", "cispo"]
    # one update per rollout and no KL in the reward
    assert [name for name in NAMES if not PRESETS[name].needs_proximal] == ["grpo"]
    assert resolve("ppo", epochs_per_step=1).needs_proximal
    assert [name for name in NAMES if PRESETS[name].needs_values] == ["ppo", "tulu3"]


def test_a_row_that_compares_completions_of_a_prompt_refuses_to_get_one_of_each():
    for name in NAMES:
        if name in ("reinforce_pp", "ppo", "tulu3"):
            refuse_lone_completions(PRESETS[name], 1)
            with pytest.raises(RecipeError, match=r"group_size = 1.*filter informative"):
                refuse_lone_completions(resolve(name, filter="informative"), 1)
            continue
        with pytest.raises(RecipeError, match="nothing to compare with"):
            refuse_lone_completions(PRESETS[name], 1)
        refuse_lone_completions(PRESETS[name], 2)


@pytest.mark.parametrize(
    ("name", "cells", "message", "hint"),
    [
        ("drgrpo", {}, 'no algorithm "drgrpo"', 'did you mean "dr_grpo"?'),
        ("zzz", {}, 'no algorithm "zzz"', "known: grpo, dr_grpo, dapo, gspo"),
        ("dapo", {"clip_hi": 0.3}, 'no cell "clip_hi"', 'did you mean "clip_high"?'),
        ("dapo", {"name": "x"}, 'no cell "name"', "known: advantage"),
        ("dapo", {"aggregation": "token-mean"}, "aggregation is 'token-mean'", 'aggregation = "token_mean"'),
        ("dapo", {"clip_high": -0.1}, "clip_high is -0.1; it takes a number above 0", ""),
        ("dapo", {"clip_high": float("nan")}, "clip_high is nan", ""),
        ("dapo", {"clip_high": True}, "clip_high is True", ""),
        ("dapo", {"clip_high": "0.3"}, "clip_high is '0.3'", ""),
        ("dapo", {"updates_per_step": 0}, "updates_per_step is 0", ""),
        ("dapo", {"updates_per_step": 2.0}, "updates_per_step is 2.0", ""),
        ("dapo", {"refill": 1}, "refill is 1; it takes true or false", ""),
        ("dapo", {"overlong_buffer_share": 1.0}, "overlong_buffer_share is 1.0", ""),
        ("grpo", {"kl_estimator": "k1"}, "k1 in the loss has expected gradient 0", "k2"),
        ("dapo", {"kl_coefficient": 0.01}, "kl_coefficient is 0.01 but kl_place is none", "leave kl_coefficient out"),
        ("grpo", {"refill": True}, "filter is none", "leave refill out"),
        ("dapo", {"refill_limit": 1}, "draws nothing after the first", "refill = false"),
        ("grpo", {"refill_limit": 3}, "refill is off", "leave refill_limit out"),
        ("grpo", {"gae_lambda": 0.9}, "there is no critic", "leave gae_lambda out"),
        ("cispo", {"clip_high": 0.3}, 'loss is not "clipped"', "leave clip_high out"),
        ("rloo", {"ratio": "sequence"}, "which has no ratio", "leave ratio out"),
        ("grpo", {"mismatch_low": 0.5}, "mismatch is no mask", "leave mismatch_low out"),
        ("grpo", {"kl_target": 6}, 'kl_place is not "reward"', "leave kl_target out"),
        ("ppo", {"kl_estimator": "k2"}, "in the reward a KL is only a number", 'kl_estimator = "k1"'),
        ("ppo", {"kl_target": 6, "kl_coefficient": 0}, "0 stays 0", "kl_coefficient = 0.05"),
        ("ppo", {"ratio": "sequence"}, "one advantage for all its tokens", '"sequence_token"'),
        ("gspo", {"whiten": True}, "one advantage for all its tokens", '"sequence_token"'),
        ("gspo", {"aggregation": "token_mean"}, "long completions weigh more", 'aggregation = "sequence_mean"'),
        ("cispo", {"ratio": "sequence"}, "its own ratio", 'ratio = "token"'),
        ("grpo", {"dual_clip": 1.1}, "within the clip range", "dual_clip = 3"),
        ("grpo", {"dual_clip": 0.5}, "it takes 0, or a number above 1", ""),
        (
            "grpo",
            {"mismatch": "token_mask", "mismatch_high": 0.5},
            "must let a ratio of 1 pass",
            "mismatch_low below 1",
        ),
        ("grpo", {"mismatch": "token_truncate", "mismatch_high": 0.5}, "cut below 1", "mismatch_high = 2"),
        ("rloo", {"drop_truncated": True}, "but not its KL", 'kl_place = "loss"'),
        ("tulu3", {"drop_truncated": True}, "one would hide the other", "missing_end_penalty = 0"),
        ("tulu3", {"overlong_buffer_share": 0.2}, "punish the same completions twice", "missing_end_penalty = 0"),
        ("dapo", {"drop_truncated": True}, "one would hide the other", "overlong_buffer_share = 0"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_and_what_to_type(name, cells, message, hint):
    with pytest.raises(RecipeError) as caught:
        resolve(name, **cells)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_explain_dr_grpo_prints_std_none_and_the_constant_denominator():
    page = explain("dr_grpo")
    assert "A_i = R_i − mean(R)\n" in page
    assert "std: none" in page
    assert "loss = Σ_i Σ_t (ℓ_t) / (B · L)" in page
    assert "π_ref" not in page.split("Cells")[0]


def test_explain_dapo_prints_its_clip_its_refill_and_its_overlong_punishment():
    page = explain("dapo")
    assert "clip(r_t, 1 − 0.2, 1 + 0.28)" in page
    assert "at most 10 × prompts_per_step" in page
    # n = 18432 of L = 20480: (18432 − .8 · 20480) / (.2 · 20480) = 2048 / 4096 = .5
    assert "min(1, max(0, n_i − 0.8·L) / (0.2·L))" in page
    assert "arXiv:2503.14476" in page


def test_explain_grpo_prints_the_kl_inside_the_loss():
    page = explain("grpo")
    assert "k_t = exp(−x_t) + x_t − 1" in page
    assert "loss = (1/B) · Σ_i (1/n_i) · Σ_t (ℓ_t + 0.04 · k_t)" in page


def test_explain_shows_overridden_cells_as_yours_in_formula_and_list():
    page = explain("dapo", clip_high=0.25)
    assert page.startswith("dapo, with clip_high 0.25\n")
    assert "1 + 0.25)" in page
    assert page.count("from: set by you") == 1


def test_explain_ppo_prints_the_reward_per_token_the_advantage_the_critic_and_the_whitening():
    page = explain("ppo", kl_target=6)
    assert "R_t = R_i · [t is the last] − β · k_t" in page
    assert "β ← β · (1 + clip(KL / 6 − 1, ±0.2) · min(1, B / 10000))" in page
    assert "A_t = δ_t + 1 · 0.95 · A_{t+1}" in page
    assert "max((V − G_t)², (clip(V, V_old ± 0.2) − G_t)²)" in page
    assert "A ← (A − mean(A)) / std(A)" in page


def test_explain_prints_the_ratio_of_gspo_the_weight_of_cispo_and_the_baseline_of_rloo():
    assert "r_t = exp((1/n_i) · Σ_t (log π_θ(t) − log π_prox(t)))" in explain("gspo")
    assert "ℓ_t = −sg[min(r_t, 5)] · A_i · log π_θ(t)" in explain("cispo")
    page = explain("rloo")
    assert "A_i = R_i − mean over j ≠ i of R_j" in page
    assert "R_i ← R_i − 0.03 · Σ_t k_t" in page
    assert "r_t" not in page.split("Cells")[0]
    assert "loss = (1/B) · Σ_i Σ_t (w_t · ℓ_t)" in explain("rloo", mismatch="sequence_truncate")


@pytest.mark.parametrize("name", NAMES)
def test_explain_gives_every_cell_that_takes_part_an_origin_names_the_others_and_every_difference(name):
    page = " ".join(explain(name).split())
    here = in_use(PRESETS[name])
    assert set(SOURCES[name].origins) == set(here)
    for cell, value in here.items():
        assert f"{cell} = {cell_text(value)} {CELLS[cell].meaning}" in page
        assert f"from: {SOURCES[name].origins[cell]}" in page
    off = page.split("Off, or without a use in this row: ")[1].split(" Differs")[0]
    assert off.split(", ") == [cell for cell in CELLS if cell not in here]
    assert SOURCES[name].differs
    assert all(item in page for item in SOURCES[name].differs)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_page_shows_the_same_cells_origins_and_differences(name):
    document = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    section = document.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = [f"| `{c}` | {cell_text(v)} | {SOURCES[name].origins[c]} |" for c, v in in_use(PRESETS[name]).items()]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows
    assert PRESETS[name].paper in section
    assert [line for line in section.splitlines() if line.startswith("- ")] == [f"- {d}" for d in SOURCES[name].differs]


def test_checking_and_explaining_a_recipe_load_no_torch():
    code = "import sys, rlvr.algorithms.explain, rlvr.algorithms.filters; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
