"""The parts of `beholder.eval.ranking` and `beholder.eval.leaderboard`."""
