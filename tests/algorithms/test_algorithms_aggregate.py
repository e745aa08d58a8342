"""Aggregation: hand-worked weights, and that neither splitting nor packing changes loss or gradient."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.kl import k3
from rlvr.algorithms.losses import Bounds, clipped
from rlvr.errors import TrainingError

VOCABULARY, HIDDEN, LIMIT = 7, 5, 9
DENOMINATORS = {"tokens_in_update": 4, "sequences_in_update": 2, "max_completion_tokens": 5}


@pytest.fixture(autouse=True)
def double_precision():
    """Weights come in torch's default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_mean", [[1 / 4, 1 / 4, 0, 1 / 4], [1 / 4, 0, 0, 0]]),  # 4 trainable tokens
        ("sequence_mean", [[1 / 6, 1 / 6, 0, 1 / 6], [1 / 2, 0, 0, 0]]),  # 1/(3 · 2) and 1/(1 · 2)
        ("constant", [[1 / 10, 1 / 10, 0, 1 / 10], [1 / 10, 0, 0, 0]]),  # 1/(2 · 5)
        ("sequence_sum", [[1 / 2, 1 / 2, 0, 1 / 2], [1 / 2, 0, 0, 0]]),  # 1/2
    ],
)
def test_weights_of_three_trained_tokens_and_one(name, expected):
    trainable = torch.tensor([[True, True, False, True], [True, False, False, False]])
    sequence_tokens = torch.tensor([[3, 3, 3, 3], [1, 1, 0, 0]])
    np.testing.assert_allclose(AGGREGATIONS[name](trainable, sequence_tokens, **DENOMINATORS), expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["token_mean", "sequence_mean"])
def test_the_weights_of_a_whole_update_sum_to_one(name):
    trainable = torch.tensor([[True, True, True, False], [False, True, False, False]])
    sequence_tokens = torch.tensor([[3, 3, 3, 3], [1, 1, 1, 1]])
    assert AGGREGATIONS[name](trainable, sequence_tokens, **DENOMINATORS).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "denominator"),
    [
        ("token_mean", "tokens_in_update"),
        ("sequence_mean", "sequences_in_update"),
        ("constant", "sequences_in_update"),
        ("constant", "max_completion_tokens"),
        ("sequence_sum", "sequences_in_update"),
    ],
)
def test_a_denominator_of_zero_is_an_error_that_names_it(name, denominator):
    nothing = torch.zeros(1, 1, dtype=torch.bool)
    with pytest.raises(TrainingError, match=denominator):
        AGGREGATIONS[name](nothing, nothing.long(), **(DENOMINATORS | {denominator: 0}))


class Toy:
    """An update of sequences of a linear model: features, token ids, masks and numbers to learn from."""

    def __init__(self, lengths: list[int], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        self.features = [normal(n, HIDDEN) for n in lengths]
        self.ids = [torch.randint(VOCABULARY, (n,), generator=generator) for n in lengths]
        self.trainable = [torch.rand(n, generator=generator) < 0.7 for n in lengths]
        self.trainable[0][0] = True
        self.advantages = [normal(1).expand(n) for n in lengths]
        self.proximal = [-normal(n).abs() for n in lengths]
        self.reference = [-normal(n).abs() for n in lengths]
        # Small, so that log-ratios stay far from the guards that the loop does not have.
        self.weight = 0.3 * normal(HIDDEN, VOCABULARY)
        self.denominators = {
            "tokens_in_update": int(sum(m.sum() for m in self.trainable)),
            "sequences_in_update": len(lengths),
            "max_completion_tokens": LIMIT,
        }

    def lay_out(self, members: list[int], *, packed: bool) -> list[torch.Tensor]:
        """Gives the tensors [B, T, …] of one microbatch: a padded rectangle, or one row."""
        per_token = [torch.full((len(self.ids[i]),), int(self.trainable[i].sum())) for i in members]
        columns = [[self.features[i] for i in members], [self.ids[i] for i in members], per_token]
        for source in (self.trainable, self.advantages, self.proximal, self.reference):
            columns.append([source[i] for i in members])
        if packed:
            return [torch.cat(column).unsqueeze(0) for column in columns]
        return [torch.nn.utils.rnn.pad_sequence(column, batch_first=True) for column in columns]

    def run(self, microbatches: list[list[int]], aggregation: str, *, packed: bool) -> tuple[float, torch.Tensor]:
        """Gives loss and gradient of the update, accumulated over the microbatches."""
        weight, total = self.weight.clone().requires_grad_(), 0.0
        for members in microbatches:
            features, ids, lengths, trainable, advantages, proximal, reference = self.lay_out(members, packed=packed)
            logprobs = (features @ weight).log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
            loss = clipped(logprobs, logprobs - proximal, advantages, Bounds(0.2, 0.28, 0.0, 5.0)) + 0.05 * k3(
                logprobs, reference
            )
            part = (loss * AGGREGATIONS[aggregation](trainable, lengths, **self.denominators)).sum()
            part.backward()
            total += part.item()
        return total, weight.grad

    def by_hand(self, aggregation: str) -> float:
        """Gives the loss by a loop over sequences and tokens, from the written formula."""
        total = 0.0
        for i, ids in enumerate(self.ids):
            logprobs = (self.features[i] @ self.weight).log_softmax(dim=-1)
            own = 0.0
            for t, token in enumerate(ids.tolist()):
                if self.trainable[i][t]:
                    now, adv = logprobs[t, token].item(), self.advantages[i][t].item()
                    r = np.exp(now - self.proximal[i][t].item())
                    x = now - self.reference[i][t].item()
                    own += -min(r * adv, np.clip(r, 0.8, 1.28) * adv) + 0.05 * (np.exp(-x) + x - 1)
            count = max(1, int(self.trainable[i].sum()))
            total += {
                "token_mean": own / self.denominators["tokens_in_update"],
                "sequence_mean": own / count / len(self.ids),
                "constant": own / (len(self.ids) * LIMIT),
                "sequence_sum": own / len(self.ids),
            }[aggregation]
        return total


@st.composite
def updates(draw):
    lengths = draw(st.lists(st.integers(1, LIMIT), min_size=2, max_size=7))
    order = draw(st.permutations(range(len(lengths))))
    cuts = sorted(draw(st.sets(st.integers(1, len(lengths) - 1))))
    bounds = [0, *cuts, len(lengths)]
    split = [list(order[a:b]) for a, b in pairwise(bounds)]
    return Toy(lengths, draw(st.integers(0, 10**6))), split


def assert_same(one, other):
    assert one[0] == pytest.approx(other[0], abs=1e-10, rel=1e-10)
    np.testing.assert_allclose(one[1], other[1], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", AGGREGATIONS)
@settings(max_examples=40)
@given(case=updates())
def test_any_microbatch_split_in_any_order_gives_the_same_loss_and_gradient(name, case):
    toy, split = case
    whole = toy.run([list(range(len(toy.ids)))], name, packed=False)
    assert_same(toy.run(split, name, packed=False), whole)
    assert whole[0] == pytest.approx(toy.by_hand(name), abs=1e-10, rel=1e-10)


@pytest.mark.parametrize("name", AGGREGATIONS)
@settings(max_examples=40)
@given(case=updates())
def test_packing_and_padding_give_the_same_loss_and_gradient(name, case):
    toy, split = case
    assert_same(toy.run(split, name, packed=True), toy.run(split, name, packed=False))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_skipping_a_group_without_a_signal_changes_neither_loss_nor_gradient_of_the_others(name):
    # With zero advantages and no KL, a sequence contributes 0; the denominators still count it.
    toy = Toy([4, 6, 3], seed=1)
    toy.advantages[2] = torch.zeros(3)
    toy.reference = [
        (f @ toy.weight).log_softmax(dim=-1).gather(-1, i.unsqueeze(-1)).squeeze(-1)
        for f, i in zip(toy.features, toy.ids, strict=True)
    ]
    assert_same(toy.run([[0, 1]], name, packed=False), toy.run([[0, 1, 2]], name, packed=False))
