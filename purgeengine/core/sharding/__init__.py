"""Dividing a purge over several machines: which mailbox goes to which shard, and what share of the limits each gets."""
