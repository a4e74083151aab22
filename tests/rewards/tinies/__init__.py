"""A tiny random model of each reward: `tinies/<name>.py` has a function `tiny`."""
