"""What annotators see, and how one answer is read."""
