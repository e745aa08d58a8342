"""Supervised fine-tuning: imitate the assistant's turns of conversations."""

from rlvr.config.supervised import SftConfig
from rlvr.data.chat import encode_demonstration
from rlvr.runs.folder import Run
from rlvr.stages.parts import Checkpoint, Parts, domains_of
from rlvr.stages.supervised import fitting, longest_sequence, next_token_loss, train_supervised
from rlvr.training.batching import Row, weighted_row


def sft(parts: Parts, config: SftConfig, run: Run) -> Checkpoint:
    """Trains the policy on the demonstrations of `config.data`; only the assistant's tokens are learned."""
    demonstrations = parts.load("demonstration", config.data)
    items: list[tuple[Row, ...]] = [
        (weighted_row(*encode_demonstration(parts.tokenizer, item.messages)),) for item in demonstrations
    ]
    items = fitting(items, max_length=longest_sequence(parts, config), what="demonstration", run=run)
    loss = next_token_loss(parts.policy)
    return train_supervised(parts, run, items, config, lambda _: loss, domains_of(demonstrations))
