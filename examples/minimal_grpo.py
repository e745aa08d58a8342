"""GRPO on one page: sample, verify, compare within the group, learn. Everything that is a formula is imported.

    python examples/minimal_grpo.py                  # the shipped model practises sums of five to eight digits
    python examples/minimal_grpo.py MODEL --steps 40 # any Hugging Face causal language model with a chat template

Left out, and there in the real loop: keyed sampling, a key-value cache of slots, filters, several updates, checkpoints,
held-out evaluation. A test holds the first step of this page against the first step of the real loop.
P prompts, G completions per prompt, B = P·G sequences, T tokens.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlvr.algorithms.advantages import GROUP_ADVANTAGES
from rlvr.algorithms.aggregate import AGGREGATIONS
from rlvr.algorithms.algorithm import Algorithm, in_use
from rlvr.algorithms.kl import KL_ESTIMATORS
from rlvr.algorithms.losses import LOSSES, Bounds
from rlvr.algorithms.presets import describe, resolve
from rlvr.algorithms.ratios import RATIOS

ON_THIS_PAGE = {
    "advantage", "loss", "ratio", "clip_low", "clip_high", "dual_clip", "weight_max", "aggregation", "kl_place",
    "kl_estimator", "kl_coefficient", "filter", "updates_per_step",
}  # fmt: skip
SHIPPED = Path(__file__).parents[1] / "models" / "laptop-base"


@dataclass(frozen=True)
class Rollout:
    """`token_ids` [B,T], padded on the right; `trainable` [B,T], True on the completion; `rewards` [P,G]."""

    token_ids: Tensor
    trainable: Tensor
    rewards: Tensor


def make_task(dice: random.Random, terms: int) -> tuple[str, int]:
    """Gives a sum of that many digits and what it comes to."""
    numbers = [dice.randint(1, 9) for _ in range(terms)]
    signs = [1] + [dice.choice((1, -1)) for _ in numbers[1:]]
    text = "".join(f" {'+' if sign > 0 else '-'} {n}" for sign, n in zip(signs, numbers, strict=True))
    return f"{text.removeprefix(' + ')} =", sum(sign * n for sign, n in zip(signs, numbers, strict=True))


def verify(completion: str, answer: int) -> float:
    """Gives 1 where the one boxed number is the answer, else 0."""
    found = re.findall(r"\\boxed\{(-?[0-9]{1,6})\}", completion[:10_000])
    return float(len(found) == 1 and int(found[0]) == answer)


def sample(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, group_size: int, limit: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Gives token ids and the mask of completions, both [B,T]; the end token belongs to its completion."""
    encoded = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        for prompt in prompts
    ]
    lines, masks = [], []
    for ids in encoded:
        start = torch.tensor([ids], device=model.device).expand(group_size, -1)
        with torch.no_grad():
            # Temperature alone: cutting the distribution (top-p, top-k) would make another policy than the one trained.
            whole = model.generate(
                start,
                attention_mask=torch.ones_like(start),
                max_new_tokens=limit,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                top_p=1.0,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )
        ends = (whole[:, len(ids) :] == tokenizer.eos_token_id).int().cumsum(-1)
        after_the_end = (ends - (whole[:, len(ids) :] == tokenizer.eos_token_id).int()) > 0
        lines += list(whole)
        masks += [torch.cat([torch.zeros(len(ids), dtype=torch.bool), ~line.cpu()]) for line in after_the_end]
    pad = torch.nn.utils.rnn.pad_sequence
    token_ids = pad(lines, batch_first=True, padding_value=tokenizer.eos_token_id)
    return token_ids, pad(masks, batch_first=True).to(token_ids.device)


def token_logprobs(model: Any, token_ids: Tensor, *, temperature: float) -> Tensor:
    """Gives log p(token | those before it) [B,T]; 0 for the first, which nothing predicts."""
    logits = model(input_ids=token_ids).logits[:, :-1].float() / temperature
    chosen = logits.log_softmax(-1).gather(-1, token_ids[:, 1:, None])[..., 0]
    return torch.nn.functional.pad(chosen, (1, 0))


def refuse_more(row: Algorithm) -> None:
    """Raises SystemExit for a row with more than this page has."""
    more = sorted(set(in_use(row)) - ON_THIS_PAGE)
    if more or not row.per_completion or row.kl_place == "reward":
        raise SystemExit(f"{row.name} has more than this page: {', '.join(more) or 'KL in the reward'}")


def grpo_loss(row: Algorithm, logprobs: Tensor, reference_logprobs: Tensor, rollout: Rollout, *, limit: int) -> Tensor:
    """Gives the loss of the whole rollout, from the cells of the row."""
    mask, rewards = rollout.trainable, rollout.rewards
    per_completion = GROUP_ADVANTAGES[row.advantage](rewards, torch.ones_like(rewards, dtype=torch.bool)).reshape(-1)
    advantages = per_completion[:, None].to(logprobs.dtype) * mask
    sequence_ids = torch.arange(len(mask), device=mask.device)[:, None].expand_as(mask)
    sequence_tokens = mask.sum(-1, keepdim=True).expand_as(mask)
    # One update per rollout: the policy at the start of the step is the policy.
    log_ratio = RATIOS[row.ratio](logprobs, logprobs.detach(), mask, sequence_ids, sequence_tokens)
    bounds = Bounds(row.clip_low, row.clip_high, row.dual_clip, row.weight_max)
    loss = LOSSES[row.loss](logprobs, log_ratio, advantages, bounds)
    if row.kl_place == "loss":
        loss = loss + row.kl_coefficient * KL_ESTIMATORS[row.kl_estimator](logprobs, reference_logprobs)
    weights = AGGREGATIONS[row.aggregation](
        mask,
        sequence_tokens,
        tokens_in_update=int(mask.sum()),
        sequences_in_update=len(mask),
        max_completion_tokens=limit,
    )
    return (loss * weights).sum()


def update(
    model: Any,
    reference: Any,
    optimizer: torch.optim.Optimizer,
    row: Algorithm,
    rollout: Rollout,
    *,
    limit: int,
    temperature: float,
) -> float:
    """Takes one optimizer step on the rollout; gives the norm of the gradient before it was clipped to 1."""
    model.train()
    logprobs = token_logprobs(model, rollout.token_ids, temperature=temperature)
    with torch.no_grad():
        reference_logprobs = token_logprobs(reference, rollout.token_ids, temperature=temperature)
    grpo_loss(row, logprobs, reference_logprobs, rollout, limit=limit).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def train(
    model: Any, reference: Any, tokenizer: Any, row: Algorithm, *, steps: int, log: Callable[[str], None]
) -> list[float]:
    """Trains on sums of 5 to 8 digits; gives the share of right answers of each step."""
    dice, limit, group_size = random.Random(0), 72, 8
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, betas=(0.9, 0.95), weight_decay=0.0)
    rates = []
    for step in range(steps):
        tasks = [make_task(dice, dice.randint(5, 8)) for _ in range(16)]
        prompts = [prompt for prompt, _ in tasks]
        model.eval()
        token_ids, trainable = sample(model, tokenizer, prompts, group_size=group_size, limit=limit, temperature=1.0)
        texts = [tokenizer.decode(ids[mask]) for ids, mask in zip(token_ids, trainable, strict=True)]
        answers = [answer for _, answer in tasks for _ in range(group_size)]
        outcomes = [verify(text, answer) for text, answer in zip(texts, answers, strict=True)]
        rewards = torch.tensor(outcomes, dtype=torch.float64).reshape(len(tasks), group_size)
        norm = update(
            model, reference, optimizer, row, Rollout(token_ids, trainable, rewards), limit=limit, temperature=1.0
        )
        mixed = ((rewards > 0).any(1) & (rewards < 1).any(1)).float().mean()
        rates.append(float(rewards.mean()))
        log(f"step {step:3d}  right {rates[-1]:4.0%}  groups with a signal {mixed:4.0%}  gradient norm {norm:.3f}")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=str(SHIPPED), help="default: the shipped %(default)s")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--algorithm", default="dr_grpo", help="a row that compares within groups: grpo, dr_grpo, …")
    given = parser.parse_args()
    row = resolve(given.algorithm, updates_per_step=1)
    refuse_more(row)
    torch.manual_seed(0)
    model, reference = (AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32) for _ in range(2))
    print(describe(row))
    train(model, reference, AutoTokenizer.from_pretrained(given.model), row, steps=given.steps, log=print)


if __name__ == "__main__":
    main()
