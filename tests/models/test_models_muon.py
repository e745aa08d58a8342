"""Muon's orthogonalisation against singular values, and its updates against torch's own."""

import pytest
import torch

from rlvr.models.muon import A, B, C, Muon, orthogonalised


def polynomial(values):
    for _ in range(5):
        values = A * values + B * values**3 + C * values**5
    return values


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 4, 7), (2, 7, 4)])
def test_the_singular_values_go_through_the_polynomial_and_the_vectors_stay(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    scaled = polynomial(values / values.norm(dim=1, keepdim=True))
    torch.testing.assert_close(orthogonalised(matrices), left @ torch.diag_embed(scaled) @ right)


def test_a_gradient_of_zeros_gives_no_update():
    assert not orthogonalised(torch.zeros(2, 3, 5)).any()


def trained(kind, shapes):
    generator = torch.Generator().manual_seed(3)
    matrices = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    optimizer = kind(matrices, lr=0.1, weight_decay=0.3, momentum=0.9)
    for _ in range(4):
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        matrices[0].grad = None  # this one rests
        optimizer.step()
    return matrices, optimizer


def test_updates_equal_those_of_torch_up_to_its_bfloat16():
    shapes = [(6, 6), (6, 6), (12, 6), (6, 12), (6, 6)]
    (ours, mine), (theirs, torchs) = trained(Muon, shapes), trained(torch.optim.Muon, shapes)
    for a, b in zip(ours, theirs, strict=True):
        # Four updates of about 0.1 · sqrt(max(1, rows / columns)) an entry's share; bfloat16 keeps 8 bits.
        torch.testing.assert_close(a, b, atol=6e-3, rtol=0)
    torch.testing.assert_close(mine.state_dict()["state"], torchs.state_dict()["state"])
