"""Clients of other authors, unchanged, against the simulated tenant: each runs its documented batch in its own process."""
