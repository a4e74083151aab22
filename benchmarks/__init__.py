"""Side by side with the published loops and the peers; `make bench` runs them all."""
