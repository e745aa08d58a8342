"""Two data-parallel ranks have the gradient that one has: 1e-10 in float64, 1e-5 of its norm in float32, every row."""

import math

import pytest
import torch
from ranked import LAYOUTS, found, prepare, start
from rows import ROWS

from rlvr.training import ranks

LIMITS = {torch.float64: 1e-10, torch.float32: 1e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def alone(folder):
    return found(folder)


@pytest.fixture(scope="module")
def both(folder):
    (folder / "meeting").mkdir()
    return start(folder / "meeting", 2)


def norm_of(grads):
    return math.sqrt(sum(float((grad.double() ** 2).sum()) for grad in grads.values()))


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("name", [*ROWS, "next token", "value head", "critic"])
def test_two_ranks_have_the_gradient_of_one(name, dtype, alone, both):
    for layout, _ in LAYOUTS:
        loss, stats, grads = alone[name, layout, dtype]
        for of_rank in both:
            their_loss, their_stats, their_grads = of_rank[name, layout, dtype]
            assert abs(their_loss - loss) <= LIMITS[dtype] * max(1.0, abs(loss))
            assert their_stats == pytest.approx(stats, rel=1e-4, abs=1e-6)
            assert len(their_grads) == len(grads) > 0
            for theirs, ours in zip(their_grads, grads, strict=True):
                norm = norm_of(ours)
                assert norm > 0
                assert norm_of({key: ours[key] - theirs[key] for key in ours}) <= LIMITS[dtype] * norm


@pytest.mark.parametrize("name", [*ROWS, "value head", "critic"])
def test_in_float32_packing_changes_the_gradient_by_rounding_only(name, alone):
    padded, packed = (alone[name, layout, torch.float32][2] for layout, _ in LAYOUTS)
    for ours, theirs in zip(padded, packed, strict=True):
        assert norm_of({key: ours[key] - theirs[key] for key in ours}) <= LIMITS[torch.float32] * norm_of(ours)


def test_both_ranks_have_the_same_bits(both):
    for key, (loss, stats, grads) in both[0].items():
        their_loss, their_stats, their_grads = both[1][key]
        assert (loss, stats) == (their_loss, their_stats), key
        for ours, theirs in zip(grads, their_grads, strict=True):
            assert all(torch.equal(ours[place], theirs[place]) for place in ours), key


def test_the_share_of_a_rank_is_every_second_microbatch(monkeypatch):
    monkeypatch.setattr(ranks, "num_ranks", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(ranks.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(ranks.own_share(range(5)))
    assert shares == [[0, 2, 4], [1, 3]]
