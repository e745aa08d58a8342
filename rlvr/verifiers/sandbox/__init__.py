"""Model-written Python, run where it reaches nothing and decides nothing."""
