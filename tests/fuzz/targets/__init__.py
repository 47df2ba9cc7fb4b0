"""One module for each target. Its ``case(data)`` raises AssertionError on a broken promise; any other error is a break too.

``TOKENS`` are words worth trying. Every test run plays the inputs kept in ``tests/fuzz/corpus/NAME``.
"""
