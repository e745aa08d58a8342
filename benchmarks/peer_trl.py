"""Records TRL's losses, gradients and advantages on shared tensors, which the tests then ask of ours.

    pip install trl                                 # in an environment of its own, which has this project's too
    PYTHONPATH=tests python benchmarks/peer_trl.py  # writes tests/training/peers_trl.json

Tiny Llamas in float64, whole updates in one batch. TRL's own trainers are built and their own loss functions called;
nothing of TRL is rewritten here; only its sampling is replaced, by the given completions. What TRL defines otherwise
than the papers or this project is not recorded, or is named where the test compares it.
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
from trl.experimental.cpo import CPOConfig, CPOTrainer

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
RLOO_SPREADS: Mapping[str, float] = {"rloo": 0.0, "rloo off-policy": 0.15}
ADVANTAGE_CASES: Mapping[str, tuple[Any, Any, Mapping[str, Any]]] = {
    "group_std": (trl.GRPOTrainer, trl.GRPOConfig, {"scale_rewards": "group", "beta": 0.0}),
    "batch_std": (trl.GRPOTrainer, trl.GRPOConfig, {"scale_rewards": "batch", "beta": 0.0}),
    "centred": (trl.GRPOTrainer, trl.GRPOConfig, {"scale_rewards": "none", "beta": 0.0}),
    "leave_one_out": (trl.RLOOTrainer, trl.RLOOConfig, {"beta": 0.0}),
    "leave_one_out with a KL in the reward": (trl.RLOOTrainer, trl.RLOOConfig, {"beta": 0.3}),
}
PREFERENCE_CASES: Mapping[str, Mapping[str, Any]] = {
    "sigmoid": {"loss_type": "sigmoid"},
    "hinge": {"loss_type": "hinge"},
    "ipo": {"loss_type": "ipo"},
    "robust": {"loss_type": "robust", "label_smoothing": 0.2},
    "sigmoid_norm": {"loss_type": "sigmoid_norm"},
}
SINGLE_CASES: Mapping[str, Mapping[str, Any]] = {
    # Of one pair the sorting of "aot" leaves what DPO has, and its smoothing is cDPO's; "sigmoid" no longer has one.
    "label_smoothing": {"loss_type": "aot", "label_smoothing": 0.2},
    # The mean over a batch's tokens is, of one pair, the mean over its own.
    "nll": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
}
"""Recorded as the mean over batches of one pair each."""
SIMPO = {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": 0.4}
KTO = {"desirable_weight": 1.3, "undesirable_weight": 0.6}
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
        blank: list[float | None] = [0.0] * (peers.GROUPS * peers.GROUP_SIZE)
        trainer = rl_trainer(trl.GRPOTrainer, trl.GRPOConfig, model, folder, blank, **cells)
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


def rl_trainer(kind: Any, config: Any, model: Any, folder: str, rewards: list[float | None], **cells: Any) -> Any:
    """Gives one of TRL's trainers for whole updates of these rewards' completions, in groups of the shared size."""
    return kind(
        model=model,
        reward_funcs=[lambda **_: rewards],
        args=config(
            output_dir=folder,
            per_device_train_batch_size=len(rewards),
            num_generations=peers.GROUP_SIZE,
            max_completion_length=peers.LIMIT,
            temperature=peers.TEMPERATURE,
            steps_per_generation=1,
            **COMMON,
            **cells,
        ),
        train_dataset=Dataset.from_list([{"prompt": "w5"}] * len(rewards)),
        processing_class=make_tokenizer(),
    )


def rloo_case(spread: float) -> dict[str, Any]:
    """Gives what TRL's RLOOTrainer finds where a token's old log-probability differs by `spread` nats."""
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        blank: list[float | None] = [0.0] * (peers.GROUPS * peers.GROUP_SIZE)
        trainer = rl_trainer(trl.RLOOTrainer, trl.RLOOConfig, model, folder, blank, beta=0.0)
        prompts, completions = zip(*peers.sequences(), strict=True)
        inputs: dict[str, Any] = {}
        inputs["prompt_ids"], inputs["prompt_mask"] = padded(list(prompts), left=True)
        inputs["completion_ids"], inputs["completion_mask"] = padded(list(completions), left=False)
        inputs["advantages"] = torch.from_numpy(peers.advantages())
        inputs["old_logps"] = floats(peers.old_logprobs(spread)).sum(1)
        model.train()
        return found(model, trainer._compute_loss(model, inputs))


def advantages_case(kind: Any, config: Any, cells: Mapping[str, Any]) -> list[float]:
    """Gives the advantages that one of TRL's trainers computes from the shared table of rewards."""
    rewards = [reward for group in peers.REWARDS for reward in group]
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        trainer = rl_trainer(kind, config, model, folder, rewards, **cells)
        if cells["beta"]:
            trainer.ref_model.double().load_state_dict(model64(seed=1).state_dict())
        given = [(prompt.tolist(), completion.tolist()) for prompt, completion in peers.sequences()]
        prompts, completions = map(list, zip(*given, strict=True))
        texts = [""] * len(given)
        sampled = (prompts, completions, texts)
        if kind is trl.GRPOTrainer:  # tool mask, completions, sampler's log-probs, extra fields, images, tools' images
            sampled = (prompts, completions, None, texts, None, {}, None, None)  # type: ignore[assignment]
        trainer._generate = lambda _: sampled
        model.train()
        scored = trainer._generate_and_score_completions([{"prompt": "w5"} for _ in rewards])
        return [float(value) for value in scored["advantages"]]


def preference_case(cells: Mapping[str, Any], *, single: bool) -> dict[str, Any]:
    """Gives what TRL's DPOTrainer finds with these cells, on all pairs at once or as the mean over single ones."""
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
        trainer.model.train()
        batches = [[pair] for pair in peers.pairs()] if single else [peers.pairs()]
        losses = [trainer._compute_loss(trainer.model, inputs_of(batch), return_outputs=False) for batch in batches]
        return found(model, torch.stack(losses).mean())


def inputs_of(pairs: Any) -> dict[str, torch.Tensor]:
    """Gives a batch as TRL's DPOTrainer takes it: all chosen completions, then all rejected ones."""
    rows = [(prompt, chosen) for prompt, chosen, _ in pairs]
    rows += [(prompt, rejected) for prompt, _, rejected in pairs]
    return completions_of(rows)


def completions_of(rows: list[Any], *, prefix: str = "") -> dict[str, torch.Tensor]:
    """Gives (prompt, completion) rows as ids and masks, right padded."""
    ids, mask = padded([np.concatenate(row) for row in rows], left=False)
    completion = torch.zeros_like(mask)
    for line, (prompt, text) in enumerate(rows):
        completion[line, len(prompt) : len(prompt) + len(text)] = 1
    named = {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}
    return {f"{prefix}{name}": value for name, value in named.items()}


def simpo_case() -> dict[str, Any]:
    """Gives what TRL's experimental CPOTrainer finds with SimPO's loss."""
    given = [{"prompt": "w5", "chosen": "w6", "rejected": "w7"}] * 4
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        trainer = CPOTrainer(
            model=model,
            args=CPOConfig(output_dir=folder, beta=BETA, per_device_train_batch_size=4, **COMMON, **SIMPO),
            train_dataset=Dataset.from_list(given),
            processing_class=make_tokenizer(),
        )
        batch = {}
        for side, name in ((1, "chosen"), (2, "rejected")):
            rows = completions_of([(pair[0], pair[side]) for pair in peers.pairs()])
            batch[f"{name}_input_ids"], batch[f"{name}_attention_mask"] = rows["input_ids"], rows["attention_mask"]
            batch[f"{name}_labels"] = rows["input_ids"].masked_fill(rows["completion_mask"] == 0, -100)
        model.train()
        return found(model, trainer.get_batch_loss_metrics(model, batch)[0])


def kto_case() -> dict[str, Any]:
    """Gives what TRL's KTOTrainer finds, the chosen completions being the desirable ones."""
    given = [{"prompt": "w5", "completion": "w6", "label": index % 2 == 0} for index in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        model = saved(model64(), folder)
        trainer = trl.KTOTrainer(
            model=model,
            ref_model=model64(seed=1),
            args=trl.KTOConfig(output_dir=folder, beta=BETA, per_device_train_batch_size=8, **COMMON, **KTO),
            train_dataset=Dataset.from_list(given),
            processing_class=make_tokenizer(),
        )
        inputs = inputs_of(peers.pairs()) | completions_of(peers.mismatched(), prefix="KL_")
        inputs["label"] = torch.tensor([True] * 4 + [False] * 4)
        trainer.model.train()
        record = found(model, trainer._compute_loss(trainer.model, inputs, return_outputs=False))
        return {**record, "baseline": trainer._metrics["train"]["kl"][-1]}


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
        "rloo": {name: rloo_case(spread) for name, spread in RLOO_SPREADS.items()},
        "advantages": {name: advantages_case(*case) for name, case in ADVANTAGE_CASES.items()},
        "preference": {
            **{name: {"cells": dict(c), **preference_case(c, single=False)} for name, c in PREFERENCE_CASES.items()},
            **{name: {"cells": dict(c), **preference_case(c, single=True)} for name, c in SINGLE_CASES.items()},
            "simpo": {"cells": SIMPO, **simpo_case()},
        },
        "kto": {"cells": KTO, **kto_case()},
        "reward": {
            "plain": reward_case({}, margin=None),
            "margin": reward_case({}, margin=0.5),
            "centred": reward_case({"center_rewards_coefficient": 0.1}, margin=None),
        },
    }
    TARGET.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    cases = 1 + sum(len(record[kind]) for kind in ("rl", "rloo", "advantages", "preference", "reward"))
    print(f"{TARGET.relative_to(ROOT)}: TRL {trl.__version__}, {cases} cases, KTO's z {record['kto']['baseline']:.3f}")


if __name__ == "__main__":
    main()
