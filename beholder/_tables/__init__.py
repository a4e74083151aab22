"""The parts of `beholder.tables`: tables that grow by appending, by shards, and side by side."""
