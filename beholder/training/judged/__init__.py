"""Judgements to learn from: pairs, rankings and ratings, their sides, mixtures and batches."""
