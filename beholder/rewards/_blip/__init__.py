"""What the rewards over BLIP (Li et al., ICML 2022) share: encoders, word pieces, names of keys."""
