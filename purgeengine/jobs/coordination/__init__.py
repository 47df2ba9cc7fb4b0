"""Runs that are part of a purge in several processes."""
