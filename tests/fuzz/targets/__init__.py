"""One module for each target: ``case(data)`` raises AssertionError on a broken promise, and anything unforeseen is one as well.

``TOKENS`` are words worth trying. The inputs kept in ``tests/fuzz/corpus/NAME`` are played with every test run.
"""
