"""Pretraining: next-token prediction on documents, one document a sequence."""

from typing import Any

import numpy as np

from rlvr.config.supervised import PretrainConfig
from rlvr.data.chat import encode_document
from rlvr.runs.folder import Run
from rlvr.stages.parts import Checkpoint, Parts, domains_of
from rlvr.stages.supervised import fitting, longest_sequence, next_token_loss, train_supervised
from rlvr.training.batching import Row, weighted_row
from rlvr.types import Document


def pretrain(parts: Parts, config: PretrainConfig, run: Run) -> Checkpoint:
    """Trains the policy on the documents of `config.data`; every token but the first of each is learned.

    Tokens of a document's prompt count with `config.prompt_weight`.
    """
    documents = parts.load("document", config.data)
    items: list[tuple[Row, ...]] = [(_row(parts.tokenizer, document, config.prompt_weight),) for document in documents]
    items = fitting(items, max_length=longest_sequence(parts, config), what="document", run=run)
    loss = next_token_loss(parts.policy)
    return train_supervised(parts, run, items, config, lambda _: loss, domains_of(documents))


def _row(tokenizer: Any, document: Document, prompt_weight: float) -> Row:
    ids, prompt = encode_document(tokenizer, document)
    return weighted_row(ids, np.where(prompt, prompt_weight, 1.0))
