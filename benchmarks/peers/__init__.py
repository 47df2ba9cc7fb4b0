"""The same rows through other Graph clients that a user might pick: ``python -m benchmarks.peers``."""
