"""Annotation: human judgements in, clean comparisons out; needs no model."""
