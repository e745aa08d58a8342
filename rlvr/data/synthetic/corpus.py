"""The pretraining corpus of the laptop base model: a keyed mix of arithmetic, stories and facts."""

import itertools
from collections.abc import Iterator

from rlvr.data.synthetic import arithmetic, facts, lists, stories
from rlvr.data.synthetic.dice import Dice
from rlvr.types import Document

MIX = ((0.82, arithmetic.documents), (0.06, lists.documents), (0.06, stories.documents), (0.06, facts.documents))
"""Share of the documents from each source."""


def documents(split: str, *, seed: int = 0, limit: int | None = None) -> Iterator[Document]:
    """Gives the mixed documents in order; endless without a `limit`. Each source keeps its own order."""
    sources = {source: source(split, seed=seed) for _, source in MIX}
    for index in itertools.islice(itertools.count(), limit):
        yield next(sources[Dice(seed, "corpus", index).weighted(MIX)])
