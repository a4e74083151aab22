"""The parts that every tuning of a pipeline shares."""
