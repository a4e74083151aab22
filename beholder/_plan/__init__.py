"""Sources of any size cut into shards, and the rows of one shard."""
