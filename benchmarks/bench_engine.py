"""Compares the native engine with transformers' `generate`: useful tokens per CPU-second, one process, interleaved.

Both sides sample at temperature 1 from the same randomly initialised Llama and decode the text. `generate` gets its
prompts left-padded in batches of --slots completions, sampling without top-k; it gives no log-probs, the engine does.
Workloads: "equal" (every completion has --tokens tokens) and "skewed" (each token ends the completion with probability
1 / --tokens, at most 8 x --tokens; `generate` waits for the longest of its batch).

    python benchmarks/bench_engine.py --threads 1
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from rlvr.engines.base import Request, Sampling
from rlvr.engines.native.engine import NativeEngine


def build_tokenizer(vocabulary: int) -> Any:
    """Gives a tokenizer of `vocabulary` words."""
    raw = Tokenizer(models.WordLevel({f"w{i}": i for i in range(vocabulary)}, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="w0")


def build_model(args: argparse.Namespace) -> Any:
    """Gives a Llama with random weights: its next token is nearly uniform, so stopping is a coin of known weight."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=args.vocabulary,
        hidden_size=args.hidden,
        intermediate_size=args.hidden * 11 // 4,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(args.device).eval()


def run_engine(engine: NativeEngine, requests: Sequence[Request]) -> int:
    """Completes the requests; gives the number of tokens."""
    engine.submit(requests)
    tokens = 0
    while engine.has_work:
        tokens += sum(len(finished.completion.token_ids) for finished in engine.step())
    return tokens


def run_generate(model: Any, tokenizer: Any, requests: Sequence[Request], slots: int) -> int:
    """Completes the same requests with `generate`, batch by batch; gives the number of tokens up to each stop."""
    tokens = 0
    per_batch = max(1, slots // requests[0].num_samples)
    for first in range(0, len(requests), per_batch):
        batch = requests[first : first + per_batch]
        longest = max(len(request.prompt_ids) for request in batch)
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, request in enumerate(batch):
            ids[row, longest - len(request.prompt_ids) :] = request.prompt_ids
            mask[row, longest - len(request.prompt_ids) :] = 1
        sampling = batch[0].sampling
        out = model.generate(
            input_ids=torch.from_numpy(ids).to(model.device),
            attention_mask=torch.from_numpy(mask).to(model.device),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=batch[0].num_samples,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=list(sampling.stop_token_ids) or None,
            pad_token_id=0,
        )[:, longest:].cpu()
        stopped = torch.isin(out, torch.tensor(sampling.stop_token_ids)).int()
        lengths = (stopped.cumsum(1) - stopped == 0).sum(1)
        tokenizer.batch_decode([row[:n].tolist() for row, n in zip(out, lengths, strict=True)])
        tokens += int(lengths.sum())
    return tokens


def measure(work: Callable[[], int]) -> tuple[float, float, float]:
    """Gives (CPU-seconds, seconds, tokens) of one run."""
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = work()
    return time.process_time() - cpu, time.perf_counter() - wall, float(tokens)


def compare(name: str, work: dict[str, Callable[[], int]], rounds: int) -> None:
    """Runs both sides in turn and prints their medians, with the spread of the ratio over rounds."""
    for side in work.values():
        side()
    rates: dict[str, list[float]] = {side: [] for side in work}
    for _ in range(rounds):
        for side, run in work.items():
            cpu, wall, tokens = measure(run)
            rates[side].append(tokens / cpu)
            print(
                f"  {name:7} {side:9} {tokens:8.0f} tokens {cpu:7.2f} CPU-s {wall:7.2f} s {tokens / cpu:8.0f} tok/CPU-s"
            )
    ratios = [a / b for a, b in zip(rates["engine"], rates["generate"], strict=True)]
    print(
        f"{name}: engine {statistics.median(rates['engine']):.0f}, generate {statistics.median(rates['generate']):.0f} "
        f"useful tokens per CPU-second; ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    """Parses the options and runs both workloads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=448)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--completions", type=int, default=256, help="in the equal workload; twice that when skewed")
    parser.add_argument("--group", type=int, default=8, help="completions per prompt")
    parser.add_argument("--tokens", type=int, default=30, help="mean tokens per completion")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workload", choices=["equal", "skewed", "both"], default="both")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = build_model(args), build_tokenizer(args.vocabulary)
    size = sum(weight.numel() for weight in model.parameters())
    print(f"{size} parameters, torch {torch.__version__}, {args.threads} threads, {args.device}, {args.slots} slots")
    rng = np.random.default_rng(0)

    def requests(completions: int, limit: int, stop: Sequence[int]) -> list[Request]:
        sampling = Sampling(1.0, limit, tuple(stop), 0, "bench")
        lengths = rng.integers(30, 61, size=completions // args.group)
        prompts = [rng.integers(1, args.vocabulary, size=length) for length in lengths]
        return [Request(i, i, prompt, args.group, sampling) for i, prompt in enumerate(prompts)]

    stops = range(1, 1 + round(args.vocabulary / args.tokens))
    workloads = {
        "equal": requests(args.completions, args.tokens, ()),
        "skewed": requests(2 * args.completions, 8 * args.tokens, stops),
    }
    engine = NativeEngine(model, tokenizer, num_slots=args.slots, max_length=64 + 8 * args.tokens)
    for name in workloads if args.workload == "both" else [args.workload]:
        work = {
            "engine": lambda name=name: run_engine(engine, workloads[name]),
            "generate": lambda name=name: run_generate(model, tokenizer, workloads[name], args.slots),
        }
        compare(name, work, args.rounds)


if __name__ == "__main__":
    main()
