"""Pretraining: next-token prediction on documents, one document a sequence."""

from rlvr.config.schema import PretrainConfig
from rlvr.data.chat import encode_document
from rlvr.runs.folder import Run
from rlvr.stages.parts import Checkpoint, Parts
from rlvr.stages.supervised import fitting, longest_sequence, next_token_loss, train_supervised
from rlvr.training.batching import Row, next_token_row


def pretrain(parts: Parts, config: PretrainConfig, run: Run) -> Checkpoint:
    """Trains the policy on the documents of `config.data`; every token but the first of a document is learned."""
    documents = parts.load("document", config.data)
    items: list[tuple[Row, ...]] = [
        (next_token_row(*encode_document(parts.tokenizer, document.text)),) for document in documents
    ]
    items = fitting(items, max_length=longest_sequence(parts, config), what="document", run=run)
    return train_supervised(parts, run, items, config, next_token_loss(parts.policy))
