"""Every constraint by its name in a row: 25 of IFEval, 29 further ones of IFTrain, 58 of IFBench, four of ours."""

from collections.abc import Mapping

from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.copying import COPYING
from rlvr.verifiers.instructions.counts import COUNTS
from rlvr.verifiers.instructions.keywords import KEYWORDS
from rlvr.verifiers.instructions.language import LANGUAGE
from rlvr.verifiers.instructions.layout import LAYOUT
from rlvr.verifiers.instructions.lengths import LENGTHS
from rlvr.verifiers.instructions.recitals import RECITALS
from rlvr.verifiers.instructions.shapes import SHAPES
from rlvr.verifiers.instructions.wordplay import WORDPLAY

CONSTRAINTS: Mapping[str, Constraint] = {
    **COPYING,
    **COUNTS,
    **KEYWORDS,
    **LANGUAGE,
    **LAYOUT,
    **LENGTHS,
    **RECITALS,
    **SHAPES,
    **WORDPLAY,
}
