"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from rlvr.errors import TrainingError
from rlvr.models.muon import Muon


def learning_rate_share(
    update: int, *, updates: int, schedule: str, warmup_share: float, decay_share: float, final_share: float
) -> float:
    """Gives the learning rate of an update (0-based) as a share of the peak.

    Rises linearly over the first `warmup_share` of all updates, stays at the peak, then falls over the last
    `decay_share` to `final_share`: linearly or along a half cosine. "constant" never falls.
    """
    warmup = round(updates * warmup_share)
    if update < warmup:
        return (update + 1) / warmup
    decay = min(round(updates * decay_share), updates - warmup)
    into = update - (updates - decay) + 1
    if schedule == "constant" or into <= 0 or decay == 0:
        return 1.0
    share = into / (decay + 1)
    if schedule == "cosine":
        share = 0.5 * (1 - math.cos(math.pi * share))
    return 1.0 - (1.0 - final_share) * share


class Optimizer:
    """AdamW, or Muon with AdamW for what is no matrix inside a layer; clips the gradient and follows a schedule.

    Weights whose name holds a word of `frozen` are taken out of training. With `start_pull` each update also goes the
    share learning rate × start_pull of the way back to the weights that the optimizer was made with: what the gradient
    does not ask for again and again wears off, and what a stage does not train drifts less. Raises TrainingError for a
    word that no name holds, and when nothing is left to train.
    Source of the pull: Li, Grandvalet and Davoine, "Explicit inductive bias for transfer learning with convolutional
    networks" (arXiv:1802.01483), L2-SP, decoupled from the gradient as in AdamW.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        learning_rate: float,
        adamw_rate: float,
        weight_decay: float,
        start_pull: float,
        betas: tuple[float, float],
        epsilon: float,
        frozen: Sequence[str],
        clip_norm: float,
        updates: int,
        schedule: str,
        warmup_share: float,
        decay_share: float,
        final_share: float,
    ) -> None:
        _freeze(model, frozen)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._clip_norm, self._start_pull = clip_norm, start_pull
        self._start = [p.detach().clone() for p in self._parameters] if start_pull else []
        self._shape = {
            "updates": updates,
            "schedule": schedule,
            "warmup_share": warmup_share,
            "decay_share": decay_share,
            "final_share": final_share,
        }
        self.update_index = 0
        self._parts: list[tuple[torch.optim.Optimizer, float]] = []
        inside, others = _matrices_inside_layers(model) if name == "muon" else ([], self._parameters)
        rate = learning_rate
        if inside:
            muon = Muon(inside, lr=learning_rate, weight_decay=weight_decay, momentum=0.95)
            self._parts.append((muon, learning_rate))
            rate = learning_rate * adamw_rate
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        used = [group for group in groups if group["params"]]
        adamw = torch.optim.AdamW(used, lr=rate, betas=betas, eps=epsilon, foreach=True)
        self._parts.append((adamw, rate))

    @property
    def learning_rate(self) -> float:
        """The peak-relative schedule times the first optimizer's peak: what the next update uses."""
        return learning_rate_share(self.update_index, **self._shape) * self._parts[0][1]  # type: ignore[arg-type]

    def step(self) -> float:
        """Clips, applies one update, clears the gradient and gives the gradient's norm before clipping.

        Raises TrainingError, before anything is changed, when the gradient is not finite.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm, foreach=True))
        if not math.isfinite(norm):
            self.clear()
            raise TrainingError(
                f"the gradient of update {self.update_index} is not finite (norm {norm})",
                hint="lower optimizer.learning_rate, or train in model.dtype=float32",
            )
        share = learning_rate_share(self.update_index, **self._shape)  # type: ignore[arg-type]
        for optimizer, peak in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()
        if self._start:
            with torch.no_grad():
                for weights, start in zip(self._parameters, self._start, strict=True):
                    weights.add_(start - weights, alpha=self._start_pull * self.learning_rate)
        self.clear()
        self.update_index += 1
        return norm

    def skip(self) -> None:
        """Counts an update that had nothing to learn from, so that the schedule goes on."""
        self.clear()
        self.update_index += 1

    def clear(self) -> None:
        """Drops all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """Gives what `restore` needs to go on exactly here."""
        parts = [part.state_dict() for part, _ in self._parts]
        return {"update_index": self.update_index, "parts": parts, "start": self._start}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state that `state` gave: of the same weights, by an optimizer of the same name."""
        self.update_index = int(state["update_index"])
        for (part, _), saved in zip(self._parts, state["parts"], strict=True):
            # torch brings back the saved settings too; a stage that continues another may have others.
            own = [{key: value for key, value in group.items() if key != "params"} for group in part.param_groups]
            part.load_state_dict(saved)
            for group, settings in zip(part.param_groups, own, strict=True):
                group.update(settings)
        if (kept := state.get("start")) and self._start:
            self._start = [saved.to(own) for saved, own in zip(kept, self._start, strict=True)]

    def pull_to_here(self) -> None:
        """Makes the weights as they are now those that `start_pull` pulls back to."""
        if self._start:
            self._start = [p.detach().clone() for p in self._parameters]


def _freeze(model: nn.Module, words: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for word in words:
        if not any(word in name for name in names):
            raise TrainingError(
                f"frozen holds {word!r}, which is in the name of no weight",
                hint=f"the names begin with {', '.join(names[:3])}, …",
            )
    for name, parameter in model.named_parameters():
        if any(word in name for word in words):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError(f"frozen = {list(words)} leaves no weight to train", hint="name fewer weights")


def _matrices_inside_layers(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    embeddings = {
        id(parameter)
        for module in (
            model.get_input_embeddings(),  # type: ignore[operator]
            model.get_output_embeddings(),  # type: ignore[operator]
            getattr(model, "score", None),  # the head of a reward model or critic
        )
        if module is not None
        for parameter in module.parameters()
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    inside = [p for p in trained if p.ndim == 2 and id(p) not in embeddings]
    chosen = {id(p) for p in inside}
    return inside, [p for p in trained if id(p) not in chosen]
