"""Records TRL's losses and gradients on shared tensors, which the tests then ask of ours.

    pip install trl                                 # in an environment of its own, which has this project's too
    PYTHONPATH=tests python benchmarks/peer_trl.py  # writes tests/training/peers_trl.json

Tiny Llamas in float64, whole updates in one batch. TRL's own trainers are built and their own loss functions called;
nothing of TRL is rewritten here. What TRL defines otherwise than the papers or this project is not recorded, or is
named where the test compares it.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
import trl
from datasets import Dataset
from splits import model64
from tiny import PAD, make_tokenizer

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests" / "training" / "peers_trl.json"
COMMON = {"use_cpu": True, "bf16": False, "report_to": [], "gradient_accumulation_steps": 1, "save_strategy": "no"}

RL_CASES: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"loss_type": "grpo", "beta": 0.0},
    "grpo with a KL": {"loss_type": "grpo", "beta": 0.3, "use_bias_correction_kl": False},
    "dr_grpo": {"loss_type": "dr_grpo", "beta": 0.0},
    "dapo": {"loss_type": "dapo", "beta": 0.0, "epsilon": 0.1, "epsilon_high": 0.14},
    "gspo": {
        "loss_type": "grpo",
        "beta": 0.0,
        "importance_sampling_level": "sequence",
        "epsilon": 0.03,
        "epsilon_high": 0.04,
    },
    "cispo": {"loss_type": "cispo", "beta": 0.0, "epsilon_high": 1.1},
}
PREFERENCE_CASES: Mapping[str, Mapping[str, Any]] = {
    "sigmoid": {"loss_type": "sigmoid"},
    "hinge": {"loss_type": "hinge"},
    "ipo": {"loss_type": "ipo"},
    "robust": {"loss_type": "robust", "label_smoothing": 0.2},
    "sigmoid_norm": {"loss_type": "sigmoid_norm"},
}
BETA = 0.3
SPREAD = 0.15
"""By how many nats a token's old log-probability differs: most ratios leave the bounds of GSPO, some those of GRPO."""


def padded(rows: list[Any], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives ids [B, T] and mask [B, T]."""
    width = max(map(len, rows))
    ids, mask = np.full((len(rows), width), PAD), np.zeros((len(rows), width), dtype=np.int64)
    for line, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[line, place], mask[line, place] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def floats(rows: list[Any]) -> torch.Tensor:
    """Gives numbers per token, right padded with 0, [B, T]."""
    table = np.zeros((len(rows), max(map(len, rows))))
    for line, row in enumerate(rows):
        table[line, : len(row)] = row
    return torch.from_numpy(table)


def saved(model: Any, folder: str) -> Any:
    """Gives the model with a place on disk, where the trainers look its configuration up."""
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    model.config._name_or_path = model.name_or_path = folder
    return model


def rl_case(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Gives what TRL's GRPOTrainer finds with these cells."""
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        trainer = trl.GRPOTrainer(
            model=model,
            reward_funcs=[lambda **_: [0.0]],
            args=trl.GRPOConfig(
                output_dir=folder,
                per_device_train_batch_size=peers.GROUPS * peers.GROUP_SIZE,
                num_generations=peers.GROUP_SIZE,
                max_completion_length=peers.LIMIT,
                temperature=peers.TEMPERATURE,
                steps_per_generation=1,
                **COMMON,
                **cells,
            ),
            train_dataset=Dataset.from_list([{"prompt": "w5"}] * 9),
            processing_class=make_tokenizer(),
        )
        trainer.current_gradient_accumulation_steps = 1
        prompts, completions = zip(*peers.sequences(), strict=True)
        inputs: dict[str, Any] = {}
        inputs["prompt_ids"], inputs["prompt_mask"] = padded(list(prompts), left=True)
        inputs["completion_ids"], inputs["completion_mask"] = padded(list(completions), left=False)
        inputs["advantages"] = torch.from_numpy(peers.advantages())
        inputs["old_per_token_logps"] = floats(peers.old_logprobs(SPREAD))
        inputs["ref_per_token_logps"] = floats(peers.reference_logprobs())
        inputs["num_items_in_batch"] = inputs["completion_mask"].sum()
        model.train()
        return found(model, trainer._compute_loss(model, inputs))


def preference_case(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Gives what TRL's DPOTrainer finds with these cells."""
    given = [{"prompt": "w5", "chosen": "w6", "rejected": "w7"}] * 4
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        trainer = trl.DPOTrainer(
            model=model,
            ref_model=model64(seed=1),
            args=trl.DPOConfig(output_dir=folder, beta=BETA, per_device_train_batch_size=4, **COMMON, **cells),
            train_dataset=Dataset.from_list(given),
            processing_class=make_tokenizer(),
        )
        rows = [(prompt, chosen) for prompt, chosen, _ in peers.pairs()]
        rows += [(prompt, rejected) for prompt, _, rejected in peers.pairs()]
        ids, mask = padded([np.concatenate(row) for row in rows], left=False)
        completion = torch.zeros_like(mask)
        for line, (prompt, text) in enumerate(rows):
            completion[line, len(prompt) : len(prompt) + len(text)] = 1
        trainer.model.train()
        inputs = {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}
        return found(model, trainer._compute_loss(trainer.model, inputs, return_outputs=False))


def reward_case(cells: Mapping[str, Any], *, margin: float | None) -> dict[str, Any]:
    """Gives what TRL's RewardTrainer finds with these cells."""
    with tempfile.TemporaryDirectory() as folder:
        model = saved(peers.scoring_model(), folder)
        trainer = trl.RewardTrainer(
            model=model,
            args=trl.RewardConfig(output_dir=folder, per_device_train_batch_size=4, **COMMON, **cells),
            train_dataset=Dataset.from_list([{"chosen": "w5 w6", "rejected": "w5 w7"}] * 4),
            processing_class=make_tokenizer(),
        )
        rows = [np.concatenate([prompt, chosen]) for prompt, chosen, _ in peers.pairs()]
        rows += [np.concatenate([prompt, rejected]) for prompt, _, rejected in peers.pairs()]
        ids, mask = padded(rows, left=False)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if margin is not None:
            inputs["margin"] = torch.full((4,), margin, dtype=torch.float64)
        model.train()
        return found(model, trainer.compute_loss(model, inputs))


def found(model: Any, loss: torch.Tensor) -> dict[str, Any]:
    """Gives the loss and its gradient, written down."""
    model.zero_grad()
    loss.backward()
    named = [(name, parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None]
    return {"loss": float(loss.detach()), "gradient": peers.written(named)}


def main() -> None:
    record = {
        "trl": trl.__version__,
        "torch": torch.__version__,
        "weights": peers.weights_digest(model64()),
        "rl": {name: {"cells": dict(cells), **rl_case(cells)} for name, cells in RL_CASES.items()},
        "preference": {name: {"cells": dict(c), **preference_case(c)} for name, c in PREFERENCE_CASES.items()},
        "reward": {
            "plain": reward_case({}, margin=None),
            "margin": reward_case({}, margin=0.5),
            "centred": reward_case({"center_rewards_coefficient": 0.1}, margin=None),
        },
    }
    TARGET.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    cases = sum(len(record[kind]) for kind in ("rl", "preference", "reward"))
    print(f"{TARGET.relative_to(ROOT)}: TRL {trl.__version__}, {cases} cases")


if __name__ == "__main__":
    main()
