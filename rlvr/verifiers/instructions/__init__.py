"""Constraints on the text of an answer, named and parametrised as in the published IFEval, IFTrain and IFBench rows.

`verify` is the verifier; `catalogue.CONSTRAINTS` holds every constraint; one file per family says what each check
counts. The checks are written from the published definitions; where one leaves a question open, the docstring of the
check says what counts. They say nothing about sense: a reward needs a check of the content beside them.
"""

from rlvr.verifiers.instructions.arguments import Argument
from rlvr.verifiers.instructions.catalogue import CONSTRAINTS
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.verify import MAX_CHARACTERS, MODES, SCORES, VERSION, check_reference, verify

__all__ = [
    "CONSTRAINTS",
    "MAX_CHARACTERS",
    "MODES",
    "SCORES",
    "VERSION",
    "Argument",
    "Constraint",
    "check_reference",
    "verify",
]
