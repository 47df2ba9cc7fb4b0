"""Tests of the benchmarks: what they compute and play, not what they measure."""
