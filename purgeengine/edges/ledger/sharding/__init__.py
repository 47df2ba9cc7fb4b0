"""Cut a ledger into shards, and collect what they recorded. A shard is a ledger of its own."""
