"""The page that holds the whole algorithm takes the step that the real loop takes, and its model learns."""

import random
import sys
from pathlib import Path

import pytest
import torch
from tiny import END, make_parts, make_run, task, write_base
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlvr.algorithms.presets import resolve
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.rlvr import rlvr

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal_grpo.py"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    import minimal_grpo

    yield minimal_grpo
    sys.modules.pop("minimal_grpo")


def rollout_of(rows, example, *, group_size):
    """The rollout that the real loop stored, as the page lays it out."""
    width = max(len(row["prompt_ids"]) + len(row["token_ids"]) for row in rows)
    token_ids, trainable = torch.full((len(rows), width), END), torch.zeros(len(rows), width, dtype=torch.bool)
    for line, mask, row in zip(token_ids, trainable, rows, strict=True):
        start, end = len(row["prompt_ids"]), len(row["prompt_ids"]) + len(row["token_ids"])
        line[:end] = torch.tensor([*row["prompt_ids"], *row["token_ids"]])
        mask[start:end] = True
    rewards = torch.tensor([row["reward"] for row in rows], dtype=torch.float64).reshape(-1, group_size)
    return example.Rollout(token_ids, trainable, rewards)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo"])
def test_its_first_step_is_that_of_the_real_loop(name, example, tmp_path):
    whole = {"refill": False, "overlong_buffer_share": 0}
    cells = {"grpo": {"kl_coefficient": 0.5}, "dapo": whole, "cispo": whole}.get(name, {})
    cells = {"updates_per_step": 1, **({"kl_place": "none"} if name == "rloo" else {}), **cells}
    base = write_base(tmp_path / "base", scale=0.25)
    before = AutoModelForCausalLM.from_pretrained(base)
    parts, run = make_parts(base, {"task": [task(i) for i in range(12)]}), make_run(tmp_path / "run")
    settings = {
        "kind": "rlvr", "data": ["x"], "algorithm": {"preset": name, **cells}, "steps": 1, "prompts_per_step": 8,
        "group_size": 4, "max_completion_tokens": 6, "temperature": 0.8, "conditions": {"tasks": 0},
        "optimizer": {"learning_rate": 1e-2, "betas": [0.9, 0.95], "weight_decay": 0.0},
    }  # fmt: skip
    rlvr(parts, RlvrConfig.model_validate(settings), run)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    model, reference = (AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32) for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    rollout = rollout_of(rows, example, group_size=4)
    row = resolve(name, **cells)
    norm = example.update(model, reference, optimizer, row, rollout, limit=6, temperature=0.8)
    assert norm == pytest.approx(run.metrics()[0]["train/grad_norm"], rel=1e-4)
    moved = 0.0
    for key, ours in model.state_dict().items():
        # A first step of AdamW moves by the learning rate whatever the gradient; where that is near 0 its sign decides.
        gap = (ours - parts.policy.state_dict()[key]).abs()
        assert float((gap > 1e-4).float().mean()) < 0.01, key
        moved = max(moved, float((ours - before.state_dict()[key]).abs().max()))
    assert moved == pytest.approx(1e-2, rel=0.01)


def test_its_tasks_say_what_they_come_to_and_only_one_boxed_answer_is_right(example):
    for _ in range(50):
        prompt, answer = example.make_task(random.Random(), 6)
        assert answer == sum(
            int(number) for number in prompt.removesuffix(" =").replace("- ", "-").replace("+ ", "").split()
        )
    assert example.verify("7-9=-2 \\boxed{-2}", -2) == 1.0
    assert example.verify("\\boxed{3}", -2) == 0.0
    assert example.verify("\\boxed{-2} \\boxed{-2}", -2) == 0.0
    assert example.verify("", 0) == 0.0


def test_it_samples_to_the_end_token_and_marks_the_completion(example, tmp_path):
    base = write_base(tmp_path / "base", scale=0.25)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    torch.manual_seed(0)
    token_ids, trainable = example.sample(
        model, tokenizer, ["w9", "w9 w10 w11"], group_size=8, limit=6, temperature=1.0
    )
    for line, mask in zip(token_ids.tolist(), trainable.tolist(), strict=True):
        prompt, completion = mask.index(True), [t for t, there in zip(line, mask, strict=True) if there]
        assert line[prompt - 1] == 4, "the completion follows the assistant's token"
        assert END not in completion[:-1]
        assert len(completion) == 6 or completion[-1] == END
        assert sum(mask) == len(completion)
    assert {sum(mask) for mask in trainable.tolist()} != {6}


def test_what_it_does_not_have_it_refuses(example):
    for name in ("dapo", "cispo", "ppo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "tulu3", "r1_zero"):
        with pytest.raises(SystemExit, match=f"{name} has more than this page"):
            example.refuse_more(resolve(name, updates_per_step=1))
    for name in ("grpo", "dr_grpo", "gspo"):
        example.refuse_more(resolve(name, updates_per_step=1))
    example.refuse_more(resolve("cispo", updates_per_step=1, refill=False, overlong_buffer_share=0.0))


def test_the_shipped_model_solves_some_of_its_tasks_and_takes_two_steps(example):
    row = resolve("dr_grpo", updates_per_step=1)
    torch.manual_seed(0)
    model, reference = (AutoModelForCausalLM.from_pretrained(example.SHIPPED, dtype=torch.float32) for _ in range(2))
    tokenizer = AutoTokenizer.from_pretrained(example.SHIPPED)
    rates = example.train(model, reference, tokenizer, row, steps=2, log=lambda line: None)
    assert all(0 < rate < 1 for rate in rates)
