"""`rlvr analyze WORD RUN`: one question about a run, answered with figures and a page."""
