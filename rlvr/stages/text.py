"""Held-out text under a checkpoint: how well each document is predicted, and how far that is from the parent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rlvr.config.data import DataConfig
from rlvr.data.chat import encode_document
from rlvr.models.logprobs import token_divergence
from rlvr.stages.parts import Parts
from rlvr.training.batching import Batch, Row, weighted_row
from rlvr.training.learner import measure_logprobs
from rlvr.training.measure import measure_tokens


@dataclass(frozen=True, slots=True)
class TextScores:
    """What a checkpoint makes of each held-out document, in their order, prompts not counted.

    `nats` is its negative log-likelihood, `tokens` how many tokens that is over. `kl` is the sum over its tokens of
    KL(parent ‖ checkpoint) over the whole vocabulary, in nats; empty where there is no parent.
    """

    nats: tuple[float, ...] = ()
    tokens: tuple[int, ...] = ()
    kl: tuple[float, ...] = ()

    @property
    def perplexity(self) -> float | None:
        """The exponential of the mean negative log-likelihood of a token; None without any text."""
        return math.exp(math.fsum(self.nats) / sum(self.tokens)) if self.tokens else None


def score_text(parts: Parts, text: Sequence[DataConfig], reference: Any, *, microbatch_tokens: int) -> TextScores:
    """Gives the scores of all documents under the policy; none where there is no text. `reference` may be None."""
    if not text:
        return TextScores()
    encoded = [encode_document(parts.tokenizer, item) for item in parts.load_held_out("document", text)]
    rows = [weighted_row(ids, ~prompt) for ids, prompt in encoded]
    found = measure_logprobs(
        parts.policy,
        rows,
        temperature=1.0,
        microbatch_tokens=microbatch_tokens,
        layout="padded",
        dtype=parts.dtype,
    )
    return TextScores(
        nats=tuple(-float(values.sum(dtype="float64")) for values in found),
        tokens=tuple(int(row.trainable.sum()) for row in rows),
        kl=() if reference is None else _divergences(parts, reference, rows, microbatch_tokens),
    )


def _divergences(parts: Parts, reference: Any, rows: Sequence[Row], microbatch_tokens: int) -> tuple[float, ...]:
    def read(batch: Batch) -> Tensor:
        return token_divergence(parts.policy, reference, batch.token_ids, batch.position_ids, batch.trainable)

    found = measure_tokens(
        parts.policy, rows, read, "divergence", microbatch_tokens=microbatch_tokens, layout="padded", dtype=parts.dtype
    )
    return tuple(float(values.sum(dtype="float64")) for values in found)
