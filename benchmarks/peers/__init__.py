"""Purge the same rows with other Graph clients that a user might choose: ``python -m benchmarks.peers``."""
