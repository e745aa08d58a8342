"""`rlvr evaluate --suite`: the door to evaluation suites."""
