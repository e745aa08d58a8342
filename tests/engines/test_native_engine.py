"""What the native engine promises about stopping, lengths, weights and modes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlvr import keyed
from rlvr.engines.base import Request, Sampling
from rlvr.engines.native.engine import NativeEngine
from rlvr.errors import EngineError

EOS = 1
VOCABULARY = 96
GREEDY = Sampling(0.0, 8, (EOS,), 0, "test")


def request(prompt, *, id=0, samples=1, **changes):
    return Request(id, 0, np.array(prompt), samples, replace(GREEDY, **changes))


@pytest.fixture
def engine(make_model, tokenizer):
    return NativeEngine(make_model("llama"), tokenizer, num_slots=4, max_length=32)


def always(model, token):
    """Makes the network's most likely token `token`, by far, whatever it reads."""
    with torch.no_grad():
        model.model.norm.weight.zero_()
        model.lm_head = torch.nn.Linear(model.config.hidden_size, VOCABULARY)
        model.lm_head.weight.zero_()
        model.lm_head.bias.zero_()
        model.lm_head.bias[token] = 50.0
    return model


def test_a_stop_token_ends_the_completion_and_is_kept_in_its_ids_but_not_in_its_text(make_model, tokenizer, run_all):
    engine = NativeEngine(always(make_model("llama"), EOS), tokenizer, num_slots=4, max_length=32)
    done = run_all(engine, [request([2, 3, 4])])[0, 0].completion
    assert done.token_ids.tolist() == [EOS]
    assert (done.text, done.finish, done.trainable.tolist()) == ("", "stop", [True])
    # logits are 50 for one token and 0 for 95: log p = -log(1 + 95 e^-50), which is 0 in float32
    assert done.logprobs.tolist() == [0.0]


def test_without_a_stop_token_the_limit_ends_the_completion_and_special_tokens_stay_in_its_text(
    make_model, tokenizer, run_all
):
    engine = NativeEngine(always(make_model("llama"), EOS), tokenizer, num_slots=4, max_length=32)
    done = run_all(engine, [request([2, 3], stop_token_ids=(7,), max_new_tokens=3)])[0, 0].completion
    assert done.token_ids.tolist() == [EOS] * 3
    assert (done.text, done.finish) == ("<eos> <eos> <eos>", "length")


def test_prompt_and_completion_stay_within_max_length(engine, run_all):
    # 32 - 30 = 2 tokens of room, although 8 are asked for
    done = run_all(engine, [request(range(2, 32), stop_token_ids=())])[0, 0].completion
    assert (len(done.token_ids), done.finish) == (2, "length")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (request(range(2, 34)), "32 tokens; between 1 and 31"),
        (request([]), "0 tokens; between 1 and 31"),
        (request([2, 96]), "from 1 to 96; the network knows 0 to 95"),
        (request([2], max_new_tokens=0), "at most 0 tokens"),
        (request([2], temperature=float("nan")), "temperature nan"),
        (request([2], samples=0), "0 samples"),
    ],
)
def test_a_request_that_cannot_be_completed_is_refused_and_nothing_is_queued(engine, bad, words):
    with pytest.raises(EngineError, match=words):
        engine.submit([request([2, 3], id=5), bad])
    assert not engine.has_work
    assert engine.step() == []


def test_an_id_in_flight_cannot_be_used_again_until_it_is_done(engine, run_all):
    first = request([2, 3])
    engine.submit([first])
    with pytest.raises(EngineError, match="id 0 is already in flight"):
        engine.submit([first])
    while engine.has_work:
        engine.step()
    run_all(engine, [first])


def test_greedy_takes_the_most_likely_token_of_a_full_forward_pass(make_model, tokenizer, run_all):
    model = make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=4, max_length=64)
    prompt = [5, 9, 20, 33, 7]
    done = run_all(engine, [request(prompt, max_new_tokens=20, stop_token_ids=())])[0, 0].completion
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + done.token_ids.tolist()]), use_cache=False).logits[0]
    assert logits[len(prompt) - 1 : -1].argmax(-1).tolist() == done.token_ids.tolist()


def test_a_sampled_token_is_the_inverse_of_the_cumulated_probabilities_at_its_keyed_number(
    make_model, tokenizer, run_all
):
    model = make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=4, max_length=64)
    sampling = Sampling(0.8, 12, (), 3, "test")
    done = run_all(engine, [Request(0, 17, np.array([4, 8, 15]), 3, sampling)])
    for sample in range(3):
        tokens = done[0, sample].completion.token_ids.tolist()
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[4, 8, 15, *tokens]]), use_cache=False).logits[0, 2:-1].double()
        cumulated = torch.softmax(logits / 0.8, -1).cumsum(-1).numpy()
        for position, token in enumerate(tokens):
            u = float(keyed.uniform(3, "test", 17, sample, position))
            below = cumulated[position, token - 1] if token else 0.0
            assert below - 1e-5 <= u <= cumulated[position, token] + 1e-5


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers renames checkpointing between the versions we allow
def test_modes_attention_and_checkpointing_are_as_before_and_the_cache_works_under_them(
    make_model, tokenizer, run_all, make_requests
):
    requests = make_requests(5)
    model = make_model("llama", attention_dropout=0.5)
    plain = run_all(NativeEngine(model, tokenizer, num_slots=4, max_length=128), requests)
    model.gradient_checkpointing_enable()
    model.config.use_cache = False
    model.train()
    model.model.layers[0].eval()
    before = [module.training for module in model.modules()]
    again = run_all(NativeEngine(model, tokenizer, num_slots=4, max_length=128), requests)
    assert [module.training for module in model.modules()] == before
    assert model.is_gradient_checkpointing
    assert model.config._attn_implementation == "sdpa"
    assert model.config.use_cache is False
    assert all(plain[k].completion.logprobs.tobytes() == again[k].completion.logprobs.tobytes() for k in plain)
    model(input_ids=torch.tensor([[2, 3, 4]])).logits.sum().backward()
    assert model.lm_head.weight.grad is not None


def test_modes_are_restored_when_the_network_fails(make_model, tokenizer):
    model = make_model("llama").train()
    engine = NativeEngine(model, tokenizer, num_slots=4, max_length=32)
    engine.submit([request([2, 3])])
    model.model.layers[1].mlp.down_proj = torch.nn.Identity()
    with pytest.raises(RuntimeError):
        engine.step()
    assert model.training
    assert model.config._attn_implementation == "sdpa"


def test_load_weights_sets_the_version_sees_changed_weights_and_takes_another_module(make_model, tokenizer, run_all):
    model = make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=4, max_length=32)
    ask = [request([2, 3, 4], stop_token_ids=())]
    assert run_all(engine, ask)[0, 0].completion.policy_version == 0
    always(model, 9)
    engine.load_weights(model, version=6)
    done = run_all(engine, ask)[0, 0].completion
    assert (done.policy_version, set(done.token_ids.tolist())) == (6, {9})
    engine.load_weights(always(make_model("qwen3", num_hidden_layers=3), 11), version=7)
    done = run_all(engine, ask)[0, 0].completion
    assert (done.policy_version, set(done.token_ids.tolist())) == (7, {11})
    with pytest.raises(EngineError, match="torch module"):
        engine.load_weights("model.safetensors", version=8)


def test_weights_and_sleep_wait_until_nothing_is_in_flight(engine, make_model):
    engine.submit([request([2, 3], stop_token_ids=())])
    engine.step()
    with pytest.raises(EngineError, match="version 3 came while 1 requests"):
        engine.load_weights(make_model("llama"), version=3)
    with pytest.raises(EngineError, match="sleep while 1 requests"):
        engine.sleep()


def test_a_woken_engine_gives_the_same_as_before_and_a_sleeping_one_refuses(engine, run_all, make_requests):
    requests = make_requests(4, longest=20, max_new_tokens=6)
    before = run_all(engine, requests)
    engine.sleep()
    engine.submit(requests)
    with pytest.raises(EngineError, match="asleep"):
        engine.step()
    engine.wake()
    after = {}
    while engine.has_work:
        after |= {(f.request_id, f.sample_index): f for f in engine.step()}
    assert all(before[k].completion.logprobs.tobytes() == after[k].completion.logprobs.tobytes() for k in before)


def test_weights_that_are_not_finite_raise_and_leave_nothing_behind(make_model, tokenizer, run_all):
    model, good = make_model("llama"), make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=4, max_length=32)
    ask = [request([2, 3, 4], samples=3)]
    expected = run_all(engine, ask)[0, 0].completion
    with torch.no_grad():
        model.model.layers[0].self_attn.v_proj.weight.fill_(float("nan"))
    engine.submit(ask)
    with pytest.raises(EngineError, match="not finite"):
        engine.step()
    assert not engine.has_work
    model.load_state_dict(good.state_dict())
    assert run_all(engine, ask)[0, 0].completion.logprobs.tobytes() == expected.logprobs.tobytes()


def test_a_prompt_is_prefilled_once_for_all_its_completions(make_model, tokenizer, run_all):
    model = make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=2, max_length=64)
    lengths = []
    hook = model.register_forward_pre_hook(
        lambda _, __, kwargs: lengths.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    run_all(engine, [request(range(2, 42), samples=7, stop_token_ids=(), temperature=1.0)])
    hook.remove()
    assert sum(shape[1] > 1 for shape in lengths) == 1
    # 7 completions of 8 tokens in 2 slots: 4 waves of 8 decode steps
    assert len(lengths) == 1 + 4 * 8


def test_a_finished_slot_is_refilled_at_once(make_model, tokenizer, run_all):
    model = make_model("llama")
    engine = NativeEngine(model, tokenizer, num_slots=2, max_length=64)
    steps = []
    hook = model.register_forward_pre_hook(lambda *_: steps.append(1))
    # one prompt token each, so no prefill: 12 tokens in one slot while 4, 4 and 4 pass through the other
    limits = [12, 4, 4, 4]
    run_all(engine, [request([5], id=i, max_new_tokens=n, stop_token_ids=()) for i, n in enumerate(limits)])
    hook.remove()
    assert len(steps) == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"is_encoder_decoder": True}, "an encoder"), ({"layer_types": ["linear_attention"] * 2}, "linear_attention")],
)
def test_a_network_that_slots_cannot_serve_is_refused(changes, words, make_model, tokenizer):
    model = make_model("llama")
    for name, value in changes.items():
        setattr(model.config, name, value)
    with pytest.raises(EngineError, match=words):
        NativeEngine(model, tokenizer, max_length=32)


def test_bfloat16_runs_in_bfloat16(make_model, tokenizer, run_all, make_requests):
    model = make_model("llama").to(torch.bfloat16)
    done = run_all(NativeEngine(model, tokenizer, num_slots=8, max_length=128), make_requests(3, temperature=0.0))
    assert all(np.isfinite(f.completion.logprobs).all() for f in done.values())
