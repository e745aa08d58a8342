"""The losses of the preference stage: what each one needs, its defaults, and which keys only some of them read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LossName = Literal["sigmoid", "sigmoid_norm", "ipo", "hinge", "simpo", "kto"]


@dataclass(frozen=True, slots=True)
class LossRow:
    """One loss. `beta` is its default; `own` are the keys that not every loss reads, with their defaults under it.

    `reference` says whether it measures a reference, `paired` whether it learns from pairs.
    """

    beta: float
    own: Mapping[str, float] = field(default_factory=dict)
    reference: bool = True
    paired: bool = True


_SMOOTHING = {"label_smoothing": 0.0, "robust": False}

LOSS_ROWS: dict[str, LossRow] = {
    "sigmoid": LossRow(beta=0.1, own=_SMOOTHING),
    "sigmoid_norm": LossRow(beta=5.0, own=_SMOOTHING),
    "ipo": LossRow(beta=5.0),
    "hinge": LossRow(beta=0.1),
    "simpo": LossRow(beta=2.0, own={"target_margin": 1.0}, reference=False),
    "kto": LossRow(beta=0.1, own={"desirable_weight": 1.0, "undesirable_weight": 1.0}, paired=False),
}
"""Where each default comes from stands in docs/papers.md. A beta per token is about a completion's length times one per
sum, so no two losses share a default by accident."""

NEUTRAL: dict[str, float] = {
    "label_smoothing": 0.0,
    "robust": False,
    "target_margin": 0.0,
    "desirable_weight": 1.0,
    "undesirable_weight": 1.0,
    "nll_coefficient": 0.0,
}
"""The value of a key under which it does nothing, whatever the loss."""

_WHY = {
    "label_smoothing": "it mixes −log σ of both orders of a pair",
    "robust": "it corrects a smoothed −log σ",
    "target_margin": "it is what a gap of rewards without a reference has to exceed",
    "desirable_weight": "it weighs completions that come without a partner",
    "undesirable_weight": "it weighs completions that come without a partner",
}


def with_loss_defaults(value: Any) -> Any:
    """Gives the keys of a stage with what its loss takes for those that were left out."""
    if not isinstance(value, dict):
        return value
    row = LOSS_ROWS.get(str(value.get("loss", "sigmoid")))
    return value if row is None else {"beta": row.beta, **row.own, **value}


def misfit(loss: str, values: Mapping[str, Any]) -> str:
    """Says which of the keys in NEUTRAL has no meaning under that loss, and why; "" where all fit."""
    row = LOSS_ROWS[loss]
    for key, reason in _WHY.items():
        if key not in row.own and values[key] != NEUTRAL[key]:
            readers = ", ".join(name for name, other in LOSS_ROWS.items() if key in other.own)
            return f"{key} is a key of {readers}, not of {loss}: {reason}"
    if not row.paired and values["nll_coefficient"]:
        return f"nll_coefficient weighs the chosen completion of a pair, and {loss} has no pairs"
    if values["robust"] and not values["label_smoothing"]:
        return "robust = true corrects for label_smoothing, which is 0; give the share of pairs that are flipped"
    return ""


def describe_loss(loss: str, values: Mapping[str, Any]) -> str:
    """Gives the loss with its numbers, as a plan prints it: "loss simpo, beta 2, target_margin 1, no reference"."""
    row = LOSS_ROWS[loss]
    shown = {key: values[key] for key in (*row.own, "nll_coefficient") if values[key] != NEUTRAL[key]}
    words = [f"loss {loss}", f"beta {values['beta']:g}"]
    words += [key if value is True else f"{key} {value:g}" for key, value in shown.items()]
    return ", ".join([*words, *([] if row.reference else ["no reference"])])


def defaults_of(key: str) -> str:
    """Gives the default of `beta` or of an own key under each loss that reads it: "sigmoid 0.1, sigmoid_norm 5"."""
    rows = {name: {"beta": row.beta, **row.own} for name, row in LOSS_ROWS.items()}
    return ", ".join(f"{name} {row[key]:g}" for name, row in rows.items() if key in row)
