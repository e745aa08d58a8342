"""Presets: every cell against the published settings, overrides, refusals, and the pages made from them."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rlvr.algorithms.advantages import ADVANTAGES
from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.explain import explain
from rlvr.algorithms.filters import FILTERS
from rlvr.algorithms.kl import KL_ESTIMATORS
from rlvr.algorithms.losses import LOSSES
from rlvr.algorithms.papers import SOURCES
from rlvr.algorithms.presets import CELLS, PRESETS, Algorithm, cell_text, cell_values, describe, resolve
from rlvr.errors import RecipeError

# Copied by hand from the settings that the papers and their authors' scripts give, not from the code.
PUBLISHED = {
    "paper": ("arXiv:2402.03300", "arXiv:2503.20783", "arXiv:2503.14476"),
    "advantage": ("group_std", "centred", "group_std"),
    "loss": ("clipped", "clipped", "clipped"),
    "clip_low": (0.2, 0.2, 0.2),
    "clip_high": (0.2, 0.2, 0.28),
    "aggregation": ("sequence_mean", "constant", "token_mean"),
    "kl_place": ("loss", "none", "none"),
    "kl_estimator": ("k3", "k3", "k3"),
    "kl_coefficient": (0.04, 0.0, 0.0),
    "filter": ("none", "none", "informative"),
    "refill": (False, False, True),
    "refill_limit": (1, 1, 10),
    "drop_truncated": (False, False, False),
    "overlong_buffer_share": (0.0, 0.0, 4096 / 20480),
    "updates_per_step": (1, 8, 16),
}
NAMES = ("grpo", "dr_grpo", "dapo")


@pytest.mark.parametrize("cell", PUBLISHED)
def test_every_cell_of_every_preset_is_the_published_one(cell):
    assert tuple(getattr(PRESETS[name], cell) for name in NAMES) == PUBLISHED[cell]


def test_no_preset_and_no_cell_escapes_the_comparison():
    assert tuple(PRESETS) == NAMES
    assert {field.name for field in fields(Algorithm)} == {"name", *PUBLISHED}
    assert [field.name for field in fields(Algorithm)] == ["name", "paper", *CELLS]
    assert [row.name for row in PRESETS.values()] == list(NAMES)


@pytest.mark.parametrize(
    ("cell", "table"),
    [
        ("advantage", ADVANTAGES),
        ("loss", LOSSES),
        ("aggregation", AGGREGATIONS),
        ("kl_estimator", KL_ESTIMATORS),
        ("filter", FILTERS),
    ],
)
def test_the_choices_of_a_cell_are_the_functions_that_exist(cell, table):
    assert CELLS[cell].choices == tuple(table) == get_args(get_type_hints(Algorithm)[cell])


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_passes_its_own_checks_with_every_cell_given(name):
    cells = cell_values(PRESETS[name])
    if not PRESETS[name].refill:
        del cells["refill_limit"]
    assert resolve(name, **cells) == resolve(name) == PRESETS[name]


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
    assert describe(row) == "grpo, with kl_place none and kl_coefficient 0"


def test_rows_say_what_must_be_measured():
    assert [PRESETS[name].needs_reference for name in NAMES] == [True, False, False]
    assert [PRESETS[name].needs_proximal for name in NAMES] == [False, True, True]


@pytest.mark.parametrize(
    ("name", "cells", "message", "hint"),
    [
        ("drgrpo", {}, 'no algorithm "drgrpo"', 'did you mean "dr_grpo"?'),
        ("zzz", {}, 'no algorithm "zzz"', "known: grpo, dr_grpo, dapo"),
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
        ("dapo", {"kl_coefficient": 0.01}, "kl_place is none", 'kl_place = "loss"'),
        ("dapo", {"filter": "none"}, "filter is none", "refill = false"),
        ("grpo", {"refill": True}, "filter is none", 'filter = "informative"'),
        ("dapo", {"refill_limit": 1}, "draws nothing after the first", "refill = false"),
        ("grpo", {"refill_limit": 3}, "refill is off", "refill = true"),
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


@pytest.mark.parametrize("name", NAMES)
def test_explain_gives_every_cell_an_origin_and_every_difference(name):
    page = " ".join(explain(name).split())
    assert set(SOURCES[name].origins) == set(CELLS)
    for cell, value in cell_values(PRESETS[name]).items():
        assert f"{cell} = {cell_text(value)} {CELLS[cell].meaning}" in page
        assert f"from: {SOURCES[name].origins[cell]}" in page
    assert SOURCES[name].differs
    assert all(item in page for item in SOURCES[name].differs)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_page_shows_the_same_cells_origins_and_differences(name):
    document = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    section = document.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = [f"| `{c}` | {cell_text(v)} | {SOURCES[name].origins[c]} |" for c, v in cell_values(PRESETS[name]).items()]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows
    assert PRESETS[name].paper in section
    assert [line for line in section.splitlines() if line.startswith("- ")] == [f"- {d}" for d in SOURCES[name].differs]


def test_checking_and_explaining_a_recipe_load_no_torch():
    code = "import sys, rlvr.algorithms.explain, rlvr.algorithms.filters; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
