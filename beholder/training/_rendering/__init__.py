"""Checkpoints by name, one start noise for all, and what was tried: the parts of rendering."""
