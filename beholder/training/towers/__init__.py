"""Towers: what of them learns, what frozen ones give, how a batch becomes scores."""
