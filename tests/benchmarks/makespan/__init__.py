"""Tests of `benchmarks.makespan`."""
