"""Cut a purge into shards, and collect them."""
