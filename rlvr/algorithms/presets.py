"""Algorithms as rows: which advantage, clip, aggregation, KL and filter go together under a name.

No torch here, so that a recipe can be checked and explained without it. The choices of a cell are the keys of the
tables in `advantages`, `losses`, `aggregate`, `kl` and `filters`; a test keeps them equal.
"""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from rlvr.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One row: a name, its paper, and one value per cell. `CELLS` says what each cell means."""

    name: str
    paper: str
    advantage: Literal["centred", "group_std"]
    loss: Literal["clipped"]
    clip_low: float
    clip_high: float
    aggregation: Literal["token_mean", "sequence_mean", "constant"]
    kl_place: Literal["none", "loss"]
    kl_estimator: Literal["k1", "k2", "k3"]
    kl_coefficient: float
    filter: Literal["none", "informative"]
    refill: bool
    refill_limit: int
    drop_truncated: bool
    overlong_buffer_share: float
    updates_per_step: int

    @property
    def needs_reference(self) -> bool:
        """Whether the log-probabilities of the frozen reference must be measured."""
        return self.kl_place == "loss"

    @property
    def needs_proximal(self) -> bool:
        """Whether the learner's own log-probabilities must be measured before the first update of a step.

        With one update per step they are the ones of the update's own forward pass.
        """
        return self.updates_per_step > 1


PRESETS: dict[str, Algorithm] = {
    "grpo": Algorithm(
        name="grpo",
        paper="arXiv:2402.03300",
        advantage="group_std",
        loss="clipped",
        clip_low=0.2,
        clip_high=0.2,
        aggregation="sequence_mean",
        kl_place="loss",
        kl_estimator="k3",
        kl_coefficient=0.04,
        filter="none",
        refill=False,
        refill_limit=1,
        drop_truncated=False,
        overlong_buffer_share=0.0,
        updates_per_step=1,
    ),
    "dr_grpo": Algorithm(
        name="dr_grpo",
        paper="arXiv:2503.20783",
        advantage="centred",
        loss="clipped",
        clip_low=0.2,
        clip_high=0.2,
        aggregation="constant",
        kl_place="none",
        kl_estimator="k3",
        kl_coefficient=0.0,
        filter="none",
        refill=False,
        refill_limit=1,
        drop_truncated=False,
        overlong_buffer_share=0.0,
        updates_per_step=8,
    ),
    "dapo": Algorithm(
        name="dapo",
        paper="arXiv:2503.14476",
        advantage="group_std",
        loss="clipped",
        clip_low=0.2,
        clip_high=0.28,
        aggregation="token_mean",
        kl_place="none",
        kl_estimator="k3",
        kl_coefficient=0.0,
        filter="informative",
        refill=True,
        refill_limit=10,
        drop_truncated=False,
        overlong_buffer_share=0.2,
        updates_per_step=16,
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell means and which values it takes: of type `kind`, with `accepts` true; `expects` says so in words."""

    meaning: str
    kind: type
    expects: str
    accepts: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def _choice(meaning: str, *names: str) -> Cell:
    return Cell(meaning, str, "one of " + ", ".join(names), lambda value: value in names, names)


def _number(meaning: str, expects: str, accepts: Callable[[float], bool]) -> Cell:
    return Cell(meaning, float, expects, lambda value: math.isfinite(value) and accepts(value))


def _count(meaning: str) -> Cell:
    return Cell(meaning, int, "a whole number, at least 1", lambda value: value >= 1)


def _switch(meaning: str) -> Cell:
    return Cell(meaning, bool, "true or false", lambda value: True)


CELLS: dict[str, Cell] = {
    "advantage": _choice("What a reward is compared with, and in which unit.", "centred", "group_std"),
    "loss": _choice("The loss of one token.", "clipped"),
    "clip_low": _number(
        "How far below 1 a ratio may push a token down; from 1 on, nothing is clipped below.",
        "a number above 0",
        lambda value: value > 0,
    ),
    "clip_high": _number("How far above 1 a ratio may push a token up.", "a number above 0", lambda value: value > 0),
    "aggregation": _choice(
        "How token losses become one number; each denominator is that of the whole update.",
        "token_mean",
        "sequence_mean",
        "constant",
    ),
    "kl_place": _choice("Where the KL to the frozen reference enters.", "none", "loss"),
    "kl_estimator": _choice(
        "k2 in the loss pulls along the reverse KL, k3 along the forward KL; without a place it is not used.",
        "k1",
        "k2",
        "k3",
    ),
    "kl_coefficient": _number(
        "β, the weight of the KL; 0 in the loss only measures it.", "a number, at least 0", lambda value: value >= 0
    ),
    "filter": _choice("Which groups are learned from, decided on outcomes.", "none", "informative"),
    "refill": _switch("Draw further prompts until prompts_per_step groups have passed the filter."),
    "refill_limit": _count(
        "How many times prompts_per_step prompts are drawn at most; then the step trains on what there is."
    ),
    "drop_truncated": _switch("Completions cut at the length limit stay in the baseline but leave the loss."),
    "overlong_buffer_share": _number(
        "Last share of max_completion_tokens over which the reward falls linearly by up to 1; 0 is no punishment.",
        "a number from 0 to below 1",
        lambda value: 0 <= value < 1,
    ),
    "updates_per_step": _count("Optimizer updates that share one rollout; each sees its own part of it."),
}
"""Every cell that a recipe can override, in the order of the row."""


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f'did you mean "{close[0]}"?' if close else "known: " + ", ".join(known)


def preset(name: str) -> Algorithm:
    """Gives the row of that name. Raises RecipeError with the nearest name when there is none."""
    if name not in PRESETS:
        raise RecipeError(f'there is no algorithm "{name}"', hint=_nearest(name, PRESETS))
    return PRESETS[name]


def _checked(name: str, value: object) -> Any:
    """Gives the value of that cell in the cell's own type."""
    if name not in CELLS:
        raise RecipeError(f'an algorithm has no cell "{name}"', hint=_nearest(name, CELLS))
    cell = CELLS[name]
    kinds: tuple[type, ...] = (int, float) if cell.kind is float else (cell.kind,)
    # bool is an int to Python; "clip_high = true" is a mistake to a reader.
    fits = isinstance(value, kinds) and (cell.kind is bool or not isinstance(value, bool))
    if not fits or not cell.accepts(value):
        close = difflib.get_close_matches(str(value), cell.choices, n=1)
        hint = f'{name} = "{close[0]}"' if close else ""
        raise RecipeError(f"{name} is {value!r}; it takes {cell.expects}", hint=hint)
    return float(cast("float", value)) if cell.kind is float else value


def _refuse_impossible(row: Algorithm, given: Iterable[str]) -> None:
    """Raises RecipeError on cells that contradict each other, or that were given and would do nothing."""
    if row.kl_place == "loss" and row.kl_estimator == "k1":
        raise RecipeError(
            "k1 in the loss has expected gradient 0: it adds noise and does not hold the policy near the reference",
            hint='kl_estimator = "k2" for the reverse KL, "k3" for GRPO\'s',
        )
    if row.kl_place == "none" and row.kl_coefficient > 0:
        raise RecipeError(
            f"kl_coefficient is {row.kl_coefficient:g} but kl_place is none, so that no KL would be used",
            hint='kl_place = "loss", or kl_coefficient = 0',
        )
    if row.refill and row.filter == "none":
        raise RecipeError(
            "refill replaces groups that the filter dropped, but filter is none",
            hint='filter = "informative", or refill = false',
        )
    if row.refill and row.refill_limit == 1:
        raise RecipeError(
            "refill with refill_limit 1 draws nothing after the first time",
            hint="refill_limit = 10, or refill = false",
        )
    if not row.refill and row.refill_limit > 1 and "refill_limit" in given:
        raise RecipeError(
            f"refill_limit is {row.refill_limit} but refill is off, so that prompts are drawn once",
            hint='refill = true with filter = "informative", or leave refill_limit out',
        )
    if row.drop_truncated and row.overlong_buffer_share > 0:
        raise RecipeError(
            "drop_truncated takes truncated completions out of the loss, overlong_buffer_share punishes them: "
            "one would hide the other",
            hint="overlong_buffer_share = 0, or drop_truncated = false",
        )


def resolve(name: str, /, **cells: object) -> Algorithm:
    """Gives the row of that name with `cells` overridden.

    `kl_place = "none"` alone also sets `kl_coefficient` to 0. Raises RecipeError on an unknown name or cell (with the
    nearest one), a value that the cell does not take, and combinations that cannot work (with the reason).
    """
    row = preset(name)
    given = {cell: _checked(cell, value) for cell, value in cells.items()}
    if given.get("kl_place") == "none":
        given.setdefault("kl_coefficient", 0.0)
    row = replace(row, **given)
    _refuse_impossible(row, cells)
    return row


def cell_values(algorithm: Algorithm) -> dict[str, str | float | int | bool]:
    """Gives the value of each cell of `CELLS`, in that order."""
    return {cell: getattr(algorithm, cell) for cell in CELLS}


def cell_text(value: str | float | int | bool) -> str:
    """Gives a cell's value as a recipe would write it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"


def describe(algorithm: Algorithm) -> str:
    """Gives the row in a few words: its name and the cells that differ, as in "dapo, with clip_high 0.25"."""
    original = preset(algorithm.name)
    differing = [
        f"{cell} {cell_text(value)}"
        for cell, value in cell_values(algorithm).items()
        if value != getattr(original, cell)
    ]
    if not differing:
        return algorithm.name
    last = differing.pop()
    return (
        f"{algorithm.name}, with {', '.join(differing)} and {last}" if differing else f"{algorithm.name}, with {last}"
    )
