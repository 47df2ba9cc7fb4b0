"""The same rows through other Graph clients that a user might choose: ``python -m benchmarks.peers``."""
