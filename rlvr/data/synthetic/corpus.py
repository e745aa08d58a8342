"""The pretraining corpus of the laptop base model: a keyed mix of exercises, drills, stories and facts."""

import itertools
from collections.abc import Iterator
from functools import partial

from rlvr.data.synthetic import arithmetic, facts, items, lists, stories
from rlvr.data.synthetic.dice import Dice
from rlvr.types import Document

MIX = (
    (0.275, partial(items.documents, "arithmetic")),
    (0.05, arithmetic.drills),
    (0.095, partial(items.documents, "chain_sum")),
    (0.15, partial(items.documents, "spell_backward")),
    (0.18, partial(items.documents, "instructions")),
    (0.12, partial(items.documents, "functions")),
    (0.02, lists.documents),
    (0.045, stories.documents),
    (0.065, facts.documents),
)
"""Share of the documents from each source."""


def documents(split: str, *, seed: int = 0, limit: int | None = None) -> Iterator[Document]:
    """Gives the mixed documents in order; endless without a `limit`. Each source keeps its own order."""
    sources = [source(split, seed=seed) for _, source in MIX]
    weights = [(weight, place) for place, (weight, _) in enumerate(MIX)]
    for index in itertools.islice(itertools.count(), limit):
        yield next(sources[Dice(seed, "corpus", index).weighted(weights)])
