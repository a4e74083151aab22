"""Everything that knows diffusers; `beholder.training.pipeline` is its door."""
