"""`rlvr probe`: whether a recipe is worth its compute, before it is spent."""
