"""Judgements as data sets on disk."""
