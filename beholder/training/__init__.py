"""Training: a reward from judgements."""
