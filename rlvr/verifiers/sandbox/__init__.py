"""Model-written Python run where it can harm nothing, and tests that it cannot decide itself."""
