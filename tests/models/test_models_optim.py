"""Schedules by hand, one step of AdamW by hand, and an optimizer that goes on bit for bit after a restart."""

import io
import math

import pytest
import torch
from tiny import make_model
from torch import nn

from rlvr.errors import TrainingError
from rlvr.models.optim import Optimizer, learning_rate_share

PLAIN = {
    "name": "adamw",
    "learning_rate": 0.1,
    "adamw_rate": 0.15,
    "weight_decay": 0.0,
    "start_pull": 0.0,
    "betas": (0.9, 0.95),
    "epsilon": 1e-8,
    "frozen": (),
    "clip_norm": 1.0,
    "updates": 10,
    "schedule": "constant",
    "warmup_share": 0.0,
    "decay_share": 1.0,
    "final_share": 0.0,
}


def optimizer_of(model, **changes):
    return Optimizer(model, **{**PLAIN, **changes})


class Weights(nn.Module):
    """A matrix and a vector, with the embeddings that a language model would have."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[1.0, 2.0]]))
        self.vector = nn.Parameter(torch.tensor([4.0]))


def shares(updates, **changes):
    shape = {"schedule": "linear", "warmup_share": 0.2, "decay_share": 1.0, "final_share": 0.0}
    return [learning_rate_share(u, updates=updates, **{**shape, **changes}) for u in range(updates)]


def test_the_linear_schedule_by_hand():
    # 10 updates, 2 of warm-up: 1/2, 2/2; the other 8 fall by 1/9 each and would reach 0 at the eleventh.
    assert shares(10) == pytest.approx([0.5, 1.0, *(1 - k / 9 for k in range(1, 9))])


def test_the_decay_starts_late_and_ends_above_zero():
    # 10 updates, no warm-up, the last 4 decay to 0.2: 1 - 0.8·k/5 = .84, .68, .52, .36.
    found = shares(10, warmup_share=0.0, decay_share=0.4, final_share=0.2)
    assert found == pytest.approx([1.0] * 6 + [0.84, 0.68, 0.52, 0.36])


def test_the_cosine_schedule_by_hand():
    # 3 updates of decay: (1 + cos(π·k/4)) / 2 at k = 1, 2, 3 = (1 + √½)/2, 1/2, (1 − √½)/2.
    found = shares(3, schedule="cosine", warmup_share=0.0)
    assert found == pytest.approx([(1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])


def test_the_constant_schedule_rises_and_never_falls():
    assert shares(5, schedule="constant", warmup_share=0.4) == pytest.approx([0.5, 1, 1, 1, 1])


def test_warm_up_over_all_updates_leaves_no_decay():
    assert shares(4, warmup_share=1.0) == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_a_single_update_has_a_rate_above_zero():
    assert shares(1)[0] > 0


def test_the_first_step_of_adamw_by_hand():
    model = Weights()
    optimizer = optimizer_of(model, clip_norm=100.0)
    model.matrix.grad, model.vector.grad = torch.tensor([[3.0, -4.0]]), torch.tensor([0.0])
    # m̂ / √v̂ is the gradient's sign at the first step: each entry moves by 0.1.
    assert optimizer.step() == pytest.approx(5.0)
    assert model.matrix.tolist()[0] == pytest.approx([0.9, 2.1])
    assert model.vector.tolist() == [4.0]
    assert model.matrix.grad is None
    assert optimizer.update_index == 1


def test_a_large_epsilon_spares_weights_with_a_small_gradient():
    model = Weights()
    optimizer = optimizer_of(model, clip_norm=100.0, epsilon=0.5)
    model.matrix.grad, model.vector.grad = torch.tensor([[2.0, 0.0]]), torch.tensor([0.02])
    optimizer.step()
    # A first step is the rate times g / (|g| + ε): .1·2/2.5 and .1·.02/.52.
    assert model.matrix.tolist()[0] == pytest.approx([1 - 0.08, 2.0])
    assert model.vector.item() == pytest.approx(4.0 - 0.002 / 0.52, abs=1e-6)


def test_frozen_weights_stay_and_the_others_move():
    model = Weights()
    optimizer = optimizer_of(model, frozen=("mat",))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["vector"]
    (3 * model.matrix.sum() + model.vector.sum()).backward()
    optimizer.step()
    assert model.matrix.tolist() == [[1.0, 2.0]]
    assert model.vector.item() == pytest.approx(3.9)
    assert model.matrix.grad is None


@pytest.mark.parametrize(("frozen", "said"), [(("embed",), "no weight"), (("vec", "mat"), "leaves no weight")])
def test_freezing_nothing_or_everything_is_an_error(frozen, said):
    with pytest.raises(TrainingError, match=said):
        optimizer_of(Weights(), frozen=frozen)


def test_the_second_step_of_adamw_by_hand():
    model = Weights()
    optimizer = optimizer_of(model, clip_norm=100.0)
    for gradient in (1.0, 3.0):
        model.vector.grad = torch.tensor([gradient])
        optimizer.step()
    # m = .9·.1 + .1·3 = .39, m̂ = .39/.19; v = .95·.05 + .05·9 = .4975, v̂ = .4975/.0975
    second = (0.39 / 0.19) / math.sqrt(0.4975 / 0.0975)
    assert model.vector.item() == pytest.approx(4.0 - 0.1 - 0.1 * second, abs=1e-6)


def test_the_gradient_is_clipped_to_the_norm_of_all_parameters_together():
    model = Weights()
    optimizer = optimizer_of(model)
    model.matrix.grad, model.vector.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert optimizer.step() == pytest.approx(5.0)
    # clipped to (.6, 0), .8; AdamW's first moments are a tenth of that
    moments = [state["exp_avg"].flatten().tolist() for state in optimizer.state()["parts"][0]["state"].values()]
    assert moments[0] == pytest.approx([0.06, 0.0], abs=1e-6)
    assert moments[1] == pytest.approx([0.08], abs=1e-6)


def test_the_pull_goes_back_to_the_first_weights_by_its_share_of_the_way():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    found = optimizer_of(model, learning_rate=0.1, schedule="constant", start_pull=2.0)
    for expected in (
        # AdamW's first steps of a constant gradient are its rate: 1 - 0.1 = 0.9, then 0.1 × 2 of the way back to 1
        0.9 + 0.2 * 0.1,
        # 0.92 - 0.1 = 0.82, and back 0.2 × 0.18
        0.82 + 0.2 * 0.18,
    ):
        model.weight.grad = torch.ones(1, 1)
        found.step()
        assert model.weight.item() == pytest.approx(expected, abs=1e-6)


def test_an_optimizer_that_is_restored_pulls_back_to_where_the_first_one_began():
    model, other = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    first = optimizer_of(model, learning_rate=0.1, schedule="constant", start_pull=2.0)
    model.weight.grad = torch.ones(1, 1)
    first.step()
    other.load_state_dict(model.state_dict())
    again = optimizer_of(other, learning_rate=0.1, schedule="constant", start_pull=2.0)
    again.restore(first.state())
    for each, network in ((first, model), (again, other)):
        network.weight.grad = torch.ones(1, 1)
        each.step()
    assert other.weight.item() == model.weight.item() == pytest.approx(0.82 + 0.2 * 0.18, abs=1e-6)


def test_what_goes_on_from_another_optimizer_s_state_keeps_its_own_settings():
    model = nn.Linear(1, 1, bias=False)
    first = optimizer_of(model, start_pull=2.0, weight_decay=0.5, betas=(0.5, 0.6), epsilon=1e-3)
    model.weight.grad = torch.ones(1, 1)
    first.step()
    # Adam's second step from the first one's moments, with decay rates of its own, and neither decay nor pull.
    nn.init.constant_(model.weight, 1.0)
    other = optimizer_of(model, betas=(0.0, 0.0), epsilon=1e-12)
    other.restore(first.state())
    model.weight.grad = torch.full((1, 1), 3.0)
    other.step()
    assert model.weight.item() == pytest.approx(0.9)


def test_the_place_that_an_optimizer_pulls_back_to_can_be_here():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    found = optimizer_of(model, start_pull=2.0)
    nn.init.constant_(model.weight, 5.0)
    found.pull_to_here()
    model.weight.grad = torch.ones(1, 1)
    found.step()
    assert model.weight.item() == pytest.approx(4.9 + 0.2 * 0.1)


def test_weight_decay_touches_matrices_only():
    model = Weights()
    optimizer = optimizer_of(model, weight_decay=0.5)
    model.matrix.grad, model.vector.grad = torch.zeros(1, 2), torch.zeros(1)
    optimizer.step()
    # w ← w − 0.1·0.5·w
    assert model.matrix.tolist()[0] == pytest.approx([0.95, 1.9])
    assert model.vector.tolist() == [4.0]


def test_the_schedule_multiplies_every_part_and_skipped_updates_count():
    model = Weights()
    optimizer = optimizer_of(model, schedule="linear", updates=4)
    rates = []
    for step in range(4):
        rates.append(optimizer.learning_rate)
        if step == 1:
            optimizer.skip()
            continue
        before = model.vector.item()
        model.vector.grad = torch.tensor([1.0])
        optimizer.step()
        assert before - model.vector.item() == pytest.approx(rates[-1], rel=1e-4)
    assert rates == pytest.approx([0.08, 0.06, 0.04, 0.02])


def test_muon_takes_the_matrices_inside_layers_and_adamw_all_others():
    model = make_model()
    optimizer = optimizer_of(model, name="muon")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    (muon, muon_rate), (adamw, adamw_rate) = optimizer._parts
    inside = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    others = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    per_layer = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    per_layer += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    assert inside == {f"model.layers.{i}.{name}.weight" for i in (0, 1) for name in per_layer}
    norms = {f"model.layers.{i}.{name}_layernorm.weight" for i in (0, 1) for name in ("input", "post_attention")}
    assert others == {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight", *norms}
    assert (muon_rate, adamw_rate) == (0.1, pytest.approx(0.015))


def learn(model, optimizer, updates):
    ids = torch.arange(5, 25).view(2, 10)
    for update in updates:
        logits = model(input_ids=(ids + update) % 27 + 5).logits
        logits.square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_restored_optimizer_goes_on_bit_for_bit(name):
    undisturbed = make_model()
    optimizer = optimizer_of(undisturbed, name=name, learning_rate=0.01, schedule="cosine", warmup_share=0.3)
    learn(undisturbed, optimizer, range(3))
    saved = io.BytesIO()
    torch.save({"optimizer": optimizer.state(), "model": undisturbed.state_dict()}, saved)
    learn(undisturbed, optimizer, range(3, 6))
    state = torch.load(io.BytesIO(saved.getvalue()), weights_only=True)
    resumed = make_model(seed=1)
    resumed.load_state_dict(state["model"])
    again = optimizer_of(resumed, name=name, learning_rate=0.01, schedule="cosine", warmup_share=0.3)
    again.restore(state["optimizer"])
    assert again.update_index == 3
    learn(resumed, again, range(3, 6))
    for (key, a), b in zip(undisturbed.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_gradient_that_is_not_finite_stops_training_before_anything_is_changed(name, bad):
    model = make_model()
    optimizer = optimizer_of(model, name=name)
    learn(model, optimizer, range(2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    moments = [
        value.clone() for part in optimizer.state()["parts"] for s in part["state"].values() for value in s.values()
    ]
    model(input_ids=torch.arange(5, 15)[None]).logits.mean().backward()
    model.model.norm.weight.grad[3] = bad
    with pytest.raises(TrainingError, match="gradient of update 2 is not finite"):
        optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    after = [value for part in optimizer.state()["parts"] for s in part["state"].values() for value in s.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, after, strict=True))
    assert optimizer.update_index == 2
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_parameters_are_left_alone():
    model = make_model()
    model.model.embed_tokens.weight.requires_grad_(False)
    before = model.model.embed_tokens.weight.clone()
    optimizer = optimizer_of(model, weight_decay=0.1)
    learn(model, optimizer, range(2))
    assert torch.equal(model.model.embed_tokens.weight, before)
