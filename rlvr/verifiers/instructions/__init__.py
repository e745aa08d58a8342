"""Constraints on the text of an answer, named and parametrised as in the published IFEval, IFTrain and IFBench rows.

`verify.py` is the verifier; `catalogue.py` holds every constraint; one file per family says what each check counts. The
checks are written from the published definitions; where one leaves a question open, the docstring of the check says
what counts. They say nothing about sense: a reward needs a check of the content beside them.
"""
