"""Algorithms by name: the rows of the field, and how a recipe changes their cells."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

from rlvr.algorithms.algorithm import CELLS, Algorithm, cell_text, cell_values
from rlvr.algorithms.refusals import refuse_impossible
from rlvr.errors import RecipeError

PRESETS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm(
            name="grpo",
            paper="arXiv:2402.03300",
            advantage="group_std",
            clip_low=0.2,
            clip_high=0.2,
            aggregation="sequence_mean",
            kl_place="loss",
            kl_estimator="k3",
            kl_coefficient=0.04,
        ),
        Algorithm(
            name="dr_grpo",
            paper="arXiv:2503.20783",
            advantage="centred",
            clip_low=0.2,
            clip_high=0.2,
            aggregation="constant",
            updates_per_step=8,
        ),
        Algorithm(
            name="dapo",
            paper="arXiv:2503.14476",
            advantage="group_std",
            clip_low=0.2,
            clip_high=0.28,
            aggregation="token_mean",
            filter="informative",
            refill=True,
            refill_limit=10,
            overlong_buffer_share=0.2,
            updates_per_step=16,
        ),
        Algorithm(
            name="gspo",
            paper="arXiv:2507.18071",
            advantage="group_std",
            ratio="sequence",
            clip_low=3e-4,
            clip_high=4e-4,
            aggregation="sequence_mean",
            updates_per_step=4,
        ),
        Algorithm(
            name="cispo",
            paper="arXiv:2506.13585",
            advantage="group_std",
            loss="clamped_weight",
            weight_max=5.0,
            aggregation="token_mean",
            filter="informative",
            refill=True,
            refill_limit=10,
            overlong_buffer_share=0.2,
            updates_per_step=16,
        ),
        Algorithm(
            name="rloo",
            paper="arXiv:2402.14740",
            advantage="leave_one_out",
            loss="reinforce",
            aggregation="sequence_sum",
            kl_place="reward",
            kl_estimator="k1",
            kl_coefficient=0.03,
            updates_per_step=2,
        ),
        Algorithm(
            name="reinforce_pp",
            paper="arXiv:2501.03262",
            advantage="returns",
            whiten=True,
            gamma=1.0,
            clip_low=0.2,
            clip_high=0.2,
            aggregation="token_mean",
            kl_place="reward",
            kl_estimator="k1",
            kl_coefficient=0.01,
            updates_per_step=4,
        ),
        Algorithm(
            name="reinforce_pp_baseline",
            paper="arXiv:2501.03262",
            advantage="centred",
            whiten=True,
            clip_low=0.2,
            clip_high=0.2,
            aggregation="token_mean",
            kl_place="loss",
            kl_estimator="k2",
            kl_coefficient=0.01,
            updates_per_step=4,
        ),
        Algorithm(
            name="ppo",
            paper="arXiv:1707.06347",
            advantage="gae",
            whiten=True,
            gamma=1.0,
            gae_lambda=0.95,
            value_clip=0.2,
            clip_low=0.2,
            clip_high=0.2,
            aggregation="token_mean",
            kl_place="reward",
            kl_estimator="k1",
            kl_coefficient=0.05,
            epochs_per_step=4,
        ),
        Algorithm(
            name="tulu3",
            paper="arXiv:2411.15124",
            advantage="gae",
            whiten=True,
            gamma=1.0,
            gae_lambda=0.95,
            value_clip=0.2,
            clip_low=0.2,
            clip_high=0.2,
            aggregation="token_mean",
            kl_place="reward",
            kl_estimator="k1",
            kl_coefficient=0.05,
            reward_scale=10.0,
            missing_end_penalty=10.0,
            epochs_per_step=4,
        ),
        Algorithm(
            name="r1_zero",
            paper="arXiv:2501.12948",
            advantage="group_std",
            clip_low=10.0,
            clip_high=10.0,
            aggregation="sequence_mean",
            kl_place="loss",
            kl_estimator="k3",
            kl_coefficient=0.001,
            reference_every=25,
            updates_per_step=16,
        ),
    )
}
"""Every row by its name in a recipe; `papers` says where each cell comes from."""

USUAL: dict[str, Any] = {field.name: field.default for field in fields(Algorithm) if field.name in CELLS}
"""What a cell is where a row does not name it."""


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


BY_DOMAIN = (
    "advantage", "loss", "ratio", "clip_low", "clip_high", "dual_clip", "weight_max", "aggregation", "kl_estimator",
    "kl_coefficient", "entropy_coefficient", "mismatch", "mismatch_low", "mismatch_high", "reward_scale",
    "overlong_buffer_share", "missing_end_penalty",
)  # fmt: skip
"""The cells that a domain may have of its own: those of one completion. The others are of the step as a whole.

Denominators stay those of the whole update. A domain with cells of its own has its own `batch_std`."""


def resolve(name: str, /, *, domains: object = None, **cells: object) -> Algorithm:
    """Gives the row of that name with `cells` overridden, and with further ones for single `domains`, by their names.

    A cell of the preset that the others make useless becomes what it usually is: with `kl_place = "none"` there is no
    coefficient. Raises RecipeError on an unknown name or cell (with the nearest one), a value that the cell does not
    take, a given cell that would do nothing, and combinations that cannot work (with the reason).
    """
    row = _resolved(name, cells)
    if domains is None:
        return row
    if not isinstance(domains, Mapping):
        raise RecipeError(
            f"algorithm.domains is {domains!r}; domains were expected, each with its cells",
            hint="domains = { functions = { clip_high = 0.3 } }",
        )
    found = {domain: _of_domain(row, cells, domain, own) for domain, own in domains.items()}
    return replace(row, domains=found)


def _of_domain(row: Algorithm, cells: Mapping[str, object], domain: str, own: object) -> Algorithm:
    """Gives the row of one domain; raises RecipeError for a cell that all domains share."""
    where = f"algorithm.domains.{domain}"
    if not isinstance(own, Mapping) or not own:
        raise RecipeError(f"{where} is {own!r}; cells were expected", hint=f"rlvr.{where}.clip_high=0.3")
    if shared := [cell for cell in own if cell in CELLS and cell not in BY_DOMAIN]:
        raise RecipeError(
            f"{where} has {shared[0]}, which is of the step as a whole and the same for all domains",
            hint="a domain may have: " + ", ".join(BY_DOMAIN),
        )
    try:
        found = _resolved(row.name, {**cells, **own}, asked_for=own)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error.message}", hint=error.hint) from None
    if "advantage" in own and not (row.per_completion and found.per_completion):
        raise RecipeError(
            f"{where} has advantage {found.advantage}, but that of the row is {row.advantage}: only advantages of "
            "whole completions can differ by domain",
            hint="advantage = centred, group_std, batch_std or leave_one_out, in both",
        )
    if (of_kl := [cell for cell in own if cell.startswith("kl_")]) and row.kl_place != "loss":
        raise RecipeError(f"{where} has {of_kl[0]}, but kl_place is {row.kl_place}", hint="kl_place = loss")
    return found


def _resolved(name: str, cells: Mapping[str, object], *, asked_for: Mapping[str, object] | None = None) -> Algorithm:
    """Gives the row; a cell of `asked_for`, all of them where it is None, that would do nothing is refused."""
    given = {cell: _checked(cell, value) for cell, value in cells.items()}
    wanted = cells if asked_for is None else asked_for
    row = replace(preset(name), **given)
    # Twice: a cell may be of no use because another is.
    for _ in range(2):
        idle = [cell for cell in CELLS if not CELLS[cell].used(row)]
        for cell in idle:
            if cell in wanted and given[cell] not in (USUAL[cell], CELLS[cell].off):
                raise RecipeError(
                    f"{cell} is {cell_text(given[cell])} but {CELLS[cell].unless}", hint=f"leave {cell} out"
                )
        row = replace(row, **{cell: USUAL[cell] for cell in idle})
    refuse_impossible(row)
    return row


def describe(algorithm: Algorithm) -> str:
    """Gives the row in a few words: its name and the cells that differ, as in "dapo, with clip_high 0.25"."""
    original = preset(algorithm.name)
    said = f"{algorithm.name}{_with(algorithm, original)}"
    for name, row in algorithm.domains.items():
        if own := _with(row, algorithm):
            said += f"; for {name}{own}"
    return said


def _with(row: Algorithm, other: Algorithm) -> str:
    """Says in which cells a row differs from another one: "", ", with clip_high 0.25", …"""
    differing = [
        f"{cell} {cell_text(value)}"
        for cell, value in cell_values(row).items()
        if value != getattr(other, cell) and CELLS[cell].used(row)
    ]
    last = differing[-1:]
    return f", with {' and '.join([*filter(None, [', '.join(differing[:-1])]), *last])}" if last else ""
