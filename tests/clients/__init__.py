"""Clients that others wrote, unchanged, against the simulated tenant: each runs its documented batch in a process of its own."""
