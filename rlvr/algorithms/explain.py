"""The text of `rlvr explain PRESET`: the formula that the row stands for, each cell, the paper, the differences."""

import textwrap

from rlvr.algorithms.papers import SOURCES
from rlvr.algorithms.presets import CELLS, Algorithm, cell_text, cell_values, describe, resolve

_WIDTH = 100

_ADVANTAGES = {
    "centred": ("A_i = R_i − mean(R)", "mean over the group's scored completions; std: none"),
    "group_std": (
        "A_i = (R_i − mean(R)) / (std(R) + 1e-4)",
        "mean and std over the group's scored completions; std: unbiased, divided by n − 1",
    ),
}
_AGGREGATIONS = {
    "token_mean": ("Σ_i Σ_t ({loss}) / N", "N: trainable tokens of the whole update"),
    "sequence_mean": (
        "(1/B) · Σ_i (1/n_i) · Σ_t ({loss})",
        "B: completions of the whole update; n_i: trainable tokens of completion i",
    ),
    "constant": (
        "Σ_i Σ_t ({loss}) / (B · L)",
        "B: completions of the whole update; L: max_completion_tokens, whatever was sampled",
    ),
}
_ESTIMATORS = {"k1": "x_t", "k2": "x_t² / 2", "k3": "exp(−x_t) + x_t − 1"}


def formula(algorithm: Algorithm) -> list[tuple[str, str]]:
    """Gives the row's formula as (equation, remark) lines, with its own numbers in place."""
    low, high = cell_text(algorithm.clip_low), cell_text(algorithm.clip_high)
    lines = []
    if algorithm.overlong_buffer_share > 0:
        share, rest = cell_text(algorithm.overlong_buffer_share), cell_text(1 - algorithm.overlong_buffer_share)
        punishment = f"− min(1, max(0, n_i − {rest}·L) / ({share}·L))"
        lines.append((f"R_i = outcome_i {punishment}", "n_i: tokens of completion i; L: max_completion_tokens"))
    else:
        lines.append(("R_i = outcome_i", "after the recipe's shaping, if it has any"))
    lines += [
        _ADVANTAGES[algorithm.advantage],
        ("r_t = exp(log π_θ(t) − log π_prox(t))", "π_prox: the learner at the start of the step"),
        (f"ℓ_t = −min(r_t · A_i, clip(r_t, 1 − {low}, 1 + {high}) · A_i)", ""),
    ]
    term = "ℓ_t"
    if algorithm.kl_place == "loss":
        lines += [
            ("x_t = log π_θ(t) − log π_ref(t)", "π_ref: the frozen reference"),
            (f"k_t = {_ESTIMATORS[algorithm.kl_estimator]}", f"{algorithm.kl_estimator} of KL(π_θ‖π_ref)"),
        ]
        term = f"ℓ_t + {cell_text(algorithm.kl_coefficient)} · k_t"
    total, denominator = _AGGREGATIONS[algorithm.aggregation]
    lines.append((f"loss = {total.format(loss=term)}", denominator))
    if algorithm.filter == "informative":
        lines.append(("learn from a group only if 0 < solved < scored", _refill_remark(algorithm)))
    return lines


def _refill_remark(algorithm: Algorithm) -> str:
    if not algorithm.refill:
        return "the others are counted and skipped; N and B still include them"
    return f"the others are replaced, drawing at most {algorithm.refill_limit} × prompts_per_step prompts"


def _paragraph(text: str, *, first: str, rest: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)


def explain(name: str, /, **cells: object) -> str:
    """Gives the page about a preset, with `cells` overridden: formula, cells, paper and differences, in plain text.

    Raises RecipeError as `resolve` does.
    """
    algorithm = resolve(name, **cells)
    source = SOURCES[algorithm.name]
    lines = [describe(algorithm), f"paper: {source.title}, {algorithm.paper}", "", "Formula"]
    for equation, remark in formula(algorithm):
        lines.append(f"  {equation}")
        if remark:
            lines.append(_paragraph(remark, first=" " * 6, rest=" " * 6))
    lines += ["", "Cells"]
    for cell, value in cell_values(algorithm).items():
        changed = value != getattr(resolve(name), cell)
        origin = "set by you" if changed else source.origins[cell]
        lines.append(f"  {cell} = {cell_text(value)}")
        lines.append(_paragraph(f"{CELLS[cell].meaning} Takes {CELLS[cell].expects}.", first=" " * 6, rest=" " * 6))
        lines.append(_paragraph(f"from: {origin}", first=" " * 6, rest=" " * 6))
    lines += ["", "Differs from the paper in"]
    lines += [_paragraph(item, first="  - ", rest="    ") for item in source.differs]
    return "\n".join(lines) + "\n"
