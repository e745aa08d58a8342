"""An algorithm as a row of cells: what each cell means, which values it takes, and when it takes part.

No torch here, so that a recipe can be checked and explained without it. The choices of a cell are the keys of the
tables in `advantages`, `losses`, `ratios`, `aggregate`, `kl`, `mismatch` and `filters`; a test keeps them equal.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Value = str | float | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One row: a name, its paper, and one value per cell; a cell that a row does not name is off or usual.

    `domains` has by name the rows of domains that have cells of their own.
    """

    name: str
    paper: str
    advantage: Literal["centred", "group_std", "batch_std", "leave_one_out", "returns", "gae"] = "centred"
    whiten: bool = False
    gamma: float = 1.0
    gae_lambda: float = 1.0
    value_clip: float = 0.0
    loss: Literal["clipped", "clamped_weight", "reinforce"] = "clipped"
    ratio: Literal["token", "sequence", "sequence_token"] = "token"
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0
    weight_max: float = 5.0
    aggregation: Literal["token_mean", "sequence_mean", "constant", "sequence_sum"] = "token_mean"
    kl_place: Literal["none", "loss", "reward"] = "none"
    kl_estimator: Literal["k1", "k2", "k3", "k3_k2"] = "k3"
    kl_coefficient: float = 0.0
    kl_target: float = 0.0
    kl_horizon: int = 10_000
    reference_every: int = 0
    entropy_coefficient: float = 0.0
    mismatch: Literal[
        "none", "token_truncate", "sequence_truncate", "token_mask", "sequence_mask", "geometric_mask"
    ] = "none"
    mismatch_low: float = 0.0
    mismatch_high: float = 2.0
    filter: Literal["none", "informative"] = "none"
    refill: bool = False
    refill_limit: int = 1
    drop_truncated: bool = False
    reward_scale: float = 1.0
    overlong_buffer_share: float = 0.0
    missing_end_penalty: float = 0.0
    updates_per_step: int = 1
    epochs_per_step: int = 1
    domains: Mapping[str, "Algorithm"] = field(default_factory=dict, hash=False)

    def of(self, domain: str) -> "Algorithm":
        """The row of the domain's tasks."""
        return self.domains.get(domain, self)

    @property
    def rows(self) -> tuple["Algorithm", ...]:
        """This row, and after it those of the domains."""
        return (self, *self.domains.values())

    @property
    def needs_reference(self) -> bool:
        """Whether the log-probabilities of the reference must be measured."""
        return self.kl_place != "none"

    @property
    def needs_proximal(self) -> bool:
        """Whether the learner's own log-probabilities must be measured before the first update of a step.

        With one update per step they are those of the update's own forward pass, unless a reward needs them before.
        """
        return self.updates_per_step * self.epochs_per_step > 1 or self.kl_place == "reward"

    @property
    def needs_values(self) -> bool:
        """Whether a critic must say what each token's state is worth."""
        return self.advantage == "gae"

    @property
    def needs_group(self) -> bool:
        """Whether a completion is compared with others of its prompt, so that there must be at least 2."""
        return self.per_completion or self.filter == "informative"

    @property
    def per_completion(self) -> bool:
        """Whether all tokens of a completion have one advantage."""
        return self.advantage not in ("returns", "gae")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell means and which values it takes: of type `kind`, with `accepts` true; `expects` says so in words.

    `off` is the value at which it takes no part, None where there is none. It does nothing unless `used` says so of the
    row; `unless` names why not.
    """

    meaning: str
    kind: type
    expects: str
    accepts: Callable[[Any], bool]
    choices: tuple[str, ...] = ()
    off: Value | None = None
    used: Callable[[Algorithm], bool] = lambda row: True
    unless: str = ""


def _choice(meaning: str, *names: str, **more: Any) -> Cell:
    return Cell(meaning, str, "one of " + ", ".join(names), lambda value: value in names, names, **more)


def _number(meaning: str, expects: str, accepts: Callable[[float], bool], **more: Any) -> Cell:
    return Cell(meaning, float, expects, lambda value: math.isfinite(value) and accepts(value), **more)


def _above(meaning: str, **more: Any) -> Cell:
    return _number(meaning, "a number above 0", lambda value: value > 0, **more)


def _from_0(meaning: str, **more: Any) -> Cell:
    return _number(meaning, "a number, at least 0", lambda value: value >= 0, **more)


def _share(meaning: str, **more: Any) -> Cell:
    return _number(meaning, "a number from 0 to 1", lambda value: 0 <= value <= 1, **more)


def _count(meaning: str, *, least: int = 1, **more: Any) -> Cell:
    return Cell(meaning, int, f"a whole number, at least {least}", lambda value: value >= least, **more)


def _switch(meaning: str, **more: Any) -> Cell:
    return Cell(meaning, bool, "true or false", lambda value: True, off=False, **more)


_CRITIC = {"used": lambda row: row.needs_values, "unless": 'advantage is not "gae", so that there is no critic'}
_CLIP = {"used": lambda row: row.loss == "clipped", "unless": 'loss is not "clipped"'}
_KL = {"used": lambda row: row.needs_reference, "unless": "kl_place is none, so that no KL would be used"}

CELLS: dict[str, Cell] = {
    "advantage": _choice(
        "What a reward is compared with, and in which unit.",
        "centred",
        "group_std",
        "batch_std",
        "leave_one_out",
        "returns",
        "gae",
    ),
    "whiten": _switch("Shift and scale the advantages to mean 0 and deviation 1 over all tokens of the step."),
    "gamma": _share(
        "γ, what a reward one token later is worth.",
        used=lambda row: not row.per_completion,
        unless='advantage is neither "returns" nor "gae"',
    ),
    "gae_lambda": _share("λ, from the critic's word alone (0) to what was really earned (1).", **_CRITIC),
    "value_clip": _from_0("How far one step may move a value; 0: as far as it goes.", off=0.0, **_CRITIC),
    "loss": _choice("The loss of one token.", "clipped", "clamped_weight", "reinforce"),
    "ratio": _choice(
        "Whether a token's ratio is its own, that of its whole completion, or the latter with its own gradient.",
        "token",
        "sequence",
        "sequence_token",
        used=lambda row: row.loss != "reinforce",
        unless='loss is "reinforce", which has no ratio',
    ),
    "clip_low": _above("How far below 1 a ratio may push a token down; from 1 on, nothing is clipped below.", **_CLIP),
    "clip_high": _above("How far above 1 a ratio may push a token up.", **_CLIP),
    "dual_clip": _number(
        "The ratio up to which a token with a negative advantage is pushed down; 0: however large.",
        "0, or a number above 1",
        lambda value: value == 0 or value > 1,
        off=0.0,
        **_CLIP,
    ),
    "weight_max": _above(
        "The largest weight of a token's log-probability, absolute: on-policy it is 1.",
        used=lambda row: row.loss == "clamped_weight",
        unless='loss is not "clamped_weight"',
    ),
    "aggregation": _choice(
        "How token losses become one number; each denominator is that of the whole update.",
        "token_mean",
        "sequence_mean",
        "constant",
        "sequence_sum",
    ),
    "kl_place": _choice("Where the KL to the reference enters.", "none", "loss", "reward"),
    "kl_estimator": _choice(
        "In the loss, k2 and k3_k2 pull along the reverse KL, k3 along the forward KL.",
        "k1",
        "k2",
        "k3",
        "k3_k2",
        **_KL,
    ),
    "kl_coefficient": _from_0("β, the weight of the KL; 0 in the loss only measures it.", **_KL),
    "kl_target": _from_0(
        "KL of a completion, in nats, that β is moved towards after each step; 0: β stays.",
        off=0.0,
        used=lambda row: row.kl_place == "reward",
        unless='kl_place is not "reward"',
    ),
    "kl_horizon": _count(
        "Completions over which a KL that is 20 % off moves β by 20 %.",
        used=lambda row: row.kl_target > 0,
        unless="kl_target is 0, so that β stays",
    ),
    "reference_every": _count("Steps after which the policy becomes the reference; 0: never.", least=0, off=0, **_KL),
    "entropy_coefficient": _from_0("Weight of a bonus for spread-out distributions.", off=0.0),
    "mismatch": _choice(
        "How tokens are weighed whose sampler had other numerics, or older weights, than the learner.",
        "none",
        "token_truncate",
        "sequence_truncate",
        "token_mask",
        "sequence_mask",
        "geometric_mask",
        off="none",
    ),
    "mismatch_low": _from_0(
        "Below this ratio of learner to sampler a mask gives weight 0.",
        used=lambda row: row.mismatch.endswith("_mask"),
        unless="mismatch is no mask",
    ),
    "mismatch_high": _above(
        "The largest ratio of learner to sampler; above it the weight stays, or a mask gives 0.",
        used=lambda row: row.mismatch != "none",
        unless="mismatch is none",
    ),
    "filter": _choice("Which groups are learned from, decided on outcomes.", "none", "informative", off="none"),
    "refill": _switch(
        "Draw further prompts until prompts_per_step groups have passed the filter.",
        used=lambda row: row.filter != "none",
        unless="filter is none, so that no group is dropped that could be replaced",
    ),
    "refill_limit": _count(
        "How many times prompts_per_step prompts are drawn at most; then the step trains on what there is.",
        used=lambda row: row.refill,
        unless="refill is off, so that prompts are drawn once",
    ),
    "drop_truncated": _switch("Completions cut at the length limit stay in the baseline but leave the loss."),
    "reward_scale": _above("What the outcome is multiplied by.", off=1.0),
    "overlong_buffer_share": _number(
        "Last share of max_completion_tokens over which the reward falls linearly by up to 1; 0 is no punishment.",
        "a number from 0 to below 1",
        lambda value: 0 <= value < 1,
        off=0.0,
    ),
    "missing_end_penalty": _from_0("What a completion cut at the length limit loses of its reward.", off=0.0),
    "updates_per_step": _count("Optimizer updates that share one rollout; each sees its own part of it."),
    "epochs_per_step": _count("Passes over one rollout, each with updates_per_step updates.", off=1),
}
"""Every cell that a recipe can override, in the order of the row."""


def cell_values(algorithm: Algorithm) -> dict[str, Value]:
    """Gives the value of each cell of `CELLS`, in that order."""
    return {cell: getattr(algorithm, cell) for cell in CELLS}


def in_use(algorithm: Algorithm) -> dict[str, Value]:
    """Gives the values of the cells that take part in this row: used under the others, and not off."""
    return {
        name: value
        for name, value in cell_values(algorithm).items()
        if CELLS[name].used(algorithm) and value != CELLS[name].off
    }


def cell_text(value: Value) -> str:
    """Gives a cell's value as a recipe would write it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"
