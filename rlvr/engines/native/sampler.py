"""Drawing tokens from logits.

N rows, V vocabulary.
"""

import torch
from torch import Tensor

CHUNK_LOGITS = 2**22


def draw_tokens(logits: Tensor, temperatures: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Gives tokens int64 [N] and their log-probs float32 [N] for logits [N,V].

    `temperatures` float32 [N]; at 0 the token is the most likely one and its log-prob that of the untempered
    distribution. Elsewhere the token is the inverse of the cumulated probabilities, summed in float64, at `uniforms`
    float64 [N] in [0, 1), and its log-prob that of the tempered distribution. Each row's answer depends on that row
    only. A row without finite log-probs gives a log-prob of NaN.
    """
    rows = max(1, CHUNK_LOGITS // logits.shape[1])
    parts = [
        _draw(logits[i : i + rows].float(), temperatures[i : i + rows], uniforms[i : i + rows])
        for i in range(0, len(logits), rows)
    ]
    if len(parts) == 1:
        return parts[0]
    return torch.cat([tokens for tokens, _ in parts]), torch.cat([logprobs for _, logprobs in parts])


def _draw(logits: Tensor, temperatures: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    greedy = temperatures == 0
    some_greedy = bool(greedy.any())
    divisors = torch.where(greedy, 1.0, temperatures) if some_greedy else temperatures
    probabilities = torch.softmax(logits / divisors[:, None], dim=-1)
    # cumsum of float32 into float64 is ten times slower on a CPU than converting first
    cumulated = probabilities.double().cumsum_(dim=-1)
    total = cumulated[:, -1]
    # below the total, so that the search never runs past the last token of positive probability
    target = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulated, target[:, None], right=True)[:, 0].clamp_(max=logits.shape[1] - 1)
    if some_greedy:
        tokens = torch.where(greedy, logits.argmax(dim=-1), tokens)
    picked = probabilities.gather(1, tokens[:, None])[:, 0]
    return tokens, picked.double().log_().float()
