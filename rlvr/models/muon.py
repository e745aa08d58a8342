"""Muon for many small matrices on a CPU."""

from typing import Any

import torch
from torch import Tensor

STEPS = 5
A, B, C = 3.4445, -4.775, 2.0315
"""The polynomial A·s + B·s³ + C·s⁵ that drives every singular value s in (0, 1] towards 1."""


class Muon(torch.optim.Muon):
    """torch's Muon, orthogonalising matrices of one shape together and in their own precision where they lie on a CPU.

    torch takes one matrix after the other, in bfloat16. A CPU without bfloat16 units needs about 120 CPU-ms that way
    for the 21 matrices of the laptop's model, and 8 this way (`python benchmarks/bench_muon.py`).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Applies one update to all matrices that have a gradient."""
        assert closure is None, "the gradient is there before the update"
        for group in self.param_groups:
            same: dict[tuple[torch.Size, torch.device], list[Tensor]] = {}
            for matrix in (p for p in group["params"] if p.grad is not None):
                same.setdefault((matrix.shape, matrix.device), []).append(matrix)
            if any(device.type != "cpu" for _, device in same):
                super().step()  # type: ignore[no-untyped-call]
                return
            for (shape, _), matrices in same.items():
                rate = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                for matrix, update in zip(matrices, self._directions(matrices, group["momentum"]), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.sub_(update, alpha=rate)

    def _directions(self, matrices: list[Tensor], momentum: float) -> Tensor:
        """Moves the momenta on, and gives the orthogonalised Nesterov updates of matrices of one shape [N,R,C]."""
        updates = []
        for matrix in matrices:
            assert matrix.grad is not None
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix.grad)
            buffer = state["momentum_buffer"]
            buffer.lerp_(matrix.grad, 1 - momentum)
            updates.append(matrix.grad.lerp(buffer, momentum))
        return orthogonalised(torch.stack(updates))


def orthogonalised(matrices: Tensor) -> Tensor:
    """Gives for matrices U·diag(s)·Vᵀ [N,R,C] the matrices U·diag(p(s / |s|))·Vᵀ, p five steps of the polynomial.

    |s| is the Frobenius norm. Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x if wide else x.mT
