"""Many annotators, one answer."""
