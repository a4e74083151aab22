"""Evaluation: functions of scores; they never load a model."""
