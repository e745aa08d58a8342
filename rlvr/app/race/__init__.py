"""`rlvr race`: seeds of one recipe side by side, the ones that cannot win paused, the winner measured anew."""
