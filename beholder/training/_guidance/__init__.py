"""The parts of `beholder.training.guidance`: a reward at work without training."""
