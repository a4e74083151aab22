"""Fitting: the loop, what a step changes, processes, checkpoints, and what can go wrong."""
