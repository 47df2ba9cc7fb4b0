"""Benchmarks. Each module is one documented command that prints a table, and writes JSON if asked to."""
